package defense

import (
	"context"
	"slices"

	torch "ulrl/torchbridge"
)

// takeBack moves a model by a share of the way to another of its kind, weights and
// floating-point buffers (weight-space ensembling, arXiv 2109.01903, section 3): along
// that way accuracy comes back from the first step on, a backdoor mostly beyond the half.
func takeBack(ctx context.Context, dev *torch.Device, m, to *torch.Module, share float64) error {
	return dev.Do(ctx, func(s *torch.Scope) error {
		here, err := m.CopyTo(s) // a weight that has two names is moved once
		if err != nil {
			return err
		}
		state, err := m.State()
		if err != nil {
			return err
		}
		s.NoGrad(func() {
			for _, at := range state {
				move(m.Tensor(s, at), here.Tensor(s, at), to.Tensor(s, at), share)
			}
		})
		return s.Err()
	})
}

// move sets t to what lies a share of the way from one tensor to another. What counts
// has nothing in between and stays, as does what has another shape there.
func move(t, from, to *torch.Tensor, share float64) {
	if !floating(from) || !slices.Equal(from.Shape(), to.Shape()) {
		return
	}
	t.CopyFrom(from.Add(to.Sub(from).MulScalar(share)))
}

// floating says whether a tensor's type has halves.
func floating(t *torch.Tensor) bool { return t.MulScalar(0.5).DType() == t.DType() }
