package zoo

import (
	"math"

	torch "ulrl/torchbridge"
)

// mbStage is a row of EfficientNet-B0's table.
type mbStage struct{ expand, kernel, stride, out, blocks int }

// compound is how a larger EfficientNet grows from B0, and its dropout.
type compound struct {
	width, depth float64
	dropout      string
}

// efficientNet is torchvision's EfficientNet (arXiv 1905.11946). Convolutions
// start normal with variance 2/fan_out, the head uniform in ±1/√classes, biases
// at zero. In training the last block is left out for nearly a fifth of the
// images, earlier ones for fewer, by their depth.
func efficientNet(c compound) func(*maker, Spec) *torch.Part {
	return func(m *maker, spec Spec) *torch.Part {
		m.convs = start{kaimingOut, zeros}
		stages := []mbStage{
			{1, 3, 1, 16, 1}, {6, 3, 2, 24, 2}, {6, 5, 2, 40, 2}, {6, 3, 2, 80, 3},
			{6, 5, 1, 112, 3}, {6, 5, 2, 192, 4}, {6, 3, 1, 320, 1},
		}
		total := 0
		for i, s := range stages {
			stages[i].out = eighths(float64(s.out) * c.width)
			stages[i].blocks = int(math.Ceil(float64(s.blocks) * c.depth))
			total += stages[i].blocks
		}
		in := eighths(32 * c.width)
		features := []*torch.Part{m.mbConv(convolution{in: spec.Channels, out: in, kernel: 3, stride: 2, padding: 1}, m.silu())}
		done := 0
		for _, s := range stages {
			var blocks []*torch.Part
			for range s.blocks {
				blocks = append(blocks, m.mbBlock(in, s, 0.2*float64(done)/float64(total)))
				in, s.stride = s.out, 1
				done++
			}
			features = append(features, m.sequence(blocks...))
		}
		features = append(features, m.mbConv(convolution{in: in, out: 4 * in, kernel: 1, stride: 1}, m.silu()))
		head := m.linearFrom(start{inverseRootOut, zeros}, 4*in, spec.Classes)
		return m.b.Part("EfficientNet").
			Child("features", m.sequence(features...)).
			Child("classifier", m.sequence(m.dropout(c.dropout), head)).
			Define(pooledClassifier)
	}
}

func (m *maker) mbBlock(in int, s mbStage, depth float64) *torch.Part {
	var parts []*torch.Part
	expanded := eighths(float64(in * s.expand))
	if expanded != in {
		parts = append(parts, m.mbConv(convolution{in: in, out: expanded, kernel: 1, stride: 1}, m.silu()))
	}
	parts = append(parts,
		m.mbConv(convolution{in: expanded, out: expanded, kernel: s.kernel, stride: s.stride, padding: s.kernel / 2, groups: expanded}, m.silu()),
		m.squeeze(expanded, max(1, in/4), "torch.silu", "torch.sigmoid"),
		m.mbConv(convolution{in: expanded, out: s.out, kernel: 1, stride: 1}))
	p := m.b.Part("MBConv").
		Child("block", m.sequence(parts...)).
		Child("stochastic_depth", m.stochasticDepth(depth))
	if s.stride != 1 || in != s.out {
		return p.Define(`
def forward(self, x):
    return self.block.forward(x)
`)
	}
	return p.Define(`
def forward(self, x):
    return self.stochastic_depth.forward(self.block.forward(x)) + x
`)
}

// mbConv is a convolution, BatchNorm and perhaps an activation.
func (m *maker) mbConv(c convolution, activation ...*torch.Part) *torch.Part {
	return m.convNorm(c, m.batchNorm(c.out), activation...)
}

func (m *maker) silu() *torch.Part { return m.function("SiLU", "torch.silu(x)") }
