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
	slices.SortStableFunc(classes, func(a, b int) int { return descending(head.Change[a], head.Change[b]) })
	return classes[:min(most, len(classes))]
}

// A class whose share in the outputs for other classes' images a few pixels raise so
// far is the one to hold something against: of the zoo's networks' classes without a
// backdoor they raised it to 0.17 at most, in a model that was badly trained to 0.25
// (docs/results/removal-search.md), in a small plain network to 0.41.
const far = 0.3

const (
	// searched is on how many batches the classes' sparse triggers are looked for.
	searched = 10
	// ownImages is how many images of each of these batches a class has to itself at least,
	// where a batch has as many.
	ownImages = 8
	// measuredImages is on about how many images, at least, it is measured how far a class is led to.
	measuredImages = 96
)

// SuspectBatches is how many batches of so many images LedTo takes for so many classes.
func SuspectBatches(classes, batch int) int {
	all := 0
	for _, together := range rounds(classes, batch) {
		all += searched + measured(together, batch)
	}
	return all
}

// measured is on how many batches so many classes are, that are looked at together.
func measured(together, batch int) int {
	return max(together, (measuredImages*together+batch-1)/batch)
}

// rounds are how many of so many classes are looked at together.
func rounds(classes, batch int) []int {
	var out []int
	for together := max(1, batch/ownImages); classes > 0; classes -= together {
		out = append(out, min(together, classes))
	}
	return out
}

// Lead is how far a sparse trigger leads to a class.
type Lead struct {
	Share   float64   // the class's mean share in the outputs for other classes' images
	Trigger []float32 // what it adds to pixels from 0 to 1, C×H×W
}

// LedTo looks for the sparse triggers of these classes on the model as it is, several
// classes' at once on parts of each batch, and returns how far each leads. It tells each
// batch, whose images are at most batch. The model is left in training mode; its weights
// and statistics stay.
func LedTo(ctx context.Context, dev *torch.Device, m *torch.Module, c Counter, classes []int, src train.Source, batch int, each func()) ([]Lead, error) {
	c.Restart, c.Steps, c.Bend = 0, 1, 0 // there are sparse ones alone
	var leads []Lead
	for _, together := range rounds(len(classes), batch) {
		of, err := ledToEach(ctx, dev, m, c, classes[len(leads):len(leads)+together], src, measured(together, batch), each)
		if err != nil {
			return nil, fmt.Errorf("look for what leads to the classes: %w", err)
		}
		leads = append(leads, of...)
	}
	return leads, nil
}

// Suspicious is the place of the class that a backdoor leads to among those whose rows
// of the head changed most, the most changed first: the one that few pixels lead to
// furthest, or where that is not far (false) the first.
func Suspicious(leads []Lead) (place int, led bool) {
	for i, lead := range leads {
		if lead.Share > far && (!led || lead.Share > leads[place].Share) {
			place, led = i, true
		}
	}
	return place, led
}

// ledToEach are the sparse triggers that are found for classes, and how far they lead
// over so many batches.
func ledToEach(ctx context.Context, dev *torch.Device, m *torch.Module, c Counter, classes []int, src train.Source, batches int, each func()) ([]Lead, error) {
	keep := dev.NewScope()
	defer keep.Close()
	o, err := newOpponent(c, m, keep)
	if err != nil {
		return nil, err
	}
	for _, class := range classes {
		o.triggers = append(o.triggers, trigger{kind: sparse{common: common{c.Counter}}, class: class})
	}
	sums, of := make([]float64, len(classes)), make([]float64, len(classes))
	for i := range searched + batches {
		err := dev.Do(ctx, func(s *torch.Scope) error {
			images, labels := src.Batch(s, i/src.Batches(), i%src.Batches())
			o.restart(s, images.Shape())
			return o.asItAnswers(s, func() {
				if pixels := o.pixels(s, images); i < searched {
					o.follow(s, pixels, labels)
				} else {
					o.measure(s, pixels, labels, sums, of)
				}
			})
		})
		if err != nil {
			return nil, err
		}
		each()
	}
	leads := make([]Lead, len(classes))
	err = dev.Do(ctx, func(s *torch.Scope) error {
		for i, t := range o.triggers {
			leads[i] = Lead{sums[i] / max(of[i], 1), torch.Values[float32](t.delta.In(s))}
		}
		return s.Err()
	})
	return leads, err
}

// measure adds how far each trigger leads its part of a batch to its class, in sum and
// of how many images.
func (o *opponent) measure(s *torch.Scope, pixels, labels *torch.Tensor, sums, of []float64) {
	s.NoGrad(func() {
		logits := o.m.Forward(o.normalised(s, o.put(s, pixels)).ChannelsLast())
		for i, t := range o.triggers {
			from, count := o.part(i, labels.Len())
			if count == 0 || s.Err() != nil {
				continue
			}
			theirs := labels.Narrow(0, from, count)
			sums[i] += ofOthers(logShare(logits.Narrow(0, from, count), t.class).Exp(), theirs, t.class).Sum().Item()
			of[i] += theirs.NeScalar(float64(t.class)).Sum().Item()
		}
	})
}
