package defense

import (
	"context"
	"fmt"

	"ulrl/pipeline/config"
	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// Unlearn drives the model away from the clean samples: gradient ascent on the
// cross-entropy until the accuracy falls to o.StopAccuracy. The neurons that a
// backdoor uses change most (arXiv 2405.14781, unlearning stage). The model is
// changed in place and left in training mode.
func Unlearn(ctx context.Context, dev *torch.Device, model *torch.Module, src train.Source, o config.Unlearn, w train.Watcher) ([]train.Epoch, error) {
	const advice = "lower unlearn.lr or raise unlearn.stop_accuracy"
	var done []train.Epoch
	sgd := torch.SGDOptions{LR: o.LR, Momentum: o.Momentum, WeightDecay: o.WeightDecay}
	err := train.WithSGD(ctx, dev, model, sgd, func(opt *torch.SGD) error {
		for epoch := range o.Epochs {
			lr := train.MultiStep(o.LR, o.Milestones, o.Gamma, epoch)
			if err := opt.SetLR(lr); err != nil {
				return err
			}
			t := train.NewTally("unlearn", epoch, o.Epochs, lr)
			err := train.EachBatch(ctx, dev, src, w, t, func(s *torch.Scope, _ int, images, labels *torch.Tensor) error {
				opt.ZeroGrad(s)
				logits := model.Forward(images)
				loss := logits.CrossEntropy(labels)
				loss.Neg().Backward()
				if o.ClipNorm > 0 {
					opt.ClipGradNorm(s, o.ClipNorm)
				}
				opt.Step(s)
				return t.Add(s, logits, labels, loss, advice)
			})
			if err != nil {
				return err
			}
			e := t.Finish()
			done = append(done, e)
			if err := w.Epoch(e); err != nil {
				return err
			}
			if e.Accuracy <= o.StopAccuracy {
				return nil
			}
		}
		return nil
	})
	if err == nil {
		err = train.Finite(ctx, dev, model, advice)
	}
	if err != nil {
		return done, fmt.Errorf("unlearn: %w", err)
	}
	return done, nil
}
