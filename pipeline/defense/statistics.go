package defense

import (
	"context"
	"fmt"
	"slices"

	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// settling is over how many batches, at least, statistics are taken anew: with
// BatchNorm's usual momentum of 0.1 what was there before is then 2 % of them.
const settling = 40

// clearly is the share of the loss to which new statistics must bring it: 0.6 where relearning
// had not gone smoothly, near 1 where it had.
const clearly = 0.9

// Settle takes BatchNorm's statistics anew from the clean samples, if with them the
// model does clearly better there; else they stay. Relearning with a Counter leaves those of
// batches that are two fifths triggers: they serve as long as it went smoothly, and where it
// did not they can cost a sixth of the accuracy. It reports whether they are new. The model
// is left in training mode.
func Settle(ctx context.Context, dev *torch.Device, m *torch.Module, clean train.Source) (anew bool, err error) {
	keep := dev.NewScope()
	defer keep.Close()
	var before *torch.Module
	err = dev.Do(ctx, func(*torch.Scope) (err error) { before, err = m.CopyTo(keep); return })
	if err == nil {
		anew, err = settle(ctx, dev, m, before, clean)
	}
	if err == nil && !anew {
		err = restore(ctx, dev, m, before)
	}
	if err != nil {
		return false, fmt.Errorf("take BatchNorm's statistics anew: %w", err)
	}
	return anew, nil
}

// settle is Settle but for what it restores; before is the model as it is.
func settle(ctx context.Context, dev *torch.Device, m, before *torch.Module, clean train.Source) (better bool, err error) {
	for i := range max(settling, clean.Batches()) {
		err := dev.Do(ctx, func(s *torch.Scope) error {
			if err := m.Train(true); err != nil {
				return err
			}
			images, _ := clean.Batch(s, i/clean.Batches(), i%clean.Batches())
			s.NoGrad(func() { m.Forward(images) })
			return s.Err()
		})
		if err != nil {
			return false, err
		}
	}
	was, err := meanLoss(ctx, dev, before, clean)
	if err != nil {
		return false, err
	}
	is, err := meanLoss(ctx, dev, m, clean)
	return is < clearly*was, err
}

// restore gives a model the buffers of another.
func restore(ctx context.Context, dev *torch.Device, m, of *torch.Module) error {
	return dev.Do(ctx, func(s *torch.Scope) error {
		buffers, err := m.Buffers()
		if err != nil {
			return err
		}
		s.NoGrad(func() {
			for _, name := range buffers {
				if now, was := m.Buffer(s, name), of.Buffer(s, name); slices.Equal(now.Shape(), was.Shape()) {
					now.CopyFrom(was)
				}
			}
		})
		return s.Err()
	})
}

// meanLoss is the mean of the batches' cross-entropies as the model answers, in
// evaluation mode; it is left in training mode.
func meanLoss(ctx context.Context, dev *torch.Device, m *torch.Module, src train.Source) (float64, error) {
	sum := 0.0
	for i := range src.Batches() {
		err := dev.Do(ctx, func(s *torch.Scope) error {
			if err := m.Train(false); err != nil {
				return err
			}
			images, labels := src.Batch(s, 0, i)
			s.NoGrad(func() { sum += m.Forward(images).CrossEntropy(labels).Item() })
			if err := s.Err(); err != nil {
				return err
			}
			return m.Train(true)
		})
		if err != nil {
			return 0, err
		}
	}
	return sum / float64(src.Batches()), nil
}
