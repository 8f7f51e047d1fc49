package attack

import (
	"context"
	"fmt"

	"ulrl/pipeline/config"
	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// Train fits a model to src by a loss; the learning rate follows the schedule
// batch by batch. The model is changed in place and left in training
// mode.
func Train(ctx context.Context, dev *torch.Device, model *torch.Module, src train.Source, loss Loss, o config.Training, w train.Watcher) ([]train.Epoch, error) {
	const advice = "lower attack.train.lr"
	var done []train.Epoch
	sgd := torch.SGDOptions{LR: o.LR, Momentum: o.Momentum, WeightDecay: o.WeightDecay, Nesterov: o.Nesterov}
	steps := o.Epochs * src.Batches()
	err := train.WithSGD(ctx, dev, model, sgd, func(opt *torch.SGD) error {
		for epoch := range o.Epochs {
			first := epoch * src.Batches()
			t := train.NewTally("train", epoch, o.Epochs, rate(o, first, steps))
			err := train.EachBatch(ctx, dev, src, w, t, func(s *torch.Scope, i int, images, labels *torch.Tensor) error {
				if err := opt.SetLR(rate(o, first+i, steps)); err != nil {
					return err
				}
				opt.ZeroGrad(s)
				logits, crossEntropy, whole := loss(s, model, images, labels)
				whole.Backward()
				opt.Step(s)
				return t.Add(s, logits, labels, crossEntropy, advice)
			})
			if err != nil {
				return err
			}
			e := t.Finish()
			done = append(done, e)
			if err := w.Epoch(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = train.Finite(ctx, dev, model, advice)
	}
	if err != nil {
		return done, fmt.Errorf("train: %w", err)
	}
	return done, nil
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
