package defense

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"ulrl/pipeline/config"
	"ulrl/pipeline/model"
	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// Fresh draws new weights for suspicious rows of a layer: n×fanIn values.
type Fresh func(layer model.Layer, rows []int) []float64

// FreshUniform draws from ±√(2/fan_in), the same values for the same seed and
// layer name.
func FreshUniform(seed uint64) Fresh {
	return func(l model.Layer, rows []int) []float64 {
		name := uint64(14695981039346656037) // FNV-1a keeps layers apart
		for _, b := range []byte(l.Name) {
			name = (name ^ uint64(b)) * 1099511628211
		}
		rng := rand.New(rand.NewPCG(seed, name))
		bound := math.Sqrt(2 / float64(l.FanIn()))
		values := make([]float64, len(rows)*l.FanIn())
		for i := range values {
			values[i] = (2*rng.Float64() - 1) * bound
		}
		return values
	}
}

// ordinary is cross-entropy against the labels and, for the share that Distill
// says, against what the model said before of the same images.
func (l lesson) ordinary(logits, labels, wanted *torch.Tensor) *torch.Tensor {
	ce := logits.CrossEntropy(labels)
	if wanted == nil {
		return ce
	}
	return ce.MulScalar(1 - l.o.Distill).Add(softCrossEntropy(logits, wanted).MulScalar(l.o.Distill))
}

func narrowed(t *torch.Tensor, from, count int) *torch.Tensor {
	if t == nil {
		return nil
	}
	return t.Narrow(0, from, count)
}

// softCrossEntropy is the mean cross-entropy of N×K logits against N
// distributions.
func softCrossEntropy(logits, wanted *torch.Tensor) *torch.Tensor {
	return logits.LogSoftmax(1).Mul(wanted).SumDim(1, false).Mean().Neg()
}

// target is a layer's suspicious rows and what they were.
type target struct {
	layer    model.Layer
	rows     []int
	original *torch.Tensor // len(rows)×fanIn
}

// Remedy is a model with what is known of it.
type Remedy struct {
	Model      *torch.Module // untouched; it is changed in place and left in training mode
	Layers     []model.Layer
	Selections []Selection // of Layers, by index
	Fresh      Fresh
	Counter    *Counter // what is held against the backdoor; nil: nothing
}

