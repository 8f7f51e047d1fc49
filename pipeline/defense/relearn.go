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

// target is a layer's suspicious rows and what they were.
type target struct {
	layer    model.Layer
	rows     []int
	original *torch.Tensor // len(rows)×fanIn
}

// Relearn gives the suspicious neurons of an untouched model new weights, sets
// their biases to 0, and trains all parameters on the clean samples with
//
//	CE + α·Σᵢ cos(Wᵢ, Wᵢ original)
//
// whose second term pushes the new rows off the old ones (arXiv 2405.14781,
// relearning stage). With nothing selected it is plain fine-tuning. The model
// is changed in place and left in training mode. selections belong to layers
// by index.
func Relearn(ctx context.Context, dev *torch.Device, m *torch.Module, layers []model.Layer, selections []Selection,
	src train.Source, o config.Relearn, fresh Fresh, w train.Watcher) ([]train.Epoch, error) {
	keep := dev.NewScope()
	defer keep.Close()
	targets, err := reinitialise(ctx, dev, keep, m, layers, selections, fresh)
	if err != nil {
		return nil, fmt.Errorf("re-initialise the suspicious neurons: %w", err)
	}
	return train.Run(ctx, dev, m, src, relearning(o), w, func(s *torch.Scope, opt *torch.Optimizer, t *train.Tally, images, labels *torch.Tensor) error {
		logits := m.Forward(images)
		ce := logits.CrossEntropy(labels)
		cosine := s.Full(0, ce.DType())
		for _, tg := range targets {
			cosine = cosine.Add(tg.similarity(s, m))
		}
		loss := ce.Add(cosine.MulScalar(o.Alpha))
		s.Backward(loss, opt)
		opt.Step(s)
		return t.Add(s, train.Seen{Logits: logits, Labels: labels, CrossEntropy: ce, Total: loss, Cosine: cosine})
	})
}

func reinitialise(ctx context.Context, dev *torch.Device, keep *torch.Scope, m *torch.Module, layers []model.Layer,
	selections []Selection, fresh Fresh) ([]target, error) {
	var targets []target
	err := dev.Do(ctx, func(s *torch.Scope) error {
		s.NoGrad(func() {
			for i, l := range layers {
				rows := selections[i].Selected
				if len(rows) == 0 {
					continue
				}
				weight := m.Parameter(s, l.Weight)
				original := weight.Rows(rows).Reshape(len(rows), -1).Clone()
				targets = append(targets, target{layer: l, rows: rows, original: original.MoveTo(keep)})
				shape := append([]int{len(rows)}, l.Shape[1:]...)
				weight.CopyRows(rows, torch.From(s, fresh(l, rows), shape...).To(weight.DType()))
				if l.Bias != "" {
					bias := m.Parameter(s, l.Bias)
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
