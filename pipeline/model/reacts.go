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
		before := twin.Forward(images)
		statistics := map[string]*torch.Tensor{}
		for _, name := range buffers {
			if strings.HasSuffix(name, "running_mean") || strings.HasSuffix(name, "running_var") {
				result.HasBatchNorm = true
				statistics[name] = twin.Buffer(s, name).Clone()
			}
		}
		if err = twin.Train(true); err != nil {
			return
		}
		differ := func(a, b *torch.Tensor) bool { return a.Eq(b).All().Item() == 0 }
		result.Reacts = differ(twin.Forward(images), before)
		for name, old := range statistics {
			result.Reacts = result.Reacts || differ(twin.Buffer(s, name), old)
		}
	})
	if err != nil {
		return result, err
	}
	return result, s.Err()
}
