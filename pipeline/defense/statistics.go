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
// had not gone smoothly. At 0.89 they brought back more of a backdoor than of accuracy
// (blind's seed 1: ASR 0.141 for 0.005).
const clearly = 0.75

// Settle takes BatchNorm's statistics anew from the clean samples, if with them the
// model does clearly better there; else they stay. Relearning with a Counter leaves those of
// batches of which 44 % have triggers: they serve as long as it went smoothly, and where it
// did not they can cost a sixth of the accuracy. It reports whether they are new. The model
// is left in training mode.
func Settle(ctx context.Context, dev *torch.Device, m *torch.Module, clean train.Source) (anew bool, err error) {
	keep := dev.NewScope()
	defer keep.Close()
	fail := func(err error) (bool, error) {
		return false, fmt.Errorf("take BatchNorm's statistics anew: %w", err)
	}
	fresh, err := settled(ctx, dev, keep, m, clean)
	if err != nil {
		return fail(err)
	}
	was, err := meanLoss(ctx, dev, m, clean)
	if err != nil {
		return fail(err)
	}
	is, err := meanLoss(ctx, dev, fresh, clean)
	if err != nil {
		return fail(err)
	}
	if !(is < clearly*was) { // nor where it is not a number
		return false, nil
	}
	err = dev.Do(ctx, func(s *torch.Scope) error {
		buffers, err := m.Buffers()
		if err != nil {
			return err
		}
		s.NoGrad(func() {
			for _, name := range buffers {
				if to, from := m.Buffer(s, name), fresh.Buffer(s, name); slices.Equal(to.Shape(), from.Shape()) {
					to.CopyFrom(from)
				}
			}
		})
		return s.Err()
	})
	if err != nil {
		return fail(err)
	}
	return true, nil
}

// settled is a copy of a model whose statistics are those of the samples.
func settled(ctx context.Context, dev *torch.Device, keep *torch.Scope, m *torch.Module, clean train.Source) (*torch.Module, error) {
	var fresh *torch.Module
	err := dev.Do(ctx, func(*torch.Scope) (err error) {
		if fresh, err = m.CopyTo(keep); err != nil {
			return err
		}
		return fresh.Train(true)
	})
	for i := 0; err == nil && i < max(settling, clean.Batches()); i++ {
		err = dev.Do(ctx, func(s *torch.Scope) error {
			images, _ := clean.Batch(s, i/clean.Batches(), i%clean.Batches())
			s.NoGrad(func() { fresh.Forward(images) })
			return s.Err()
		})
	}
	return fresh, err
}

// meanLoss is the mean of the batches' cross-entropies as the model answers, in
// evaluation mode; it is left in training mode.
func meanLoss(ctx context.Context, dev *torch.Device, m *torch.Module, src train.Source) (float64, error) {
	sum := 0.0
	err := eachAnswer(ctx, dev, m, src, func(logits, labels *torch.Tensor) { sum += logits.CrossEntropy(labels).Item() })
	return sum / float64(src.Batches()), err
}

// eachAnswer hands over a model's outputs for each batch, as it answers in evaluation mode;
// it is left in training mode.
func eachAnswer(ctx context.Context, dev *torch.Device, m *torch.Module, src train.Source, take func(logits, labels *torch.Tensor)) error {
	for i := range src.Batches() {
		err := dev.Do(ctx, func(s *torch.Scope) error {
			if err := m.Train(false); err != nil {
				return err
			}
			images, labels := src.Batch(s, 0, i)
			s.NoGrad(func() { take(m.Forward(images), labels) })
			if err := s.Err(); err != nil {
				return err
			}
			return m.Train(true)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
