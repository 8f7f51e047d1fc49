package attack

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/model"
	torch "ulrl/torchbridge"
)

// trojanTrigger finds the pixels of a patch that drive chosen neurons of a
// clean model to a value (Liu et al., "Trojaning Attack on Neural Networks",
// NDSS 2018), whatever the image below. The neurons are outputs of the
// classifier layer other than the target's: that one would make the patch an
// adversarial one, which triggers clean models too.
func trojanTrigger(ctx context.Context, l *Lab) (*torch.Module, error) {
	f, o := l.form(), l.Config.TrojanNN
	pattern, mask := make([]uint8, f.C*f.H*f.W), make([]uint8, f.C*f.H*f.W)
	if err := square(pattern, mask, l.Config.Trigger, f); err != nil {
		return nil, err
	}
	trigger, learned, err := l.learnable(ctx, func(b *torch.Builder, s *torch.Scope) *torch.Part {
		return b.Part("LearnedPatch").
			Parameter("raw", s.Full(0, torch.Float32, f.C, f.H, f.W)). // mid grey
			Buffer("mask", picture(s, mask, f).Sign()).
			Define(`
def forward(self, x):
    return x * (1.0 - self.mask) + 255.0 * torch.sigmoid(self.raw) * self.mask
`)
	})
	if err != nil || learned {
		return trigger, err
	}
	clean, err := l.frozen(ctx)
	if err != nil {
		return nil, err
	}
	neurons, err := l.strongest(ctx, clean)
	if err != nil {
		return nil, err
	}
	return trigger, l.learn(ctx, lesson{
		phase: "find the patch", module: trigger, steps: o.Updates,
		adam:   torch.AdamOptions{LR: 0.1, Beta1: 0.9, Beta2: 0.999},
		advice: "lower attack.trojannn.value",
		loss: func(s *torch.Scope, _ int, images, _ *torch.Tensor) (*torch.Tensor, func() string) {
			logits := clean.Forward(trigger.Forward(images).ChannelsLast())
			var driven []*torch.Tensor
			for _, k := range neurons {
				driven = append(driven, logits.Narrow(1, k, 1))
			}
			values := s.Cat(1, driven...)
			return values.AddScalar(-o.Value).Square().Mean(), func() string {
				return fmt.Sprintf("neurons at %.1f", values.Mean().Item())
			}
		},
	})
}

// strongest are the outputs of the classifier layer with the largest weights.
func (l *Lab) strongest(ctx context.Context, m *torch.Module) ([]int, error) {
	var sums []float32
	err := l.Dev.Do(ctx, func(s *torch.Scope) error {
		layers, err := model.Layers(s, m)
		if err != nil {
			return err
		}
		head, err := model.Match(layers, []string{"head"}, len(l.Set.Classes))
		if err != nil {
			return err
		}
		sums = torch.Values[float32](m.Parameter(s, head[0].Weight).Abs().SumDim(1, false))
		return s.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("find the clean model's classifier layer: %w", err)
	}
	order := make([]int, 0, len(sums))
	for k := range sums {
		if l.Config.LabelMode == config.AllToAll || k != l.Config.Target {
			order = append(order, k)
		}
	}
	if l.Config.TrojanNN.Neurons > len(order) {
		return nil, fault.Misuse("attack.trojannn.neurons is %d, the classifier layer has %d besides the target's", l.Config.TrojanNN.Neurons, len(order))
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(sums[b], sums[a]) })
	return order[:l.Config.TrojanNN.Neurons], nil
}
