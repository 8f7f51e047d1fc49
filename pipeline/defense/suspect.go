package defense

import (
	"context"
	"fmt"
	"slices"

	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// Suspects are the classes whose rows of the head changed most under unlearning,
// so many of them, the most changed first: where there is a backdoor, that leads
// to one of them, nearly always the first.
func Suspects(head Scores, most int) []int {
	classes := make([]int, len(head.Change))
	for i := range classes {
		classes[i] = i
	}
	slices.SortStableFunc(classes, func(a, b int) int { return compareDesc(head.Change[a], head.Change[b]) })
	return classes[:min(most, len(classes))]
}

// A class whose share in the outputs for other classes' images a few pixels raise so
// far has a backdoor: of classes without one they raised it to 0.16 at most
// (docs/results/removal-search.md).
const far = 0.3

// SuspectBatches is on how many batches each class's sparse trigger is looked for.
const SuspectBatches = 5

// Suspect is a class that a backdoor may lead to.
type Suspect struct {
	Class int
	Led   float64 // its mean share in the outputs for other classes' images with few pixels changed, if that is far; else 0
}

// FindSuspect looks for the sparse trigger of each class in turn on the model as it
// is, and returns the first class whose share in the outputs it raises far, or where
// there is none the first of all. It tells each batch. The model is left in training
// mode; its weights and statistics stay.
func FindSuspect(ctx context.Context, dev *torch.Device, m *torch.Module, c Counter, classes []int, src train.Source, each func()) (Suspect, error) {
	for _, class := range classes {
		c.Class = class
		share, err := ledTo(ctx, dev, m, c, src, each)
		if err != nil {
			return Suspect{}, fmt.Errorf("look for what leads to class %d: %w", class, err)
		}
		if share > far {
			return Suspect{class, share}, nil
		}
	}
	return Suspect{Class: classes[0]}, nil
}

// ledTo is the mean share of c's class in the outputs for other classes' images with
// the sparse trigger that is found for it.
func ledTo(ctx context.Context, dev *torch.Device, m *torch.Module, c Counter, src train.Source, each func()) (share float64, err error) {
	keep := dev.NewScope()
	defer keep.Close()
	c.Restart = 0
	var o *opponent
	for i := range SuspectBatches {
		err := dev.Do(ctx, func(s *torch.Scope) error {
			if o == nil {
				o = newOpponent(c, m, keep)
				o.triggers = []trigger{{kind: sparseTrigger}}
			}
			images, labels := src.Batch(s, i/src.Batches(), i%src.Batches())
			o.restart(s, images.Shape())
			return o.asItAnswers(s, func() {
				pixels := o.pixels(s, images)
				if o.Patch > 0 {
					o.scan(s, pixels, labels, &o.triggers[0])
				}
				o.fit(s, pixels, labels, 0)
			})
		})
		if err != nil {
			return 0, err
		}
		each()
	}
	var sum, of float64
	for i := range src.Batches() {
		err := dev.Do(ctx, func(s *torch.Scope) error {
			if err := m.Train(false); err != nil {
				return err
			}
			images, labels := src.Batch(s, 0, i)
			s.NoGrad(func() {
				led := o.led(s, o.pixels(s, images).Add(o.triggers[0].delta.In(s)), labels)
				sum += led.Sum().Item()
				of += labels.NeScalar(float64(c.Class)).To(led.DType()).Sum().Item()
			})
			if err := s.Err(); err != nil {
				return err
			}
			return m.Train(true)
		})
		if err != nil {
			return 0, err
		}
	}
	return sum / max(of, 1), nil
}
