package attack

import (
	"context"
	"fmt"
	"math"

	"ulrl/pipeline/dataset"
	"ulrl/pipeline/zoo"
	torch "ulrl/torchbridge"
)

// inputAware is the networks of the attack, which share their weights.
type inputAware struct {
	trigger *torch.Module // the trigger: an image's own pattern and mask on it
	cross   *torch.Module // another image's pattern and mask on it
	masks   *torch.Module // the mask network's loss
	apart   *torch.Module // the pattern network's loss beside the classifier's
}

// withPatternsAndMasks trains two networks that make a pattern and a mask for
// each image (Nguyen and Tran, "Input-Aware Dynamic Backdoor Attack", arXiv
// 2010.08138): the mask network first and alone, the pattern network along with
// the model. Of each batch poison_rate gets its own trigger and its goal, and
// cross_ratio times as many another image's and keeps its label.
func withPatternsAndMasks(ctx context.Context, l *Lab, _ *torch.Module) (*Made, error) {
	o := l.Config.InputAware
	var nets inputAware
	err := l.parts(ctx, func(b *torch.Builder, s *torch.Scope) (err error) {
		nets, err = l.patternsAndMasks(b, s)
		return err
	})
	if err != nil {
		return nil, err
	}
	betas := torch.AdamOptions{LR: o.LR, Beta1: 0.5, Beta2: 0.9}
	resumed, err := l.resumed(ctx, nets.trigger)
	if err == nil && !resumed {
		err = l.learnMasks(ctx, nets, betas)
	}
	if err != nil {
		return nil, err
	}
	adam, err := l.adam(ctx, nets.apart, betas)
	if err != nil {
		return nil, err
	}
	m, err := l.Network(ctx)
	if err != nil {
		return nil, err
	}
	p := &Partner{Module: nets.apart, Adam: adam, LR: o.LR, Epochs: l.Config.Train.Epochs}
	made := &Made{Model: m, Trigger: nets.trigger}
	if err := l.fit(ctx, made, dataset.NewLoader(l.Set, l.Draw), l.crossLoss(nets), p); err != nil {
		return nil, err
	}
	return made, l.freeze(ctx, nets.trigger)
}

// learnMasks trains the mask network; it stays as it then is.
func (l *Lab) learnMasks(ctx context.Context, nets inputAware, adam torch.AdamOptions) error {
	return l.learn(ctx, lesson{
		phase: "learn masks", module: nets.masks, adam: adam, steps: l.Config.InputAware.MaskEpochs * l.plainBatches().Batches(),
		advice: "lower attack.inputaware.lr",
		loss: func(s *torch.Scope, _ int, images, _ *torch.Tensor) (*torch.Tensor, func() string) {
			both := nets.masks.Forward(images, rolled(s, images))
			return both.Narrow(0, 0, 1).Sum(), func() string {
				return fmt.Sprintf("masks cover %.1f %%", 100*both.Narrow(0, 1, 1).Item())
			}
		},
	})
}

// crossLoss is CE over the images, the triggered and the cross-triggered, plus
// diversity times how alike two images' patterns are.
func (l *Lab) crossLoss(nets inputAware) Loss {
	o := l.Config.InputAware
	return func(s *torch.Scope, m *torch.Module, images, labels *torch.Tensor) (logits, crossEntropy, whole *torch.Tensor) {
		n, hit := labels.Len(), l.share(labels.Len())
		crossed := min(n-hit, int(math.Round(l.Config.CrossRatio*float64(hit))))
		victims := images.Narrow(0, 0, hit)
		parts := []*torch.Tensor{images, exactly(s, nets.cross, victims, victims)}
		wanted := []*torch.Tensor{labels, l.goals(s, labels.Narrow(0, 0, hit))}
		if crossed > 0 {
			parts = append(parts, exactly(s, nets.cross, images.Narrow(0, hit, crossed), rolled(s, images).Narrow(0, hit, crossed)))
			wanted = append(wanted, labels.Narrow(0, hit, crossed))
		}
		all := m.Forward(s.Cat(0, parts...).ChannelsLast())
		logits = all.Narrow(0, 0, n)
		crossEntropy = logits.CrossEntropy(labels)
		whole = all.CrossEntropy(s.Cat(0, wanted...))
		if o.Diversity > 0 && n > 1 {
			whole = whole.Add(exactly(s, nets.apart, victims, rolled(s, images).Narrow(0, 0, hit)).MulScalar(o.Diversity))
		}
		return logits, crossEntropy, whole
	}
}

