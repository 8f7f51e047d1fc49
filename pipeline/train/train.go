// Package train is what every loop over batches shares: where batches come
// from, the epochs, what they measured, who hears of it, and learning-rate
// schedules. What is done with a batch stands where its algorithm is.
package train

import (
	"context"
	"errors"
	"fmt"

	torch "ulrl/torchbridge"
)

// ErrDiverged is what a training ends with whose loss or weights are no longer finite.
var ErrDiverged = errors.New("it diverged")

// Source gives labelled images in batches; the same (epoch, i) is always the
// same data. Both count from 0. Images are N×C×H×W as the model takes them,
// labels int64 of N.
type Source interface {
	Batches() int
	Batch(s *torch.Scope, epoch, i int) (images, labels *torch.Tensor)
}

// Watcher hears of the work as it goes. It must return at once.
type Watcher interface {
	// Batch is called after each batch with a note for people.
	Batch(note string)
	// Epoch is called after each epoch; an error ends the work.
	Epoch(e Epoch) error
}

// Plan is how a model is trained, whatever for.
type Plan struct {
	Phase  string
	Epochs int // at most
	SGD    torch.SGDOptions
	LR     func(epoch, batch int) float64 // both from 0; in place of SGD.LR
	Stop   func(e Epoch) bool             // nil: never early
	// Precision is what the model multiplies in, as the configs name it; "" is float32.
	Precision string
	Advice    string // what to do where it diverges
	// KeepSlopes leaves the gradients of the step before to each step, which drops them itself.
	KeepSlopes bool
	// Done is how many epochs were run before; Begin, if not nil, then readies
	// the optimiser, and After hears of each epoch that is over, counted from 1.
	// Both run on the device's thread.
	Done  int
	Begin func(s *torch.Scope, opt *torch.Optimizer) error
	After func(s *torch.Scope, epoch int, opt *torch.Optimizer) error
}

// Step is one batch of an algorithm: forward, loss, s.Backward, opt.Step, and
// t.Add. Gradients are zero when it starts, but for Plan.KeepSlopes. What it reads from
// the device it waits for.
type Step func(s *torch.Scope, opt *torch.Optimizer, t *Tally, images, labels *torch.Tensor) error

// Run trains the model as the plan says, in training mode, batch by batch on
// the device's thread, looking at the context before each, and tells w. The
// model is changed in place; an error begins with the plan's phase, and is ErrDiverged where
// a loss or a weight is no longer finite.
func Run(ctx context.Context, dev *torch.Device, model *torch.Module, src Source, p Plan, w Watcher, step Step) ([]Epoch, error) {
	scope := dev.NewScope()
	defer scope.Close()
	opt, err := optimiser(ctx, dev, scope, model, p.SGD)
	if err == nil && p.Begin != nil {
		err = dev.Do(ctx, func(s *torch.Scope) error { return p.Begin(s, opt) })
	}
	var done []Epoch
	for epoch := p.Done; err == nil && epoch < p.Epochs; epoch++ {
		var e Epoch
		if e, err = runEpoch(ctx, dev, opt, src, p, epoch, w, step); err != nil {
			break
		}
		done = append(done, e)
		if p.After != nil {
			if err = dev.Do(ctx, func(s *torch.Scope) error { return p.After(s, epoch+1, opt) }); err != nil {
				break
			}
		}
		if err = w.Epoch(e); err == nil && p.Stop != nil && p.Stop(e) {
			break
		}
	}
	if err == nil {
		err = finite(ctx, dev, model, p.Advice)
	}
	if err != nil {
		return done, fmt.Errorf("%s: %w", p.Phase, err)
	}
	return done, nil
}

func runEpoch(ctx context.Context, dev *torch.Device, opt *torch.Optimizer, src Source, p Plan, epoch int, w Watcher, step Step) (Epoch, error) {
	keep := dev.NewScope()
	defer keep.Close()
	t := newTally(p, epoch, keep)
	for i := range src.Batches() {
		err := dev.Do(ctx, func(s *torch.Scope) error {
			if err := opt.SetLR(p.LR(epoch, i)); err != nil {
				return err
			}
			images, labels := src.Batch(s, epoch, i)
			if !p.KeepSlopes {
				opt.ZeroGrad(s)
			}
			var err error
			s.With(precision(p.Precision), func() { err = step(s, opt, t, images, labels) })
			return err
		})
		if err != nil {
			return Epoch{}, err
		}
		w.Batch(t.text())
	}
	if err := dev.Do(ctx, t.settle); err != nil {
		return Epoch{}, err
	}
	return t.finish(), nil
}

// precision is the bridge's for a config's.
func precision(name string) torch.Precision {
	switch name {
	case "bfloat16":
		return torch.BFloat16
	case "float16":
		return torch.Float16
	case "tf32":
		return torch.TF32
	}
	return torch.FullPrecision
}

// optimiser puts the model into training mode and makes SGD for all of its
// parameters.
func optimiser(ctx context.Context, dev *torch.Device, scope *torch.Scope, model *torch.Module, o torch.SGDOptions) (*torch.Optimizer, error) {
	var opt *torch.Optimizer
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
	return opt, err
}

// finite checks that all weights and running statistics of a model are: the
// last update of a loop comes after the last loss that it saw.
func finite(ctx context.Context, dev *torch.Device, model *torch.Module, advice string) error {
	return dev.Do(ctx, func(s *torch.Scope) error {
		name, err := model.NotFinite(s)
		if err == nil && name != "" {
			err = fmt.Errorf("%w, %s is not finite: %s", ErrDiverged, name, advice)
		}
		return err
	})
}
