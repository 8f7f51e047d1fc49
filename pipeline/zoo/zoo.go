// Package zoo makes untrained networks as TorchScript modules, without Python.
// Parameter names are those of the published PyTorch definitions, so that
// state dicts can be exchanged; initial weights are PyTorch's defaults, drawn
// from a seed by our own generator, hence equal under every libtorch.
package zoo

import (
	"math"
	"math/rand/v2"

	"ulrl/pipeline/fault"
	torch "ulrl/torchbridge"
)

// Spec is a network to make.
type Spec struct {
	Name     string // "preactresnet18"
	Width    int    // channels of the first stage; the published network has 64
	Channels int    // of the input images
	Classes  int
	Seed     uint64
}

// New makes a network; it belongs to s and is in training mode.
func New(s *torch.Scope, spec Spec) (*torch.Module, error) {
	maker := &maker{b: torch.NewBuilder(s), s: s, rng: rand.New(rand.NewPCG(spec.Seed, 0x7a6f6f))}
	switch spec.Name {
	case "preactresnet18":
		return maker.b.Finish(maker.preActResNet18(spec))
	default:
		return nil, fault.Misuse("no network named %q; there is: preactresnet18", spec.Name)
	}
}

// maker holds what every part of a network needs.
type maker struct {
	b   *torch.Builder
	s   *torch.Scope
	rng *rand.Rand
}

// uniform draws from ±bound.
func (m *maker) uniform(bound float64, shape ...int) *torch.Tensor {
	n := 1
	for _, extent := range shape {
		n *= extent
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32((2*m.rng.Float64() - 1) * bound)
	}
	return torch.From(m.s, values, shape...)
}

// conv is a convolution without bias; PyTorch's default weights are uniform in
// ±1/√fan_in.
func (m *maker) conv(in, out, kernel, stride, padding int) *torch.Part {
	bound := 1 / math.Sqrt(float64(in*kernel*kernel))
	return m.b.Part("Conv2d").
		Parameter("weight", m.uniform(bound, out, in, kernel, kernel)).
		Define(render(`
def forward(self, x):
    return torch.conv2d(x, self.weight, None, [STRIDE, STRIDE], [PADDING, PADDING])
`, "STRIDE", stride, "PADDING", padding))
}

func (m *maker) linear(in, out int) *torch.Part {
	bound := 1 / math.Sqrt(float64(in))
	return m.b.Part("Linear").
		Parameter("weight", m.uniform(bound, out, in)).
		Parameter("bias", m.uniform(bound, out)).
		Define(`
def forward(self, x):
    return torch.linear(x, self.weight, self.bias)
`)
}

func (m *maker) batchNorm(channels int) *torch.Part {
	return m.b.Part("BatchNorm2d").
		Parameter("weight", m.s.Full(1, torch.Float32, channels)).
		Parameter("bias", m.s.Full(0, torch.Float32, channels)).
		Buffer("running_mean", m.s.Full(0, torch.Float32, channels)).
		Buffer("running_var", m.s.Full(1, torch.Float32, channels)).
		Buffer("num_batches_tracked", m.s.Full(0, torch.Int64)).
		Define(`
def forward(self, x):
    if self.training:
        self.num_batches_tracked.add_(1)
    return torch.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, self.training, 0.1, 1e-05, True)
`)
}

// sequence calls its parts in order; they are named "0", "1" and so on.
func (m *maker) sequence(parts ...*torch.Part) *torch.Part {
	p := m.b.Part("Sequential")
	source := "\ndef forward(self, x):\n"
	for i, part := range parts {
		p.Child(itoa(i), part)
		source += `    x = getattr(self, "` + itoa(i) + `").forward(x)` + "\n"
	}
	return p.Define(source + "    return x\n")
}
