package attack

import (
	"context"
	"math/rand/v2"

	"ulrl/pipeline/config"
	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// Partner is a generator that is trained along with a model, by the same loss.
type Partner struct {
	Module *torch.Module
	Adam   *torch.Optimizer // of Module
	LR     float64          // at the model's highest learning rate; it falls with that
	Epochs int              // after so many the generator is fixed
}

// Course is how a model is trained; the learning rate follows the schedule
// batch by batch.
type Course struct {
	Model    *torch.Module // changed in place and left in training mode
	Source   train.Source
	Loss     Loss
	Schedule config.Training
	Partner  *Partner // nil: none
	Watch    train.Watcher
	Seed     uint64                   // of dropout inside the model
	Resume   *Checkpoint              // nil: from the beginning
	Save     func(c Checkpoint) error // after each epoch; nil: never
}

// Train runs a course.
func Train(ctx context.Context, dev *torch.Device, c Course) error {
	o, p, batches := c.Schedule, c.Partner, c.Source.Batches()
	plan := train.Plan{
		Phase: "train", Epochs: o.Epochs,
		SGD:       torch.SGDOptions{LR: o.LR, Momentum: o.Momentum, WeightDecay: o.WeightDecay, Nesterov: o.Nesterov},
		LR:        func(epoch, batch int) float64 { return rate(o, epoch*batches+batch, o.Epochs*batches) },
		Precision: o.Precision,
		Advice:    "lower attack.train.lr",
	}
	c.checkpoints(&plan)
	_, err := train.Run(ctx, dev, c.Model, c.Source, plan, c.Watch, func(s *torch.Scope, opt *torch.Optimizer, t *train.Tally, images, labels *torch.Tensor) error {
		if t.Added() == 0 {
			if err := dev.Seed(epochSeed(c.Seed, t.Epoch.Epoch)); err != nil {
				return err
			}
		}
		learning, err := p.prepare(s, t.Epoch.Epoch)
		if err != nil {
			return err
		}
		logits, crossEntropy, whole := c.Loss(s, c.Model, images, labels)
		if learning {
			s.Backward(whole, opt, p.Adam)
		} else {
			s.Backward(whole, opt)
		}
		if o.ClipNorm > 0 {
			opt.ClipGradNorm(s, o.ClipNorm)
		}
		opt.Step(s)
		if learning {
			if err := p.Adam.SetLR(p.LR * plan.LR(t.Epoch.Epoch-1, t.Added()) / o.LR); err != nil {
				return err
			}
			p.Adam.Step(s)
		}
		return t.Add(s, train.Seen{Logits: logits, Labels: labels, CrossEntropy: crossEntropy})
	})
	return err
}

// epochSeed makes what dropout draws in an epoch hang on nothing before it, so
// that a training that is resumed ends as one that is not.
func epochSeed(seed uint64, epoch int) uint64 {
	return rand.NewPCG(seed, uint64(epoch)).Uint64()
}

// prepare clears the partner's gradients, or stops it once its epochs (the
// argument counts from 1) are over.
func (p *Partner) prepare(s *torch.Scope, epoch int) (learning bool, err error) {
	switch {
	case p == nil:
		return false, nil
	case epoch > p.Epochs:
		return false, p.Module.RequireGrad(false)
	}
	p.Adam.ZeroGrad(s)
	return true, nil
}

func rate(o config.Training, step, steps int) float64 {
	switch o.Schedule {
	case "onecycle":
		return train.OneCycle(o.LR, step, steps)
	case "cosine":
		return train.Cosine(o.LR, step, steps)
	default:
		return o.LR
	}
}
