// Package train is what every loop over batches shares: where batches come
// from, what an epoch measured, who hears of it, and learning-rate schedules.
// The loops themselves stand where their algorithm is.
package train

import (
	"context"
	"fmt"
	"math"
	"time"

	torch "ulrl/torchbridge"
)

// Source gives labelled images in batches; the same (epoch, i) is always the
// same data. Both count from 0. Images are N×C×H×W as the model takes them,
// labels int64 of N.
type Source interface {
	Batches() int
	Batch(s *torch.Scope, epoch, i int) (images, labels *torch.Tensor)
}

// Epoch is what one pass over a source measured.
type Epoch struct {
	Phase    string  // "unlearn", "relearn" or "train"
	Epoch    int     // from 1
	LR       float64 // of its first batch
	Loss     float64 // mean cross-entropy of the images
	Accuracy float64 // of the forward passes of its own updates
	Cosine   float64 // relearning: mean over the batches of Σ cos(row, original row)
	Seconds  float64
	Batches  []float64 // each batch's cross-entropy before its update
	Totals   []float64 // relearning: each batch's cross-entropy plus α·Σ cos
}

// Watcher hears of the work as it goes. It must return at once.
type Watcher interface {
	// Batch is called after each batch with a note for people.
	Batch(note string)
	// Epoch is called after each epoch; an error ends the work.
	Epoch(e Epoch) error
}

// Tally collects an epoch.
type Tally struct {
	Epoch
	epochs int
	began  time.Time
	images int
	right  float64
}

// NewTally starts epoch (from 0) of epochs.
func NewTally(phase string, epoch, epochs int, lr float64) *Tally {
	return &Tally{Epoch: Epoch{Phase: phase, Epoch: epoch + 1, LR: lr}, epochs: epochs, began: time.Now()}
}

// Add notes a batch by its cross-entropy, inside the step. A loss that is NaN
// or infinite is an error that ends with advice.
func (t *Tally) Add(s *torch.Scope, logits, labels, crossEntropy *torch.Tensor, advice string) error {
	loss := crossEntropy.Item()
	right := logits.ArgMaxDim(1).Eq(labels).Sum().Item()
	if err := s.Err(); err != nil {
		return err
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return fmt.Errorf("it diverged, the loss of epoch %d is %v: %s", t.Epoch.Epoch, loss, advice)
	}
	n := labels.Len()
	t.right += right
	t.Loss += loss * float64(n)
	t.Batches = append(t.Batches, loss)
	t.images += n
	return nil
}

// Note is the epoch so far, for people.
func (t *Tally) Note() string {
	n := float64(max(1, t.images))
	return fmt.Sprintf("epoch %d/%d loss %.3f acc %.3f", t.Epoch.Epoch, t.epochs, t.Loss/n, t.right/n)
}

// Finish ends the epoch.
func (t *Tally) Finish() Epoch {
	n := float64(max(1, t.images))
	t.Loss /= n
	t.Accuracy = t.right / n
	t.Cosine /= float64(max(1, len(t.Batches)))
	t.Seconds = time.Since(t.began).Seconds()
	return t.Epoch
}

// EachBatch runs step for every batch of an epoch on the device's thread,
// looking at the context before each, and tells w.
func EachBatch(ctx context.Context, dev *torch.Device, src Source, w Watcher, t *Tally,
	step func(s *torch.Scope, i int, images, labels *torch.Tensor) error) error {
	for i := range src.Batches() {
		err := dev.Do(ctx, func(s *torch.Scope) error {
			images, labels := src.Batch(s, t.Epoch.Epoch-1, i)
			return step(s, i, images, labels)
		})
		if err != nil {
			return err
		}
		w.Batch(t.Note())
	}
	return nil
}

// Finite checks that all weights and running statistics of a model are: the
// last update of a loop comes after the last loss that it saw.
func Finite(ctx context.Context, dev *torch.Device, model *torch.Module, advice string) error {
	return dev.Do(ctx, func(s *torch.Scope) error {
		parameters, err := model.Parameters()
		if err != nil {
			return err
		}
		buffers, err := model.Buffers()
		if err != nil {
			return err
		}
		s.NoGrad(func() {
			for i, name := range append(parameters, buffers...) {
				value := model.Parameter
				if i >= len(parameters) {
					value = model.Buffer
				}
				if value(s, name).IsFinite().All().Item() == 0 && s.Err() == nil && err == nil {
					err = fmt.Errorf("it diverged, %s is not finite: %s", name, advice)
				}
			}
		})
		return err
	})
}

// WithSGD puts the model into training mode, gives body an optimiser for all
// of its parameters, and frees that after.
func WithSGD(ctx context.Context, dev *torch.Device, model *torch.Module, o torch.SGDOptions, body func(opt *torch.SGD) error) error {
	scope := dev.NewScope()
	defer scope.Close()
	var opt *torch.SGD
	err := dev.Do(ctx, func(*torch.Scope) (err error) {
		if err = model.Train(true); err != nil {
			return fmt.Errorf("switch the model to training: %w", err)
		}
		if err = model.RequireGrad(true); err != nil {
			return err
		}
		opt, err = scope.NewSGD(model, o)
		return err
	})
	if err != nil {
		return err
	}
	return body(opt)
}
