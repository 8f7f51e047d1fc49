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
	return highestOf(head.Change, min(most, len(head.Change)))
}

// A class stands out whose share in the outputs for other classes' images a trigger raises
// above far, and whose odds to at least timesNext those of any other class. In the zoo's
// networks few pixels raised classes without a backdoor to 0.25 at most, and a patch's to
// eleven times the next's odds and more; in small plain ones, with few samples, the former to
// 0.97 and to eight times (docs/results/removal-search.md).
const (
	far       = 0.3
	timesNext = 10
)

// Where none stands out, a class may be it that leads with timesAhead the odds of any other,
// or to which few pixels lead by half.
const (
	timesAhead = 2
	half       = 0.5
	mostHeld   = 4
)

const (
	// searched is on how many batches the classes' triggers are looked for.
	searched = 10
	// ownImages is how many images of each of these batches a class has to itself at least,
	// where a batch has as many.
	ownImages = 8
	// measuredImages is on about how many images, at least, it is measured how far a class is led to.
	measuredImages = 96
)

// SuspectBatches is how many batches of so many images LedTo takes for so many classes.
func SuspectBatches(way Way, classes, batch int) int {
	switch way {
	case Waves:
		try, measure := waveBatches(classes, batch)
		return try + measure
	case Patch:
		try, choose := spotBatches(classes, batch)
		return try + choose + fitted(classes, batch)
	}
	return fitted(classes, batch)
}

// fitted is how many batches so many triggers take to be fitted and measured.
func fitted(triggers, batch int) int {
	all := 0
	for _, together := range rounds(triggers, batch) {
		all += searched + measured(together, batch)
	}
	return all
}

// measured is on how many batches so many triggers are, that are looked at together.
func measured(together, batch int) int {
	return max(together, batchesOf(measuredImages*together, batch))
}

// batchesOf is how many batches of so many images have as many as these.
func batchesOf(images, batch int) int { return (images + batch - 1) / batch }

// rounds are how many of so many triggers are looked at together.
func rounds(triggers, batch int) []int {
	var out []int
	for together := max(1, batch/ownImages); triggers > 0; triggers -= together {
		out = append(out, min(together, triggers))
	}
	return out
}

// Way is what a class's trigger may do to images when it is looked for.
type Way int

// The ways: FewPixels changes as many as Counter.Pixels says, to any extent, Patch those of a
// small rectangle, Waves all of them by a wave of the height Counter.Wave, AllPixels each by
// Counter.Radius at most.
const (
	FewPixels Way = iota
	Patch
	Waves
	AllPixels
)

// Ways are those by which classes are looked for, in the order in which they are asked.
func (c Counter) Ways() []Way {
	ways := []Way{FewPixels}
	if c.Patch > 0 {
		ways = append(ways, Patch)
	}
	if c.Wave > 0 {
		ways = append(ways, Waves)
	}
	return append(ways, AllPixels)
}

// counter is c with what looking for triggers of this way alone needs.
func (w Way) counter(c Counter) Counter {
	c.Restart, c.Steps, c.Bend = 0, 1, 0
	if w == AllPixels {
		c.Steps = 2
	}
	if w != FewPixels {
		c.Patch = 0 // no patches for a sparse trigger's beginning
	}
	return c
}

// Lead is how far a trigger leads to a class.
type Lead struct {
	Way     Way
	Share   float64   // the class's mean share in the outputs for other classes' images
	Trigger []float32 // what it adds to pixels from 0 to 1, C×H×W; nil: see Wave
	Spot    Spot      // of a Patch, where it is
	Wave    *Wave     // what it adds, of any phase; nil: see Trigger
}

// ByHalf tells whether it leads there by half of the outputs' shares.
func (l Lead) ByHalf() bool { return l.Share >= half }

// look is what looking for triggers needs.
type look struct {
	dev   *torch.Device
	m     *torch.Module
	c     Counter
	way   Way
	src   train.Source
	batch int // images of a batch, at most
	each  func()
}

// LedTo looks for triggers of these classes on the model as it is, of one way, several
// classes' at once on parts of each batch, and returns how far each leads. It tells each
// batch, whose images are at most batch. The model is left in training mode; its weights
// and statistics stay.
func LedTo(ctx context.Context, dev *torch.Device, m *torch.Module, c Counter, way Way, classes []int, src train.Source, batch int, each func()) ([]Lead, error) {
	l := look{dev: dev, m: m, c: way.counter(c), way: way, src: src, batch: batch, each: each}
	by := l.byFitting
	if way == Waves {
		by = l.byWaves
	}
	leads, err := by(ctx, classes)
	if err != nil {
		return nil, fmt.Errorf("look for what leads to the classes: %w", err)
	}
	return leads, nil
}

