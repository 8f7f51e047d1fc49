package defense

import (
	"context"

	"ulrl/pipeline/config"
	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// FineTune trains all parameters on the clean samples and does nothing else:
// what it removes is no merit of a defence. The model is changed in place and
// left in training mode.
func FineTune(ctx context.Context, dev *torch.Device, m *torch.Module, src train.Source, o config.Relearn, w train.Watcher) ([]train.Epoch, error) {
	return train.Run(ctx, dev, m, src, relearning(o), w, func(s *torch.Scope, opt *torch.Optimizer, t *train.Tally, images, labels *torch.Tensor) error {
		logits := m.Forward(images)
		loss := logits.CrossEntropy(labels)
		s.Backward(loss, opt)
		opt.Step(s)
		return t.Add(s, train.Seen{Logits: logits, Labels: labels, CrossEntropy: loss})
	})
}

// FineTuneSAM is FT-SAM (Zhu et al., arXiv 2304.11823): fine-tuning by the slope
// that the loss has some way uphill, at w + o.Rho·w²·g/‖|w|·g‖, which shrinks the
// large weights that backdoors live in. BatchNorm statistics are those of the
// passes at w. The model is changed in place and left in training mode.
func FineTuneSAM(ctx context.Context, dev *torch.Device, m *torch.Module, src train.Source, o config.Relearn, w train.Watcher) ([]train.Epoch, error) {
	return train.Run(ctx, dev, m, src, relearning(o), w, func(s *torch.Scope, opt *torch.Optimizer, t *train.Tally, images, labels *torch.Tensor) error {
		logits := m.Forward(images)
		loss := logits.CrossEntropy(labels)
		s.Backward(loss, opt)
		if err := uphill(s, opt, m, o.Rho, func() *torch.Tensor { return m.Forward(images).CrossEntropy(labels) }); err != nil {
			return err
		}
		opt.Step(s)
		return t.Add(s, train.Seen{Logits: logits, Labels: labels, CrossEntropy: loss})
	})
}

// uphill replaces the slopes at the weights by those that the loss has where they
// lead, rho upwards; weights and, but for a failure, buffers stay as they are.
func uphill(s *torch.Scope, opt *torch.Optimizer, m *torch.Module, rho float64, loss func() *torch.Tensor) error {
	opt.Climb(s, rho)
	err := keepingBuffers(s, m, func() {
		opt.ZeroGrad(s)
		s.Backward(loss(), opt)
	})
	opt.Return(s)
	return err
}

// keepingBuffers runs f and takes the module's buffers back to before.
func keepingBuffers(s *torch.Scope, m *torch.Module, f func()) error {
	names, err := m.Buffers()
	if err != nil {
		return err
	}
	before := make([]*torch.Tensor, len(names))
	for i, name := range names {
		before[i] = m.Buffer(s, name).Clone()
	}
	f()
	for i, name := range names {
		m.Buffer(s, name).CopyFrom(before[i])
	}
	return nil
}

// relearning is the course of training that a config's relearn section says.
func relearning(o config.Relearn) train.Plan {
	return train.Plan{
		Phase: "relearn", Epochs: o.Epochs,
		SGD:       torch.SGDOptions{LR: o.LR, Momentum: o.Momentum, WeightDecay: o.WeightDecay},
		LR:        func(epoch, _ int) float64 { return train.Cosine(o.LR, epoch, o.Epochs) },
		Precision: o.Precision,
		Advice:    "lower relearn.lr",
	}
}
