package zoo

import (
	"strconv"

	torch "ulrl/torchbridge"
)

// convNextTiny is torchvision's ConvNeXt-T (arXiv 2201.03545). Convolutions
// and linear layers start normal with standard deviation 0.02 (torchvision
// truncates at 100 of those), biases at zero, each block's scale at 1e-6.
// In training the last block is left out for a tenth of the images, earlier
// ones for fewer, by their depth.
func (m *maker) convNextTiny(spec Spec) *torch.Part {
	m.convs = start{spread(0.02), zeros}
	m.linears = m.convs
	const blocks, depth = 18, 0.1
	features := []*torch.Part{m.sequence(
		m.convolve(convolution{in: spec.Channels, out: spec.Width, kernel: 4, stride: 4, bias: true}),
		m.layerNorm2d(spec.Width))}
	done, channels := 0, spec.Width
	for stage, n := range []int{3, 3, 9, 3} {
		if stage > 0 {
			features = append(features, m.sequence(
				m.layerNorm2d(channels),
				m.convolve(convolution{in: channels, out: 2 * channels, kernel: 2, stride: 2, bias: true})))
			channels *= 2
		}
		var parts []*torch.Part
		for range n {
			parts = append(parts, m.convNextBlock(channels, depth*float64(done)/(blocks-1)))
			done++
		}
		features = append(features, m.sequence(parts...))
	}
	return m.b.Part("ConvNeXt").
		Child("features", m.sequence(features...)).
		Child("classifier", m.sequence(
			m.layerNorm2d(channels),
			m.function("Flatten", "torch.flatten(x, 1)"),
			m.linear(channels, spec.Classes))).
		Define(`
def forward(self, x):
    x = torch.adaptive_avg_pool2d(self.features.forward(x), [1, 1])
    return self.classifier.forward(x)
`)
}

func (m *maker) convNextBlock(channels int, depth float64) *torch.Part {
	p := m.b.Part("CNBlock")
	m.parameter(p, "layer_scale", m.s.Full(1e-6, torch.Float32, channels, 1, 1))
	return p.
		Child("block", m.sequence(
			m.convolve(convolution{in: channels, out: channels, kernel: 7, stride: 1, padding: 3, groups: channels, bias: true}),
			m.function("Permute", "x.permute([0, 2, 3, 1])"),
			m.layerNorm(channels),
			m.linear(channels, 4*channels),
			m.gelu(),
			m.linear(4*channels, channels),
			m.function("Permute", "x.permute([0, 3, 1, 2])"))).
		Child("stochastic_depth", m.stochasticDepth(depth)).
		Define(`
def forward(self, x):
    return x + self.stochastic_depth.forward(self.layer_scale * self.block.forward(x))
`)
}

// layerNorm2d is over the channels of N×C×H×W.
func (m *maker) layerNorm2d(channels int) *torch.Part {
	return m.ones(m.b.Part("LayerNorm2d"), channels).Define(render(`
def forward(self, x):
    x = torch.layer_norm(x.permute([0, 2, 3, 1]), [CHANNELS], self.weight, self.bias, 1e-06)
    return x.permute([0, 3, 1, 2])
`, "CHANNELS", channels))
}

// stochasticDepth (arXiv 1603.09382) sets a share of the images to zero, in
// training only, and enlarges the others to make up for it.
func (m *maker) stochasticDepth(share float64) *torch.Part {
	if share == 0 {
		return m.function("StochasticDepth", "x")
	}
	return m.b.Part("StochasticDepth").Define(render(`
def forward(self, x):
    if self.training:
        keep = x.new_empty([x.size(0), 1, 1, 1]).bernoulli_(KEEP)
        x = x * keep.div_(KEEP)
    return x
`, "KEEP", strconv.FormatFloat(1-share, 'g', -1, 64)))
}