// Relearn gives the suspicious neurons new weights, sets their biases to 0, and
// trains all parameters on the clean samples with
//
//	CE + α·Σᵢ cos(Wᵢ, Wᵢ original)
//
// whose second term pushes the new rows off the old ones (arXiv 2405.14781,
// relearning stage). With nothing selected that is plain fine-tuning. Beyond the
// paper, o.Distill puts the model's own outputs of before in place of a share of
// the labels, a Counter adds its loss, and with o.Rho each step descends by the
// slope some way uphill: as FineTuneSAM does, but the way up is that of the step
// before, which costs no second pass. Losses and BatchNorm statistics are then those
// up there. With o.Stride all steps' slopes have one length. With o.Lookback slopes are
// taken on the way back to the model as it was, so that what lies between has no
// backdoor either: a few poisoned samples find it there (arXiv 2410.09838). With o.Back
// the model is in the end taken that share of the way back to what it was before all of this,
// what new weights replaced included.
func Relearn(ctx context.Context, dev *torch.Device, r Remedy, src train.Source, o config.Relearn, w train.Watcher) ([]train.Epoch, error) {
	keep := dev.NewScope()
	defer keep.Close()
	l := lesson{Remedy: r, o: o}
	err := dev.Do(ctx, func(*torch.Scope) (err error) {
		if o.Distill > 0 || o.Lookback > 0 || o.Back > 0 {
			if l.before, err = asItIs(r.Model, keep); err != nil {
				return err
			}
		}
		if r.Counter != nil {
			if l.opponent, err = newOpponent(*r.Counter, r.Model, keep); err != nil {
				return err
			}
		}
		return keep.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("prepare relearning: %w", err)
	}
	if l.targets, err = reinitialise(ctx, dev, keep, r); err != nil {
		return nil, fmt.Errorf("re-initialise the suspicious neurons: %w", err)
	}
	plan := relearning(o)
	plan.KeepSlopes = true
	epochs, err := train.Run(ctx, dev, r.Model, src, plan, w, l.step)
	if err == nil && o.Back > 0 {
		if err = takeBack(ctx, dev, r.Model, l.before, o.Back); err != nil {
			err = fmt.Errorf("take the relearned model back towards what it was: %w", err)
		}
	}
	return epochs, err
}

// lesson is relearning's step with what it needs.
type lesson struct {
	Remedy
	o        config.Relearn
	targets  []target
	before   *torch.Module // the model as it was, where it is needed
	opponent *opponent     // nil: none
}

func (l lesson) step(s *torch.Scope, opt *torch.Optimizer, t *train.Tally, images, labels *torch.Tensor) error {
	batch := images
	if l.opponent != nil {
		n := l.opponent.triggered(labels.Len())
		triggered, err := l.opponent.images(s, images.Narrow(0, 0, n), labels.Narrow(0, 0, n))
		if err != nil {
			return err
		}
		// In one batch, so that both have the same BatchNorm statistics.
		batch = s.Cat(0, images, triggered).ChannelsLast()
	}
	var wanted *torch.Tensor
	if l.o.Distill > 0 {
		s.NoGrad(func() { wanted = l.before.Forward(images).LogSoftmax(1).Exp() })
	}
	// Like the learning rate the ways up and back shrink, so that in the last epochs
	// BatchNorm's statistics are nearly those of the weights that stay.
	falling := train.Cosine(1, t.Epoch.Epoch-1, l.o.Epochs)
	if l.o.Rho > 0 {
		opt.Climb(s, l.o.Rho*falling) // by the slopes of the step before; at first there are none
	}
	if l.o.Lookback > 0 {
		opt.Lean(s, l.before, l.o.Lookback*falling)
	}
	opt.ZeroGrad(s)
	all := l.Model.Forward(batch)
	loss, cosine := l.loss(s, all, labels, wanted)
	s.Backward(loss, opt)
	if l.o.Rho > 0 || l.o.Lookback > 0 {
		opt.Return(s)
	}
	if l.o.Stride > 0 {
		// Else models whose slopes are steep lose accuracy, and with others too little is done.
		opt.RelateGrad(s, l.o.Stride)
	}
	opt.Step(s)
	logits := all.Narrow(0, 0, labels.Len())
	return t.Add(s, train.Seen{Logits: logits, Labels: labels, CrossEntropy: logits.CrossEntropy(labels), Total: loss, Cosine: cosine})
}

// loss is what relearning descends, and the cosine term in it. Of all, the model's
// outputs, the first are of the clean images, the rest of the first of them with the
// counter's triggers.
func (l lesson) loss(s *torch.Scope, all, labels, wanted *torch.Tensor) (whole, cosine *torch.Tensor) {
	n := labels.Len()
	ordinary := l.ordinary(all.Narrow(0, 0, n), labels, wanted)
	cosine = s.Full(0, ordinary.DType())
	for _, tg := range l.targets {
		cosine = cosine.Add(tg.similarity(s, l.Model))
	}
	whole = ordinary.Add(cosine.MulScalar(l.o.Alpha))
	if l.opponent == nil {
		return whole, cosine
	}
	of := l.opponent.triggered(n)
	triggered := all.Narrow(0, n, of)
	against := l.opponent.loss(triggered, labels.Narrow(0, 0, of))
	for i, t := range l.opponent.triggers {
		weight := t.labels() / float64(len(l.opponent.Classes)) // of several classes the mean, as of the loss
		if from, count := l.opponent.part(i, of); weight > 0 && count > 0 {
			taught := l.ordinary(triggered.Narrow(0, from, count), labels.Narrow(0, from, count), narrowed(wanted, from, count))
			against = against.Add(taught.MulScalar(weight))
		}
	}
	return whole.Add(against.MulScalar(l.o.Counter.Weight)), cosine
}

func reinitialise(ctx context.Context, dev *torch.Device, keep *torch.Scope, r Remedy) ([]target, error) {
	var targets []target
	err := dev.Do(ctx, func(s *torch.Scope) error {
		s.NoGrad(func() {
			for i, l := range r.Layers {
				rows := r.Selections[i].Selected
				if len(rows) == 0 {
					continue
				}
				weight := r.Model.Parameter(s, l.Weight)
				original := weight.Rows(rows).Reshape(len(rows), -1).Clone()
				targets = append(targets, target{layer: l, rows: rows, original: original.MoveTo(keep)})
				shape := append([]int{len(rows)}, l.Shape[1:]...)
				weight.CopyRows(rows, torch.From(s, r.Fresh(l, rows), shape...).To(weight.DType()))
				if l.Bias != "" {
					bias := r.Model.Parameter(s, l.Bias)
					bias.CopyRows(rows, s.Full(0, bias.DType(), len(rows)))
				}
			}
		})
		return s.Err()
	})
	return targets, err
}

// similarity is Σᵢ cos(Wᵢ, Wᵢ original) over the suspicious rows.
func (t target) similarity(s *torch.Scope, m *torch.Module) *torch.Tensor {
	rows := m.Parameter(s, t.layer.Weight).Rows(t.rows).Reshape(len(t.rows), -1)
	return rows.CosineSimilarity(t.original.In(s), 1).Sum()
}