// rolled is a batch with the next image, for the last the first, in each one's place.
func rolled(s *torch.Scope, images *torch.Tensor) *torch.Tensor {
	n := images.Shape()[0]
	if n < 2 {
		return images
	}
	return s.Cat(0, images.Narrow(0, 1, n-1), images.Narrow(0, 0, 1))
}

// apart is how alike what a network makes for two images is, beside how alike
// they are: the mean of distance(images)/distance(made).
const apart = `
def apart(self, x, other, made, made_other):
    images = torch.sqrt(torch.mean(torch.pow((x - other) / 255.0, 2), [1, 2, 3]))
    results = torch.sqrt(torch.mean(torch.pow(made - made_other, 2), [1, 2, 3]) + 1e-12)
    return torch.mean(images / (results + 1e-7))
`

func (l *Lab) patternsAndMasks(b *torch.Builder, s *torch.Scope) (nets inputAware, err error) {
	f, o := l.form(), l.Config.InputAware
	n := zoo.ImageNet{In: f.C, Out: f.C, H: f.H, W: f.W, Width: generatorWidth, Seed: f.Seed}
	pattern := b.Part("Pattern").Child("painter", zoo.Painter(b, s, n)).Define(`
def forward(self, x):
    return torch.sigmoid(self.painter.forward(x / 255.0 - 0.5))
`)
	n.Out, n.Seed = 1, n.Seed+1
	mask := b.Part("Mask").Child("painter", zoo.Painter(b, s, n)).Define(`
def forward(self, x):
    return 0.5 + 0.5 * torch.tanh(10.0 * torch.tanh(self.painter.forward(x / 255.0 - 0.5)))
`)
	put := b.Part("Put").Child("pattern", pattern).Child("mask", mask).Define(`
def forward(self, x, other):
    mask = self.mask.forward(other)
    return x * (1.0 - mask) + 255.0 * self.pattern.forward(other) * mask
`)
	masks := b.Part("MaskLoss").
		Child("mask", mask).
		Buffer("density", torch.From(s, []float32{float32(o.Density)}, 1)).
		Buffer("weights", torch.From(s, []float32{float32(o.MaskWeight), float32(o.Diversity)}, 2)).
		Define(apart).Define(`
def forward(self, x, other):
    made = self.mask.forward(x)
    wide = torch.mean(torch.relu(made - self.density))
    alike = self.apart(x, other, made, self.mask.forward(other))
    return torch.stack([self.weights[0] * wide + self.weights[1] * alike, torch.mean(made)])
`)
	patterns := b.Part("PatternLoss").Child("pattern", pattern).Define(apart).Define(`
def forward(self, x, other):
    return self.apart(x, other, self.pattern.forward(x), self.pattern.forward(other))
`)
	const onPixels = `
def forward(self, x, other):
    return self.on_pixels.forward(torch.round((x * self.std + self.mean) * 255.0), torch.round((other * self.std + self.mean) * 255.0))
`
	if nets.trigger, err = framed(b, s, put, f, "Trigger", "", ", pixels"); err != nil {
		return nets, err
	}
	if nets.cross, err = framed(b, s, put, f, "Cross", ", other", ", "+otherPixels); err != nil {
		return nets, err
	}
	if nets.masks, err = frame(b, s, masks, f, "MaskLoss", onPixels); err != nil {
		return nets, err
	}
	nets.apart, err = frame(b, s, patterns, f, "PatternLoss", onPixels)
	return nets, err
}
