package model

import (
	"strings"

	torch "ulrl/torchbridge"
)

// TrainEval says how a model reacts to being switched between training and
// evaluation.
type TrainEval struct {
	HasBatchNorm bool // there are running statistics
	Reacts       bool // they move, or the outputs differ, in training mode
	Restless     bool // they move, or the outputs of twice the same images differ, in evaluation mode
}

// Frozen reports a model whose BatchNorm does not react: it was traced, or
// frozen, in evaluation mode, and cannot be trained as it was.
func (t TrainEval) Frozen() bool { return t.HasBatchNorm && !t.Reacts }

// Reacts runs a copy of the model in training mode and compares it with
// evaluation; the model itself is left in evaluation mode, unchanged.
func Reacts(s *torch.Scope, m *torch.Module, images *torch.Tensor) (TrainEval, error) {
	var result TrainEval
	twin, err := m.CopyTo(s)
	if err != nil {
		return result, err
	}
	if err := twin.Train(false); err != nil {
		return result, err
	}
	buffers, err := twin.Buffers()
	if err != nil {
		return result, err
	}
	s.NoGrad(func() {
		statistics := map[string]*torch.Tensor{}
		for _, name := range buffers {
			if strings.HasSuffix(name, "running_mean") || strings.HasSuffix(name, "running_var") {
				result.HasBatchNorm = true
				statistics[name] = twin.Buffer(s, name).Clone()
			}
		}
		differ := func(a, b *torch.Tensor) bool { return a.Eq(b).All().Item() == 0 }
		moved := func() (any bool) {
			for name, old := range statistics {
				any = any || differ(twin.Buffer(s, name), old)
			}
			return any
		}
		before := twin.Forward(images)
		again := twin.Forward(images)
		const rounding = 1e-3 // a GPU's sums are not the same twice
		result.Restless = moved() || again.Sub(before).Norm().Item() > rounding*before.Norm().Item()
		if err = twin.Train(true); err != nil {
			return
		}
		result.Reacts = differ(twin.Forward(images), before) || moved()
	})
	if err != nil {
		return result, err
	}
	return result, s.Err()
}