// byFitting is by triggers that are fitted to images of other classes.
func (l look) byFitting(ctx context.Context, classes []int) (leads []Lead, err error) {
	var triggers []trigger
	switch c := (common{l.c.Counter}); l.way {
	case Patch:
		if triggers, err = l.bestSpots(ctx, classes); err != nil {
			return nil, err
		}
	case AllPixels:
		triggers = forEach(dense{c}, classes)
	default:
		triggers = forEach(sparse{common: c}, classes)
	}
	return l.fit(ctx, triggers)
}

// fit fits triggers, several at once on parts of each batch, and tells how far they lead.
func (l look) fit(ctx context.Context, triggers []trigger) (leads []Lead, err error) {
	for _, together := range rounds(len(triggers), l.batch) {
		of, err := l.ledToEach(ctx, triggers[len(leads):len(leads)+together], searched, measured(together, l.batch))
		if err != nil {
			return nil, err
		}
		leads = append(leads, of...)
	}
	return leads, nil
}

// forEach is one trigger of a kind for each class.
func forEach(k kind, classes []int) []trigger {
	triggers := make([]trigger, len(classes))
	for i, class := range classes {
		triggers[i] = trigger{kind: k, class: class}
	}
	return triggers
}

// StandsOut is the place of the class that is led to furthest, where that stands out.
func StandsOut(leads []Lead) (place int, out bool) { return ahead(leads, timesNext) }

// MayBe are the places of the classes, four at most, that may be the suspicious one where none
// stands out, by how far few pixels and a change of all lead: the first, by the head's scores,
// and those that speak for themselves, the furthest first.
func MayBe(few, all []Lead) []int {
	held := []int{0}
	add := func(place int) {
		if !slices.Contains(held, place) && len(held) < mostHeld {
			held = append(held, place)
		}
	}
	for _, i := range furthest(few) {
		if few[i].ByHalf() {
			add(i)
		}
	}
	if place, out := ahead(few, timesAhead); out {
		add(place)
	}
	if place, out := ahead(all, timesAhead); out {
		add(place)
	}
	return held
}

// ahead is the place of the class that is led to furthest, where that is far and its odds
// are so many times those of any other.
func ahead(leads []Lead, times float64) (place int, out bool) {
	if len(leads) == 0 {
		return 0, false
	}
	place = furthest(leads)[0]
	if !(leads[place].Share > far) { // nor where it is not a number
		return 0, false
	}
	for i, lead := range leads {
		if i != place && odds(leads[place].Share) < times*odds(lead.Share) {
			return 0, false
		}
	}
	return place, true
}

// furthest are the places of the classes, those that are led to furthest first.
func furthest(leads []Lead) []int {
	shares := make([]float64, len(leads))
	for i, lead := range leads {
		shares[i] = lead.Share
	}
	return highestOf(shares, len(shares))
}

// odds are those of a share, of a whole one a million.
func odds(share float64) float64 { return share / max(1-share, 1e-6) }

// ledToEach fits triggers over so many batches, and tells how far they lead over so many more.
func (l look) ledToEach(ctx context.Context, triggers []trigger, fit, measure int) ([]Lead, error) {
	keep := l.dev.NewScope()
	defer keep.Close()
	o, err := newOpponent(l.c, l.m, keep)
	if err != nil {
		return nil, err
	}
	o.triggers = slices.Clone(triggers)
	sums, of := make([]float64, len(triggers)), make([]float64, len(triggers))
	for i := range fit + measure {
		err := l.dev.Do(ctx, func(s *torch.Scope) error {
			images, labels := l.src.Batch(s, i/l.src.Batches(), i%l.src.Batches())
			o.restart(s, images.Shape())
			return o.asItAnswers(s, func() {
				if pixels := o.pixels(s, images); i < fit {
					o.follow(s, pixels, labels)
				} else {
					o.measure(s, pixels, labels, sums, of)
				}
			})
		})
		if err != nil {
			return nil, err
		}
		l.each()
	}
	leads := make([]Lead, len(triggers))
	err = l.dev.Do(ctx, func(s *torch.Scope) error {
		for i, t := range o.triggers {
			leads[i] = Lead{Way: l.way, Share: sums[i] / max(of[i], 1), Trigger: torch.Values[float32](t.delta.In(s))}
			if p, ok := t.kind.(spot); ok {
				leads[i].Spot = p.Spot
			}
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
