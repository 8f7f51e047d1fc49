package zoo

import torch "ulrl/torchbridge"

// resnet is torchvision's ResNet (arXiv 1512.03385), whose bottlenecks stride
// in their 3×3 convolution. blocks counts those of each stage. Convolutions
// start normal with variance 2/fan_out, the head by PyTorch's default.
func resnet(blocks [4]int, bottleneck bool) func(*maker, Spec) *torch.Part {
	return func(m *maker, spec Spec) *torch.Part {
		m.convs = start{kaimingOut, zeros}
		w := spec.Width
		root := m.b.Part("ResNet").
			Child("conv1", m.conv(spec.Channels, w, 7, 2, 3)).
			Child("bn1", m.batchNorm(w)).
			Child("maxpool", m.maxPool())
		in := w
		for stage, n := range blocks {
			var parts []*torch.Part
			for i := range n {
				b := residual{in: in, width: w << stage, out: w << stage, stride: 1}
				if i == 0 && stage > 0 {
					b.stride = 2
				}
				if bottleneck {
					b.out *= 4
				}
				parts = append(parts, m.residual(b, bottleneck))
				in = b.out
			}
			root.Child("layer"+itoa(stage+1), m.sequence(parts...))
		}
		return root.Child("fc", m.linear(in, spec.Classes)).Define(`
def forward(self, x):
    x = torch.relu(self.bn1.forward(self.conv1.forward(x)))
    x = self.layer1.forward(self.maxpool.forward(x))
    x = self.layer2.forward(x)
    x = self.layer3.forward(x)
    x = self.layer4.forward(x)
    x = torch.flatten(torch.adaptive_avg_pool2d(x, [1, 1]), 1)
    return self.fc.forward(x)
`)
	}
}

// maxPool halves images as the first layers of ResNet and DenseNet do.
func (m *maker) maxPool() *torch.Part {
	return m.function("MaxPool2d", "torch.max_pool2d(x, [3, 3], [2, 2], [1, 1])")
}

// residual is a block: width channels inside, stride 1 or 2.
type residual struct{ in, width, out, stride int }

func (m *maker) residual(r residual, bottleneck bool) *torch.Part {
	var p *torch.Part
	last := "self.bn2.forward(self.conv2.forward(y))"
	if bottleneck {
		p = m.b.Part("Bottleneck").
			Child("conv1", m.conv(r.in, r.width, 1, 1, 0)).Child("bn1", m.batchNorm(r.width)).
			Child("conv2", m.conv(r.width, r.width, 3, r.stride, 1)).Child("bn2", m.batchNorm(r.width)).
			Child("conv3", m.conv(r.width, r.out, 1, 1, 0)).Child("bn3", m.batchNorm(r.out))
		last = "self.bn3.forward(self.conv3.forward(torch.relu(" + last + ")))"
	} else {
		p = m.b.Part("BasicBlock").
			Child("conv1", m.conv(r.in, r.out, 3, r.stride, 1)).Child("bn1", m.batchNorm(r.out)).
			Child("conv2", m.conv(r.out, r.out, 3, 1, 1)).Child("bn2", m.batchNorm(r.out))
	}
	shortcut := "x"
	if r.stride != 1 || r.in != r.out {
		p.Child("downsample", m.sequence(m.conv(r.in, r.out, 1, r.stride, 0), m.batchNorm(r.out)))
		shortcut = "self.downsample.forward(x)"
	}
	return p.Define(render(`
def forward(self, x):
    y = torch.relu(self.bn1.forward(self.conv1.forward(x)))
    return torch.relu(LAST + SHORTCUT)
`, "LAST", last, "SHORTCUT", shortcut))
}
