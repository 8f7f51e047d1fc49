package zoo

import torch "ulrl/torchbridge"

// vgg is torchvision's VGG (arXiv 1409.1556): five stages of 3×3 convolutions,
// each pooled, over a classifier of three linear layers. convs counts the
// convolutions of each stage. Convolutions start normal with variance
// 2/fan_out, linear layers with standard deviation 0.01, biases at zero. The
// hidden layers have 64 neurons per channel of the first stage, hence the
// published 4096.
func vgg(convs [5]int, batchNorm bool) func(*maker, Spec) *torch.Part {
	return func(m *maker, spec Spec) *torch.Part {
		m.convs = start{kaimingOut, zeros}
		m.linears = start{spread(0.01), zeros}
		w, hidden := spec.Width, 64*spec.Width
		var features []*torch.Part
		in := spec.Channels
		for stage, n := range convs {
			out := w << min(stage, 3)
			for range n {
				features = append(features, m.convolve(convolution{in: in, out: out, kernel: 3, stride: 1, padding: 1, bias: true}))
				if batchNorm {
					features = append(features, m.batchNorm(out))
				}
				features = append(features, m.relu())
				in = out
			}
			features = append(features, m.function("MaxPool2d", "torch.max_pool2d(x, [2, 2], [2, 2])"))
		}
		return m.b.Part("VGG").
			Child("features", m.sequence(features...)).
			Child("avgpool", m.function("AdaptiveAvgPool2d", "torch.adaptive_avg_pool2d(x, [7, 7])")).
			Child("classifier", m.sequence(
				m.linear(in*49, hidden), m.relu(), m.dropout("0.5"),
				m.linear(hidden, hidden), m.relu(), m.dropout("0.5"),
				m.linear(hidden, spec.Classes))).
			Define(`
def forward(self, x):
    x = self.avgpool.forward(self.features.forward(x))
    return self.classifier.forward(torch.flatten(x, 1))
`)
	}
}
