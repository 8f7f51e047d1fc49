package defense

import (
	"context"

	"ulrl/pipeline/config"
	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// Unlearn drives the model away from the clean samples: gradient ascent on the
// cross-entropy until the accuracy falls to o.StopAccuracy. The neurons that a
// backdoor uses change most (arXiv 2405.14781, unlearning stage). The model is
// changed in place and left in training mode.
func Unlearn(ctx context.Context, dev *torch.Device, model *torch.Module, src train.Source, o config.Unlearn, w train.Watcher) ([]train.Epoch, error) {
	plan := train.Plan{
		Phase: "unlearn", Epochs: o.Epochs,
		SGD:       torch.SGDOptions{LR: o.LR, Momentum: o.Momentum, WeightDecay: o.WeightDecay},
		LR:        func(epoch, _ int) float64 { return train.MultiStep(o.LR, o.Milestones, o.Gamma, epoch) },
		Stop:      func(e train.Epoch) bool { return e.Accuracy <= o.StopAccuracy },
		Precision: o.Precision,
		Advice:    "lower unlearn.lr or raise unlearn.stop_accuracy",
	}
	return train.Run(ctx, dev, model, src, plan, w, func(s *torch.Scope, opt *torch.Optimizer, t *train.Tally, images, labels *torch.Tensor) error {
		logits := model.Forward(images)
		loss := logits.CrossEntropy(labels)
		s.Backward(loss.Neg(), opt)
		if o.ClipNorm > 0 {
			opt.ClipGradNorm(s, o.ClipNorm)
		}
		opt.Step(s)
		return t.Add(s, train.Seen{Logits: logits, Labels: labels, CrossEntropy: loss})
	})
}
