package attack

import (
	"ulrl/pipeline/config"
	torch "ulrl/torchbridge"
)

// Loss is what Train descends: the cross-entropy on the images as they are,
// and the loss in whole, which may hold more. It runs inside a step.
type Loss func(s *torch.Scope, m *torch.Module, images, labels *torch.Tensor) (logits, crossEntropy, whole *torch.Tensor)

// CrossEntropy is the usual loss.
func CrossEntropy(_ *torch.Scope, m *torch.Module, images, labels *torch.Tensor) (logits, crossEntropy, whole *torch.Tensor) {
	logits = m.Forward(images)
	crossEntropy = logits.CrossEntropy(labels)
	return logits, crossEntropy, crossEntropy
}

// BlindLoss is that of Bagdasaryan and Shmatikov, "Blind Backdoors" (arXiv
// 2005.03823), with fixed weights: clean·CE(images, labels) +
// trigger·CE(triggered images, goals), the second once a batch had been seen
// whose clean loss is below the threshold. Both go through the model in one
// batch: on their own, each would have BatchNorm statistics of its own, and
// clean images would meet neither when it counts.
func BlindLoss(c config.Attack, classes int, trigger *torch.Module) Loss {
	started := false
	return func(s *torch.Scope, m *torch.Module, images, labels *torch.Tensor) (logits, crossEntropy, whole *torch.Tensor) {
		if !started {
			logits, crossEntropy, _ = CrossEntropy(s, m, images, labels)
			started = crossEntropy.Item() < c.Blind.Threshold
			return logits, crossEntropy, crossEntropy.MulScalar(c.Blind.CleanWeight)
		}
		n := labels.Len()
		var triggered *torch.Tensor
		s.NoGrad(func() { triggered = exactly(s, trigger, images) })
		both := m.Forward(s.Cat(0, images, triggered).ChannelsLast())
		logits = both.Narrow(0, 0, n)
		crossEntropy = logits.CrossEntropy(labels)
		poisoned := both.Narrow(0, n, n).CrossEntropy(goals(s, c, classes, labels))
		return logits, crossEntropy, crossEntropy.MulScalar(c.Blind.CleanWeight).Add(poisoned.MulScalar(c.Blind.TriggerWeight))
	}
}
