package zoo

import torch "ulrl/torchbridge"

// bneck is a row of MobileNetV3's table: an inverted residual block.
type bneck struct {
	kernel, expanded, out int // channels at the published width
	squeeze, hard         bool
	stride                int
}

func mobileNetV3LargeBlocks() []bneck {
	const squeeze, hard = true, true
	return []bneck{
		{3, 16, 16, false, false, 1},
		{3, 64, 24, false, false, 2},
		{3, 72, 24, false, false, 1},
		{5, 72, 40, squeeze, false, 2},
		{5, 120, 40, squeeze, false, 1},
		{5, 120, 40, squeeze, false, 1},
		{3, 240, 80, false, hard, 2},
		{3, 200, 80, false, hard, 1},
		{3, 184, 80, false, hard, 1},
		{3, 184, 80, false, hard, 1},
		{3, 480, 112, squeeze, hard, 1},
		{3, 672, 112, squeeze, hard, 1},
		{5, 672, 160, squeeze, hard, 2},
		{5, 960, 160, squeeze, hard, 1},
		{5, 960, 160, squeeze, hard, 1},
	}
}

// mobileNetV3Large is torchvision's MobileNetV3-Large (arXiv 1905.02244). All
// its layers scale with the width, rounded to multiples of 8. Convolutions
// start normal with variance 2/fan_out, linear layers with standard deviation
// 0.01, biases at zero.
func (m *maker) mobileNetV3Large(spec Spec) *torch.Part {
	m.convs = start{kaimingOut, zeros}
	m.linears = start{spread(0.01), zeros}
	scale := float64(spec.Width) / 16
	channels := func(n int) int { return eighths(float64(n) * scale) }
	in := channels(16)
	features := []*torch.Part{m.mobileConv(convolution{in: spec.Channels, out: in, kernel: 3, stride: 2, padding: 1}, m.hardswish())}
	for _, row := range mobileNetV3LargeBlocks() {
		row.expanded, row.out = channels(row.expanded), channels(row.out)
		features = append(features, m.mobileBlock(in, row))
		in = row.out
	}
	features = append(features, m.mobileConv(convolution{in: in, out: 6 * in, kernel: 1, stride: 1}, m.hardswish()))
	hidden := channels(1280)
	return m.b.Part("MobileNetV3").
		Child("features", m.sequence(features...)).
		Child("classifier", m.sequence(
			m.linear(6*in, hidden), m.hardswish(), m.dropout("0.2"), m.linear(hidden, spec.Classes))).
		Define(pooledClassifier)
}

func (m *maker) mobileBlock(in int, row bneck) *torch.Part {
	activation := m.relu
	if row.hard {
		activation = m.hardswish
	}
	var parts []*torch.Part
	if row.expanded != in {
		parts = append(parts, m.mobileConv(convolution{in: in, out: row.expanded, kernel: 1, stride: 1}, activation()))
	}
	parts = append(parts, m.mobileConv(convolution{
		in: row.expanded, out: row.expanded, kernel: row.kernel, stride: row.stride, padding: row.kernel / 2, groups: row.expanded,
	}, activation()))
	if row.squeeze {
		parts = append(parts, m.squeeze(row.expanded, eighths(float64(row.expanded/4)), "torch.relu", "torch.hardsigmoid"))
	}
	parts = append(parts, m.mobileConv(convolution{in: row.expanded, out: row.out, kernel: 1, stride: 1}))
	shortcut := ""
	if row.stride == 1 && in == row.out {
		shortcut = " + x"
	}
	return m.b.Part("InvertedResidual").
		Child("block", m.sequence(parts...)).
		Define("\ndef forward(self, x):\n    return self.block.forward(x)" + shortcut + "\n")
}

// mobileConv is a convolution, MobileNetV3's BatchNorm and perhaps an activation.
func (m *maker) mobileConv(c convolution, activation ...*torch.Part) *torch.Part {
	return m.convNorm(c, m.batchNormOf(c.out, "0.01", "0.001"), activation...)
}

func (m *maker) hardswish() *torch.Part { return m.function("Hardswish", "torch.hardswish(x)") }

// eighths rounds to a multiple of 8, up where rounding down would lose more
// than a tenth, as the published networks do with scaled channels.
func eighths(channels float64) int {
	n := max(8, int(channels+4)/8*8)
	if float64(n) < 0.9*channels {
		n += 8
	}
	return n
}
