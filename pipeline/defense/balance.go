package defense

import (
	"context"
	"fmt"
	"math"
	"slices"

	"ulrl/pipeline/model"
	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// highest is by how much Balance raises a suspicious class's bias at most.
const highest = 2.0

// Balance fits the head's biases to the clean samples: each class's mean share in the
// outputs for them becomes what their labels say, which is where cross-entropy over the
// biases is lowest. Of what relearning with a Counter costs in accuracy much is classes
// that the model no longer dares to name, the suspicious ones above all. Each of these
// gets at least floor, from 0 to 1, of what the labels say, and is raised by 2 nats at
// most. A normal prior of deviation 1 keeps biases of which the samples tell little where
// they are. It reports by how much the first one's was raised, in nats. The model is left in
// training mode.
func Balance(ctx context.Context, dev *torch.Device, m *torch.Module, head model.Layer, suspicious []Suspect, floor float64, clean train.Source) (raised float64, err error) {
	fail := func(err error) (float64, error) {
		return 0, fmt.Errorf("fit the head's biases to the clean samples: %w", err)
	}
	o, err := answers(ctx, dev, m, clean)
	if err != nil {
		return fail(err)
	}
	by, err := o.balance(ctx, classesOf(suspicious), floor)
	if err != nil {
		return fail(err)
	}
	was, err := numbers(ctx, dev, m, head.Bias)
	if err != nil {
		return fail(err)
	}
	moved := make([]float32, len(was))
	for k := range was {
		moved[k] = was[k] + float32(by[k])
	}
	if err := setNumbers(ctx, dev, m, head.Bias, moved); err != nil {
		return fail(err)
	}
	now, err := answers(ctx, dev, m, clean)
	if err != nil {
		return fail(err)
	}
	if now.follow(o, by) {
		return by[suspicious[0].Class], nil
	}
	if err := setNumbers(ctx, dev, m, head.Bias, was); err != nil {
		return fail(err)
	}
	return 0, nil
}

// numbers are a parameter's.
func numbers(ctx context.Context, dev *torch.Device, m *torch.Module, name string) (out []float32, err error) {
	err = dev.Do(ctx, func(s *torch.Scope) error {
		out = torch.Values[float32](m.Parameter(s, name))
		return s.Err()
	})
	return out, err
}

// setNumbers makes these a parameter's.
func setNumbers(ctx context.Context, dev *torch.Device, m *torch.Module, name string, to []float32) error {
	return dev.Do(ctx, func(s *torch.Scope) error {
		s.NoGrad(func() { m.Parameter(s, name).CopyFrom(torch.From(s, to, len(to))) })
		return s.Err()
	})
}

// answers are a model's outputs for the samples of an epoch.
func answers(ctx context.Context, dev *torch.Device, m *torch.Module, src train.Source) (o outputs, err error) {
	err = eachAnswer(ctx, dev, m, src, func(logits, labels *torch.Tensor) {
		o.logits = append(o.logits, torch.Values[float64](logits.To(torch.Float64))...)
		o.labels = append(o.labels, torch.Values[int64](labels)...)
	})
	return o, err
}

func classesOf(suspicious []Suspect) []int {
	out := make([]int, len(suspicious))
	for i, s := range suspicious {
		out[i] = s.Class
	}
	return out
}

// outputs are a model's logits for N samples, N×K, and their labels.
type outputs struct {
	logits []float64
	labels []int64
}

// follow tells whether the logits are those that were, each class's raised by so much.
func (o outputs) follow(were outputs, by []float64) bool {
	const rounding = 0.01 // nats
	for i, logit := range o.logits {
		if !(math.Abs(logit-were.logits[i]-by[i%len(by)]) <= rounding) { // nor where it is not a number
			return false
		}
	}
	return true
}

func (o outputs) classes() int { return len(o.logits) / len(o.labels) }

// balance is by how much each class's logit has to be raised, as Balance says. It goes
// down a convex function, K steps side by side, each by its own curvature: with many
// classes and samples that takes a while, so it ends with its context.
func (o outputs) balance(ctx context.Context, suspicious []int, floor float64) ([]float64, error) {
	const (
		steps    = 500
		damping  = 0.7 // all at once would swing
		furthest = 0.5 // nats, in one step
		enough   = 1e-7
	)
	by := make([]float64, o.classes())
	shares, curvatures := o.shares(by)
	wanted := o.wanted(shares, suspicious, floor)
	prior := 1 / float64(len(o.labels))
	for range steps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		most := 0.0
		for k := range by {
			step := damping * (wanted[k] - shares[k] - prior*by[k]) / (curvatures[k] + prior)
			at := by[k]
			by[k] += max(-furthest, min(furthest, step))
			if slices.Contains(suspicious, k) {
				by[k] = min(by[k], highest)
			}
			most = max(most, math.Abs(by[k]-at))
		}
		if most < enough {
			break
		}
		shares, curvatures = o.shares(by)
	}
	return by, nil
}

// wanted are the classes' shares by the labels. A suspicious one's own share is left
// it where that is between floor of this and all of it.
func (o outputs) wanted(shares []float64, suspicious []int, floor float64) []float64 {
	wanted := make([]float64, o.classes())
	for _, label := range o.labels {
		wanted[label] += 1 / float64(len(o.labels))
	}
	all, theirs := 0.0, 0.0
	for _, k := range suspicious {
		all += wanted[k]
		wanted[k] = min(max(shares[k], floor*wanted[k]), wanted[k])
		theirs += wanted[k]
	}
	for k := range wanted {
		if !slices.Contains(suspicious, k) && all < 1 {
			wanted[k] *= (1 - theirs) / (1 - all)
		}
	}
	return wanted
}

// shares are the classes' mean shares with their logits raised by so much, and how
// steeply each grows with its own.
func (o outputs) shares(by []float64) (shares, slopes []float64) {
	k := len(by)
	shares, slopes = make([]float64, k), make([]float64, k)
	raised := make([]float64, k)
	for i := range o.labels {
		top := math.Inf(-1)
		for j, logit := range o.logits[i*k : (i+1)*k] {
			raised[j] = logit + by[j]
			top = max(top, raised[j])
		}
		sum := 0.0
		for j, r := range raised {
			raised[j] = math.Exp(r - top)
			sum += raised[j]
		}
		for j, r := range raised {
			p := r / sum / float64(len(o.labels))
			shares[j] += p
			slopes[j] += p * (1 - r/sum)
		}
	}
	return shares, slopes
}
