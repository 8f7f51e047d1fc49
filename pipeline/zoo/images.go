package zoo

import (
	"fmt"

	torch "ulrl/torchbridge"
)

// ImageNet is a small network over images. Each image is normalised on its own
// (GroupNorm): what it becomes does not hang on the rest of its batch, and a
// fresh network's signal does not fade from layer to layer.
type ImageNet struct {
	In, Out int // channels, or for a Reader values, that go in and come out
	H, W    int // of the images
	Width   int // channels of the first layer, a multiple of 4
	Seed    uint64
}

// Painter makes an encoder-decoder, N×In×H×W to N×Out×H×W: at half the size
// in its middle, so that what it paints hangs together. Its last layer is
// linear. The part belongs to b's module.
func Painter(b *torch.Builder, s *torch.Scope, n ImageNet) *torch.Part {
	m := newMaker(b, s, n.Seed, 0x7061696e74)
	return b.Part("Painter").
		Child("down1", m.normed(n.In, n.Width, 1)).
		Child("down2", m.normed(n.Width, 2*n.Width, 2)).
		Child("middle", m.normed(2*n.Width, 2*n.Width, 1)).
		Child("up", m.normed(3*n.Width, n.Width, 1)).
		Child("out", m.convBias(n.Width, n.Out, 1)).
		Define(fmt.Sprintf(`
def forward(self, x):
    fine = self.down1.forward(x)
    coarse = self.middle.forward(self.down2.forward(fine))
    both = torch.cat([fine, torch.upsample_nearest2d(coarse, [%d, %d])], 1)
    return self.out.forward(self.up.forward(both))
`, n.H, n.W))
}

// Reader makes a network that reads N×Out values off N×In×H×W images.
func Reader(b *torch.Builder, s *torch.Scope, n ImageNet) *torch.Part {
	m := newMaker(b, s, n.Seed, 0x72656164)
	return b.Part("Reader").
		Child("conv1", m.normed(n.In, n.Width, 1)).
		Child("conv2", m.normed(n.Width, 2*n.Width, 2)).
		Child("conv3", m.normed(2*n.Width, 2*n.Width, 2)).
		Child("linear", m.linear(2*n.Width*49, n.Out)).
		Define(`
def forward(self, x):
    x = self.conv3.forward(self.conv2.forward(self.conv1.forward(x)))
    return self.linear.forward(torch.flatten(torch.adaptive_avg_pool2d(x, [7, 7]), 1))
`)
}

// normed is a convolution, GroupNorm and ReLU.
func (m *maker) normed(in, out, stride int) *torch.Part {
	return m.b.Part("Normed").
		Child("conv", m.convBias(in, out, stride)).
		Parameter("weight", m.s.Full(1, torch.Float32, out)).
		Parameter("bias", m.s.Full(0, torch.Float32, out)).
		Define(`
def forward(self, x):
    return torch.relu(torch.group_norm(self.conv.forward(x), 4, self.weight, self.bias))
`)
}

// convBias is a 3×3 convolution with bias.
func (m *maker) convBias(in, out, stride int) *torch.Part {
	return m.convolve(convolution{in: in, out: out, kernel: 3, stride: stride, padding: 1, bias: true})
}
