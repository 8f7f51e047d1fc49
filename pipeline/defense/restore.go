package defense

import (
	"context"
	"fmt"
	"math"

	"ulrl/pipeline/model"
	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// highest is by how much Restore raises a bias at most.
const highest = 2.0

// MeanShare is a class's mean share in a model's outputs for the clean samples, as it
// answers in evaluation mode; it is left in training mode.
func MeanShare(ctx context.Context, dev *torch.Device, m *torch.Module, class int, clean train.Source) (float64, error) {
	odds, err := logOdds(ctx, dev, m, class, clean)
	if err != nil {
		return 0, fmt.Errorf("measure class %d's share in the outputs for the clean samples: %w", class, err)
	}
	return shareOf(odds, 0), nil
}

// Restore raises the head's bias for a class until its mean share in the outputs for the
// clean samples is no less than wanted. Of what relearning with a Counter costs in accuracy
// most is that class's own images, which the model no longer dares to call by it. It reports
// by how much, 0 to 2 nats. The model is left in training mode.
func Restore(ctx context.Context, dev *torch.Device, m *torch.Module, head model.Layer, class int, wanted float64, clean train.Source) (raised float64, err error) {
	fail := func(err error) (float64, error) {
		return 0, fmt.Errorf("restore class %d's share in the outputs: %w", class, err)
	}
	odds, err := logOdds(ctx, dev, m, class, clean)
	if err != nil {
		return fail(err)
	}
	if raised = raise(odds, wanted); raised == 0 {
		return 0, nil
	}
	err = dev.Do(ctx, func(s *torch.Scope) error {
		s.NoGrad(func() {
			bias := m.Parameter(s, head.Bias)
			row := []int{class}
			bias.CopyRows(row, bias.Rows(row).AddScalar(raised))
		})
		return s.Err()
	})
	if err != nil {
		return fail(err)
	}
	return raised, nil
}

// logOdds are those of a class, for each of the samples, in evaluation mode.
func logOdds(ctx context.Context, dev *torch.Device, m *torch.Module, class int, src train.Source) ([]float64, error) {
	var odds []float64
	err := eachAnswer(ctx, dev, m, src, func(logits, _ *torch.Tensor) {
		mine := logShare(logits.To(torch.Float64), class)
		others := mine.Exp().Neg().AddScalar(1).Clamp(1e-300, 1).Log()
		odds = append(odds, torch.Values[float64](mine.Sub(others))...)
	})
	return odds, err
}

// shareOf is the mean share that log-odds amount to, raised by so much.
func shareOf(odds []float64, by float64) float64 {
	sum := 0.0
	for _, o := range odds {
		sum += 1 / (1 + math.Exp(-o-by))
	}
	return sum / float64(len(odds))
}

// raise is by how much log-odds have to be raised for a mean share, 0 to highest.
func raise(odds []float64, want float64) float64 {
	low, high := 0.0, highest
	if shareOf(odds, low) >= want {
		return low
	}
	for range 40 {
		if middle := (low + high) / 2; shareOf(odds, middle) < want {
			low = middle
		} else {
			high = middle
		}
	}
	return high
}
