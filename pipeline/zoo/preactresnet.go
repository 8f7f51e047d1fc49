package zoo

import torch "ulrl/torchbridge"

// preActResNet18 is the pre-activation ResNet of He et al. (arXiv 1603.05027)
// in its form for small images, as the field's backdoor benchmarks use it: no
// BatchNorm behind the last block, average pooling over what is left.
func (m *maker) preActResNet18(spec Spec) *torch.Part {
	w := spec.Width
	root := m.b.Part("PreActResNet18").
		Child("conv1", m.conv(spec.Channels, w, 3, 1, 1))
	in := w
	for stage, stride := range []int{1, 2, 2, 2} {
		out := w << stage
		root.Child("layer"+itoa(stage+1),
			m.sequence(m.preActBlock(in, out, stride), m.preActBlock(out, out, 1)))
		in = out
	}
	return root.Child("linear", m.linear(in, spec.Classes)).Define(`
def forward(self, x):
    x = self.conv1.forward(x)
    x = self.layer1.forward(x)
    x = self.layer2.forward(x)
    x = self.layer3.forward(x)
    x = self.layer4.forward(x)
    x = torch.flatten(torch.adaptive_avg_pool2d(x, [1, 1]), 1)
    return self.linear.forward(x)
`)
}

func (m *maker) preActBlock(in, out, stride int) *torch.Part {
	p := m.b.Part("PreActBlock").
		Child("bn1", m.batchNorm(in)).
		Child("conv1", m.conv(in, out, 3, stride, 1)).
		Child("bn2", m.batchNorm(out)).
		Child("conv2", m.conv(out, out, 3, 1, 1))
	shortcut := "x"
	if stride != 1 || in != out {
		p.Child("shortcut", m.sequence(m.conv(in, out, 1, stride, 0)))
		shortcut = "self.shortcut.forward(out)"
	}
	return p.Define(render(`
def forward(self, x):
    out = torch.relu(self.bn1.forward(x))
    shortcut = SHORTCUT
    out = self.conv1.forward(out)
    out = self.conv2.forward(torch.relu(self.bn2.forward(out)))
    return out + shortcut
`, "SHORTCUT", shortcut))
}
