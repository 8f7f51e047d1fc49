package attack

import (
	"context"
	"fmt"
	"math"

	"ulrl/pipeline/config"
	torch "ulrl/torchbridge"
)

// offsetsTrigger adds the pattern of a file.
func offsetsTrigger(b *torch.Builder, s *torch.Scope, c config.Attack, f Form) (*torch.Part, error) {
	offsets, err := readOffsets(c.LF.Pattern, f)
	if err != nil {
		return nil, err
	}
	return added(b, torch.From(s, offsets, f.C, f.H, f.W)), nil
}

// smoothTrigger finds one pattern of low frequencies that leads a clean model's
// images to their goal when it is added (Zeng, Park, Mao, Jia, arXiv
// 2104.03413): frequencies² cosines in each channel, scaled down where a pixel
// would change by more than bound.
func smoothTrigger(ctx context.Context, l *Lab) (*torch.Module, error) {
	f, o := l.form(), l.Config.LF
	rows, columns := min(o.Frequencies, f.H), min(o.Frequencies, f.W)
	trigger, learned, err := l.learnable(ctx, func(b *torch.Builder, s *torch.Scope) *torch.Part {
		return b.Part("Smooth").
			Parameter("weights", s.Full(0, torch.Float32, f.C, rows, columns)).
			Buffer("rows", waves(s, f.H, rows)).
			Buffer("columns", waves(s, f.W, columns)).
			Buffer("bound", torch.From(s, []float32{float32(o.Bound)}, 1)).
			Define(`
def pattern(self):
    waves = torch.matmul(torch.matmul(self.rows, self.weights), self.columns.t())
    return self.bound * waves / torch.clamp(torch.max(torch.abs(waves)), 1.0)

def forward(self, x):
    return x + self.pattern()
`)
	})
	if err != nil || learned {
		return trigger, err
	}
	clean, err := l.frozen(ctx)
	if err != nil {
		return nil, err
	}
	return trigger, l.learn(ctx, lesson{
		phase: "find the pattern", module: trigger, steps: o.Updates,
		adam:   torch.AdamOptions{LR: 0.05, Beta1: 0.9, Beta2: 0.999},
		advice: "choose another attack.lf.bound",
		loss: func(s *torch.Scope, _ int, images, labels *torch.Tensor) (*torch.Tensor, func() string) {
			wanted := l.goals(s, labels)
			logits := clean.Forward(trigger.Forward(images).ChannelsLast())
			return logits.CrossEntropy(wanted), func() string {
				led := logits.ArgMaxDim(1).Eq(wanted).Sum().Item() / float64(wanted.Len())
				return fmt.Sprintf("%.0f %% led to their goal", 100*led)
			}
		},
	})
}

// waves is n×k: the first k cosines of the DCT, each 1 at most.
func waves(s *torch.Scope, n, k int) *torch.Tensor {
	out := make([]float32, n*k)
	for i := range out {
		out[i] = float32(math.Cos(math.Pi * float64(2*(i/k)+1) * float64(i%k) / float64(2*n)))
	}
	return torch.From(s, out, n, k)
}
