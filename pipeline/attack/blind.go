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
// trigger·CE(triggered images, goals), the second from the first batch on
// whose clean loss is below the threshold.
func BlindLoss(c config.Attack, classes int, trigger *torch.Module) Loss {
	started := false
	return func(s *torch.Scope, m *torch.Module, images, labels *torch.Tensor) (logits, crossEntropy, whole *torch.Tensor) {
		logits, crossEntropy, _ = CrossEntropy(s, m, images, labels)
		whole = crossEntropy.MulScalar(c.Blind.CleanWeight)
		started = started || crossEntropy.Item() < c.Blind.Threshold
		if !started {
			return logits, crossEntropy, whole
		}
		goals := torch.Values[int64](labels)
		for i, label := range goals {
			goals[i] = goal(c, label, classes)
		}
		var triggered *torch.Tensor
		s.NoGrad(func() { triggered = trigger.Forward(images).ChannelsLast() })
		poisoned := m.Forward(triggered).CrossEntropy(torch.From(s, goals, len(goals)))
		return logits, crossEntropy, whole.Add(poisoned.MulScalar(c.Blind.TriggerWeight))
	}
}
