package defense

import (
	"context"

	torch "ulrl/torchbridge"
)

// takeBack moves a model by a share of the way to another of its kind, weights and
// running statistics (weight-space ensembling, arXiv 2109.01903, section 3): along
// that way accuracy comes back at once and a backdoor only near its end.
func takeBack(ctx context.Context, dev *torch.Device, m, to *torch.Module, share float64) error {
	return dev.Do(ctx, func(s *torch.Scope) error {
		here, err := m.CopyTo(s) // a weight that has two names is moved once
		if err != nil {
			return err
		}
		parameters, err := m.Parameters()
		if err != nil {
			return err
		}
		buffers, err := m.Buffers()
		if err != nil {
			return err
		}
		s.NoGrad(func() {
			for _, name := range parameters {
				m.Parameter(s, name).CopyFrom(between(here.Parameter(s, name), to.Parameter(s, name), share))
			}
			for _, name := range buffers {
				if at := here.Buffer(s, name); !counts(at.DType()) {
					m.Buffer(s, name).CopyFrom(between(at, to.Buffer(s, name), share))
				}
			}
		})
		return s.Err()
	})
}

func between(a, b *torch.Tensor, share float64) *torch.Tensor {
	return a.Add(b.Sub(a).MulScalar(share))
}

// counts says of a buffer's type that what it holds has nothing in between.
func counts(d torch.DType) bool { return d == torch.Int64 || d == torch.Uint8 || d == torch.Bool }
