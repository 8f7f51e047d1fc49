package attack

import (
	"fmt"

	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// Checkpoint is a training that was left after whole epochs: what it takes to
// go on as if it had not been.
type Checkpoint struct {
	Epochs  int    // that are over
	Model   []byte // TorchScript
	SGD     []byte // the optimiser's state
	Adam    []byte // the partner's optimiser's state; nil where there is none
	Trigger []byte // TorchScript; nil where the config says all of it
}

// checkpoints lets a plan begin with c.Resume and save what c.Save wants.
func (c Course) checkpoints(plan *train.Plan) {
	if from := c.Resume; from != nil {
		plan.Done = from.Epochs
		plan.Begin = func(s *torch.Scope, opt *torch.Optimizer) error {
			if err := restore(s, c.Model, from.Model); err != nil {
				return err
			}
			if c.Partner != nil {
				if err := c.Partner.Adam.Restore(from.Adam); err != nil {
					return err
				}
			}
			return opt.Restore(from.SGD)
		}
	}
	if c.Save == nil {
		return
	}
	plan.After = func(_ *torch.Scope, epoch int, opt *torch.Optimizer) (err error) {
		at := Checkpoint{Epochs: epoch}
		if at.Model, err = c.Model.Save(); err != nil {
			return err
		}
		if at.SGD, err = opt.Save(); err != nil {
			return err
		}
		if c.Partner != nil {
			if at.Adam, err = c.Partner.Adam.Save(); err != nil {
				return err
			}
		}
		return c.Save(at)
	}
}

// restore gives a module the weights and buffers of an archive of its kind.
func restore(s *torch.Scope, m *torch.Module, archive []byte) error {
	saved, err := s.LoadModule(archive)
	if err != nil {
		return fmt.Errorf("read a checkpoint: %w", err)
	}
	state, err := m.State()
	if err != nil {
		return err
	}
	s.NoGrad(func() {
		for _, at := range state {
			m.Tensor(s, at).CopyFrom(saved.Tensor(s, at))
		}
	})
	return s.Err()
}
