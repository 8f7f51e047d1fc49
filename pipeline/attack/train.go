package attack

import (
	"context"

	"ulrl/pipeline/config"
	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// Train fits a model to src by a loss; the learning rate follows the schedule
// batch by batch. The model is changed in place and left in training
// mode.
func Train(ctx context.Context, dev *torch.Device, model *torch.Module, src train.Source, loss Loss, o config.Training, w train.Watcher) ([]train.Epoch, error) {
	steps := o.Epochs * src.Batches()
	plan := train.Plan{
		Phase: "train", Epochs: o.Epochs,
		SGD:    torch.SGDOptions{LR: o.LR, Momentum: o.Momentum, WeightDecay: o.WeightDecay, Nesterov: o.Nesterov},
		LR:     func(epoch, batch int) float64 { return rate(o, epoch*src.Batches()+batch, steps) },
		Advice: "lower attack.train.lr",
	}
	return train.Run(ctx, dev, model, src, plan, w, func(s *torch.Scope, opt *torch.Optimizer, t *train.Tally, images, labels *torch.Tensor) error {
		logits, crossEntropy, whole := loss(s, model, images, labels)
		whole.Backward()
		opt.Step(s)
		return t.Add(s, logits, labels, crossEntropy, plan.Advice)
	})
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
