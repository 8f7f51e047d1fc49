package zoo

import torch "ulrl/torchbridge"

// denseNet is torchvision's DenseNet-BC (arXiv 1608.06993). layers counts those
// of each block; each adds half the width of the first stage, its growth rate.
// Convolutions start normal with variance 2/fan_in, the head's weight by
// PyTorch's default, its bias at zero.
func denseNet(layers [4]int) func(*maker, Spec) *torch.Part {
	return func(m *maker, spec Spec) *torch.Part {
		m.convs = start{kaimingIn, zeros}
		m.linears = start{inverseRoot, zeros}
		channels, growth := spec.Width, spec.Width/2
		features := []named{
			{"conv0", m.conv(spec.Channels, channels, 7, 2, 3)},
			{"norm0", m.batchNorm(channels)},
			{"relu0", m.relu()},
			{"pool0", m.maxPool()},
		}
		for i, n := range layers {
			features = append(features, named{"denseblock" + itoa(i+1), m.denseBlock(n, channels, growth)})
			channels += n * growth
			if i < len(layers)-1 {
				features = append(features, named{"transition" + itoa(i+1), m.transition(channels, channels/2)})
				channels /= 2
			}
		}
		features = append(features, named{"norm5", m.batchNorm(channels)})
		return m.b.Part("DenseNet").
			Child("features", m.chain(features...)).
			Child("classifier", m.linear(channels, spec.Classes)).
			Define(`
def forward(self, x):
    x = torch.adaptive_avg_pool2d(torch.relu(self.features.forward(x)), [1, 1])
    return self.classifier.forward(torch.flatten(x, 1))
`)
	}
}

// denseBlock gives each layer all that came before it.
func (m *maker) denseBlock(layers, channels, growth int) *torch.Part {
	p := m.b.Part("DenseBlock")
	source := "\ndef forward(self, x):\n    all = [x]\n"
	for i := range layers {
		name := "denselayer" + itoa(i+1)
		p.Child(name, m.denseLayer(channels+i*growth, growth))
		source += "    all.append(self." + name + ".forward(torch.cat(all, 1)))\n"
	}
	return p.Define(source + "    return torch.cat(all, 1)\n")
}

func (m *maker) denseLayer(channels, growth int) *torch.Part {
	return m.chain(
		named{"norm1", m.batchNorm(channels)},
		named{"relu1", m.relu()},
		named{"conv1", m.conv(channels, 4*growth, 1, 1, 0)},
		named{"norm2", m.batchNorm(4 * growth)},
		named{"relu2", m.relu()},
		named{"conv2", m.conv(4*growth, growth, 3, 1, 1)})
}

func (m *maker) transition(in, out int) *torch.Part {
	return m.chain(
		named{"norm", m.batchNorm(in)},
		named{"relu", m.relu()},
		named{"conv", m.conv(in, out, 1, 1, 0)},
		named{"pool", m.function("AvgPool2d", "torch.avg_pool2d(x, [2, 2], [2, 2])")})
}
