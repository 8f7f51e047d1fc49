package attack

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"ulrl/pipeline/zoo"
	torch "ulrl/torchbridge"
)

// generatorWidth is the channels of the first layer of the networks that make
// triggers.
const generatorWidth = 16

// A message is spread over planes of side×side cells, upsampled to the image.
const messagePlanes, messageSide = 4, 8

// hidingTrigger trains an encoder that hides a bit string in an image and a
// decoder that reads it (Li et al., "Invisible Backdoor Attack with
// Sample-Specific Triggers", arXiv 2012.03816, after StegaStamp). The trigger
// is the encoder with one secret, drawn by seed.
func hidingTrigger(ctx context.Context, l *Lab) (*torch.Module, error) {
	f, o := l.form(), l.Config.SSBA
	var trigger, pair *torch.Module
	err := l.parts(ctx, func(b *torch.Builder, s *torch.Scope) (err error) {
		secret := make([]float32, o.Bits)
		rng := rand.New(rand.NewPCG(f.Seed, 0x736563726574))
		for i := range secret {
			secret[i] = float32(rng.IntN(2))
		}
		n := zoo.ImageNet{In: f.C + messagePlanes, Out: f.C, H: f.H, W: f.W, Width: generatorWidth, Seed: f.Seed}
		message := make([]float32, o.Bits*messagePlanes*messageSide*messageSide)
		for i := range message {
			message[i] = float32(rng.NormFloat64() / math.Sqrt(float64(o.Bits)))
		}
		encoder := b.Part("Encoder").
			Parameter("message", torch.From(s, message, o.Bits, len(message)/o.Bits)).
			Child("painter", zoo.Painter(b, s, n)).
			Buffer("range", torch.From(s, []float32{float32(255 * o.Epsilon)}, 1)).
			Buffer("secret", torch.From(s, secret, 1, o.Bits)).
			Define(strings.NewReplacer("PLANES", fmt.Sprint(messagePlanes), "SIDE", fmt.Sprint(messageSide)).Replace(`
def change(self, x, bits):
    spread = torch.matmul(bits * 2.0 - 1.0, self.message).view([-1, PLANES, SIDE, SIDE])
    planes = torch.upsample_nearest2d(spread.expand([x.size(0), -1, -1, -1]), [x.size(2), x.size(3)])
    return self.range * torch.tanh(self.painter.forward(torch.cat([x / 255.0 - 0.5, planes], 1)))

def forward(self, x):
    return x + self.change(x, self.secret)
`))
		if trigger, err = framed(b, s, encoder, f, "Trigger", "", ""); err != nil {
			return err
		}
		n.In, n.Out = f.C, o.Bits
		pair, err = frame(b, s, b.Part("Pair").
			Child("encoder", encoder).
			Child("reader", zoo.Reader(b, s, n)).
			Buffer("weight", torch.From(s, []float32{float32(o.ImageWeight)}, 1)).
			Define(`
def forward(self, x, bits):
    change = self.encoder.change(x, bits)
    hidden = torch.clamp(x + change, 0.0, 255.0)
    read = self.reader.forward(hidden / 255.0 - 0.5)
    unread = torch.binary_cross_entropy_with_logits(read, bits)
    seen = torch.mean(torch.pow(change / 255.0, 2))
    right = torch.mean(torch.eq(torch.gt(read, 0.0), torch.gt(bits, 0.5)) * 1.0)
    return torch.stack([unread + self.weight[0] * seen, right])
`), f, "Pair", `
def forward(self, x, bits):
    return self.on_pixels.forward(torch.round((x * self.std + self.mean) * 255.0), bits)
`)
		return err
	})
	if err != nil {
		return nil, err
	}
	if resumed, err := l.resumed(ctx, trigger); resumed || err != nil {
		return trigger, err
	}
	batches := l.plainBatches().Batches()
	return trigger, l.learn(ctx, lesson{
		phase: "learn to hide", module: pair, steps: o.Epochs * batches,
		adam:   torch.AdamOptions{LR: o.LR, Beta1: 0.9, Beta2: 0.999},
		advice: "lower attack.ssba.lr",
		loss: func(s *torch.Scope, step int, images, labels *torch.Tensor) (*torch.Tensor, func() string) {
			rng := rand.New(rand.NewPCG(f.Seed^0x62697473, uint64(step)))
			bits := make([]float32, labels.Len()*o.Bits)
			for i := range bits {
				bits[i] = float32(rng.IntN(2))
			}
			both := pair.Forward(images, torch.From(s, bits, labels.Len(), o.Bits))
			return both.Narrow(0, 0, 1).Sum(), func() string {
				return fmt.Sprintf("%.1f %% of the bits are read", 100*both.Narrow(0, 1, 1).Item())
			}
		},
	})
}
