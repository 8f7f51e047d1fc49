// Package zoo makes untrained networks as TorchScript modules, without Python.
// Parameter and buffer names, and their order, are those of the published
// PyTorch definitions (torchvision's, where it has the network), so that state
// dicts can be exchanged. Initial weights follow the published rule of each
// architecture, drawn from a seed by our own generator, hence equal under
// every libtorch.
package zoo

import (
	"math/rand/v2"
	"strings"

	"ulrl/pipeline/fault"
	torch "ulrl/torchbridge"
)

// Spec is a network to make.
type Spec struct {
	Name     string // one of Names
	Width    int    // channels of the first stage, of a transformer the embedding; 0: as published
	Channels int    // of the input images, 1 or 3
	Classes  int
	Side     int // the smaller side of the input images in pixels; 0: unknown, not checked
	Seed     uint64
}

// network is an architecture and what it can be made like.
type network struct {
	name  string
	width int // as published
	step  int // widths are its multiples; 0: only the published one
	side  int // of the smallest image that the network does not pool away
	make  func(*maker, Spec) *torch.Part
}

func networks() []network {
	return []network{
		{"preactresnet18", 64, 1, 1, (*maker).preActResNet18},
		{"vgg16", 64, 1, 32, vgg([5]int{2, 2, 3, 3, 3}, false)},
		{"vgg16_bn", 64, 1, 32, vgg([5]int{2, 2, 3, 3, 3}, true)},
		{"vgg19", 64, 1, 32, vgg([5]int{2, 2, 4, 4, 4}, false)},
		{"vgg19_bn", 64, 1, 32, vgg([5]int{2, 2, 4, 4, 4}, true)},
		{"vit_b_16", 768, 64, 1, (*maker).vitB16},
		{"resnet18", 64, 1, 1, resnet([4]int{2, 2, 2, 2}, false)},
		{"resnet34", 64, 1, 1, resnet([4]int{3, 4, 6, 3}, false)},
		{"resnet50", 64, 1, 1, resnet([4]int{3, 4, 6, 3}, true)},
		{"convnext_tiny", 96, 1, 32, (*maker).convNextTiny},
		{"mobilenet_v3_large", 16, 8, 1, (*maker).mobileNetV3Large},
		{"efficientnet_b0", 32, 0, 1, efficientNet(compound{1, 1, "0.2"})},
		{"efficientnet_b3", 40, 0, 1, efficientNet(compound{1.2, 1.4, "0.3"})},
		{"densenet121", 64, 2, 29, denseNet([4]int{6, 12, 24, 16})},
		{"densenet161", 96, 2, 29, denseNet([4]int{6, 12, 36, 24})},
	}
}

// Names lists the networks that New makes.
func Names() []string {
	var names []string
	for _, n := range networks() {
		names = append(names, n.name)
	}
	return names
}

// New makes a network; it belongs to s and is in training mode. A spec that no
// network answers to is the user's to mend.
func New(s *torch.Scope, spec Spec) (*torch.Module, error) {
	n, err := find(&spec)
	if err != nil {
		return nil, err
	}
	m := newMaker(torch.NewBuilder(s), s, spec.Seed, 0x7a6f6f)
	return m.b.Finish(n.make(m, spec))
}

// find is the network that a spec names; it sets the published width for 0.
func find(spec *Spec) (network, error) {
	for _, n := range networks() {
		if n.name != spec.Name {
			continue
		}
		if spec.Width == 0 {
			spec.Width = n.width
		}
		return n, n.check(*spec)
	}
	return network{}, fault.Misuse("no network named %q; there is: %s", spec.Name, strings.Join(Names(), ", "))
}

// CheckWidth tells whether a network comes in a width; 0 is its published one.
func CheckWidth(name string, width int) error {
	for _, n := range networks() {
		if n.name == name && width != 0 {
			return n.checkWidth(width)
		}
	}
	return nil
}

func (n network) checkWidth(width int) error {
	switch {
	case n.step == 0 && width != n.width:
		return fault.Misuse("%s comes in its published width only: width %d, or 0, not %d", n.name, n.width, width)
	case n.step > 0 && (width < 1 || width%n.step != 0):
		return fault.Misuse("%s cannot have the width %d: a multiple of %d, or 0 for the published %d", n.name, width, n.step, n.width)
	}
	return nil
}

func (n network) check(spec Spec) error {
	if err := n.checkWidth(spec.Width); err != nil {
		return err
	}
	switch {
	case spec.Side > 0 && spec.Side < n.side:
		return fault.Misuse("%s takes images of at least %d×%d pixels, the smaller side of these has %d: use larger images or another network", n.name, n.side, n.side, spec.Side)
	case spec.Channels != 1 && spec.Channels != 3:
		return fault.Misuse("%s takes images of 1 or 3 channels, not %d", n.name, spec.Channels)
	case spec.Classes < 2:
		return fault.Misuse("%s tells at least 2 classes apart, not %d", n.name, spec.Classes)
	}
	return nil
}

// maker holds what every part of a network needs.
type maker struct {
	b   *torch.Builder
	s   *torch.Scope
	rng *rand.Rand
	// convs and linears say how such layers start.
	convs, linears start
}

func newMaker(b *torch.Builder, s *torch.Scope, seed, stream uint64) *maker {
	return &maker{
		b: b, s: s, rng: rand.New(rand.NewPCG(seed, stream)),
		convs: start{inverseRoot, inverseRoot}, linears: start{inverseRoot, inverseRoot},
	}
}
