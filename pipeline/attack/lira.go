package attack

import (
	"context"
	"math"

	"ulrl/pipeline/dataset"
	"ulrl/pipeline/zoo"
	torch "ulrl/torchbridge"
)

// withNoiseMaker trains a network that makes noise for each image, x +
// ε·255·tanh(g(x)), along with the model (Doan, Lao, Zhao, Li, "LIRA", ICCV
// 2021), by α·CE(images, labels) + (1−α)·CE(triggered images, goals); after
// generator_epochs the network is fixed and the model learns on. Of each batch
// poison_rate is triggered.
func withNoiseMaker(ctx context.Context, l *Lab, _ *torch.Module) (*Made, error) {
	f, o := l.form(), l.Config.LIRA
	trigger, _, err := l.learnable(ctx, func(b *torch.Builder, s *torch.Scope) *torch.Part {
		n := zoo.ImageNet{In: f.C, Out: f.C, H: f.H, W: f.W, Width: generatorWidth, Seed: f.Seed}
		return b.Part("Noise").
			Child("painter", zoo.Painter(b, s, n)).
			Buffer("range", torch.From(s, []float32{float32(255 * o.Epsilon)}, 1)).
			Define(`
def forward(self, x):
    return x + self.range * torch.tanh(self.painter.forward(x / 255.0 - 0.5))
`)
	})
	if err != nil {
		return nil, err
	}
	adam, err := l.adam(ctx, trigger, torch.AdamOptions{LR: o.LR, Beta1: 0.9, Beta2: 0.999})
	if err != nil {
		return nil, err
	}
	m, err := l.Network(ctx)
	if err != nil {
		return nil, err
	}
	loss := func(s *torch.Scope, m *torch.Module, images, labels *torch.Tensor) (logits, crossEntropy, whole *torch.Tensor) {
		n, hit := labels.Len(), l.share(labels.Len())
		triggered := exactly(s, trigger, images.Narrow(0, 0, hit))
		both := m.Forward(s.Cat(0, images, triggered).ChannelsLast())
		logits = both.Narrow(0, 0, n)
		crossEntropy = logits.CrossEntropy(labels)
		poisoned := both.Narrow(0, n, hit).CrossEntropy(l.goals(s, labels.Narrow(0, 0, hit)))
		return logits, crossEntropy, crossEntropy.MulScalar(o.Alpha).Add(poisoned.MulScalar(1 - o.Alpha))
	}
	p := &Partner{Module: trigger, Adam: adam, LR: o.LR, Epochs: o.GeneratorEpochs}
	made := &Made{Model: m, Trigger: trigger}
	if err := l.fit(ctx, made, dataset.NewLoader(l.Set, l.Draw), loss, p); err != nil {
		return nil, err
	}
	return made, l.freeze(ctx, trigger)
}

// share is how many of n images of a batch are poisoned: one at least, for a
// last batch is small.
func (l *Lab) share(n int) int {
	return min(n, max(1, int(math.Round(l.Config.PoisonRate*float64(n)))))
}
