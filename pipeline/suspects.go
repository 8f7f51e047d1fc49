package pipeline

import (
	"context"
	"slices"

	"ulrl/pipeline/dataset"
	"ulrl/pipeline/defense"
	"ulrl/pipeline/model"
	"ulrl/pipeline/runstore"
	torch "ulrl/torchbridge"
)

// counter is what the config holds against the backdoor, for the class that a trigger's
// way to it or the head of the unlearned copy names, or for several where they do not agree;
// nil where it holds nothing.
func (r *run) counter(ctx context.Context, unlearned *torch.Module) (*defense.Counter, error) {
	if r.head == nil {
		return nil, nil
	}
	head, err := defense.Score(ctx, r.dev, r.original, unlearned, []model.Layer{*r.head})
	if err != nil {
		return nil, err
	}
	counter := &defense.Counter{
		Counter: r.c.Relearn.Counter, Seed: r.c.Seed,
		Mean: r.data.normalise.Mean, Std: r.data.normalise.Std,
	}
	classes := defense.Suspects(head[0], counter.Suspects)
	for _, class := range classes {
		r.result.Suspects = append(r.result.Suspects, runstore.Class{Index: class, Name: r.clean.Classes[class]})
	}
	if len(classes) > 1 && counter.Pixels > 0 {
		err = r.timed("suspect", func() error { return r.ledTo(ctx, counter, classes) })
		if err != nil {
			return nil, err
		}
	} else {
		r.hold(counter, r.result.Suspects[0])
	}
	r.warnOfLeads()
	return counter, nil
}

// hold has the counter hold triggers against a class too, and the trigger that led to it, where
// there is one to hold.
func (r *run) hold(c *defense.Counter, class runstore.Class, led ...defense.Lead) {
	c.Classes = append(c.Classes, defense.Suspect{Class: class.Index, Led: led})
	for _, lead := range led {
		if spot := at(lead.Spot); lead.Way == defense.Patch && !slices.Equal(spot, class.Patch) {
			class.Patches = append(class.Patches, runstore.Patch{Patch: spot, Led: lead.Share})
		}
	}
	if r.result.SuspiciousClass == nil {
		r.result.SuspiciousClass = &class
	} else {
		r.result.AlsoSuspicious = append(r.result.AlsoSuspicious, class)
	}
	r.env.Log.Infof("suspicious class: %s", class)
}

// ledTo has triggers held against the one of the result's suspects, which are these classes,
// that few pixels lead to, or else a small patch, a wave or a change of all pixels, where that
// stands out, and otherwise against those that it may be. It notes how far each is led to.
func (r *run) ledTo(ctx context.Context, c *defense.Counter, classes []int) error {
	suspects := r.result.Suspects
	r.ways = []defense.Way{defense.FewPixels}
	var few, leads []defense.Lead
	for _, way := range c.Ways() {
		var err error
		if leads, err = r.search(ctx, "suspect", *c, way, classes); err != nil {
			return err
		}
		r.noteLeads(way, leads)
		if way == defense.FewPixels {
			few = leads
		}
		if place, out := defense.StandsOut(leads); out {
			if way != defense.FewPixels {
				r.ways = append(r.ways, way)
			}
			led, err := r.held(ctx, *c, classes[place], few[place], leads[place])
			if err != nil {
				return err
			}
			r.hold(c, suspects[place].ToldBy(by(way)), led...)
			return nil
		}
	}
	r.ways = append(r.ways, defense.AllPixels)
	for _, place := range defense.MayBe(few, leads) {
		if place == 0 { // by the head's scores
			r.hold(c, runstore.Class{Index: suspects[0].Index, Name: suspects[0].Name})
		} else {
			r.hold(c, suspects[place], few[place])
		}
	}
	return nil
}

// held is what is held against a class that a trigger told of: that trigger; what few pixels do,
// where a patch told and they lead by half; and patches elsewhere, where either told.
func (r *run) held(ctx context.Context, c defense.Counter, class int, few, told defense.Lead) ([]defense.Lead, error) {
	led := []defense.Lead{told}
	if told.Way == defense.Patch && few.ByHalf() { // the patch alone left more of one backdoor
		led = []defense.Lead{few, told}
	}
	if c.Patch == 0 || told.Way != defense.FewPixels && told.Way != defense.Patch {
		return led, nil
	}
	src, batch := r.searched()
	err := r.env.phase("suspect", defense.PatchesBatches(batch), func() error {
		patches, err := defense.Patches(ctx, r.dev, r.original, c, class, led, src, batch, func() { r.env.Progress.Step("") })
		led = append(led, patches...)
		return err
	})
	return led, err
}

// noteLeads notes how far each of the result's suspects is led to, in their order, and by what.
func (r *run) noteLeads(way defense.Way, leads []defense.Lead) {
	for i, lead := range leads {
		suspect := &r.result.Suspects[i]
		r.result.NoteLed(suspect.Index, by(way), lead.Share)
		switch way {
		case defense.Patch:
			suspect.Patch = at(lead.Spot)
		case defense.Waves:
			suspect.Wave = []float64{lead.Wave.Down, lead.Wave.Across}
		}
	}
}

// at is a spot as the result has it.
func at(s defense.Spot) []int { return []int{s.Top, s.Left, s.Height, s.Width} }

// by is what the result calls a way.
func by(way defense.Way) runstore.By {
	switch way {
	case defense.Patch:
		return runstore.ByPatch
	case defense.Waves:
		return runstore.ByWaves
	case defense.AllPixels:
		return runstore.ByAllPixels
	}
	return runstore.ByFewPixels
}

// searched are the images among which triggers are looked for, and how many a batch has at most.
func (r *run) searched() (*dataset.Loader, int) {
	src := r.loader(r.c.Relearn.BatchSize, false)
	return src, min(r.c.Relearn.BatchSize, src.Images())
}

// search looks for triggers of one way, one for each class.
func (r *run) search(ctx context.Context, phase string, c defense.Counter, way defense.Way, classes []int) (leads []defense.Lead, err error) {
	src, batch := r.searched()
	err = r.env.phase(phase, defense.SuspectBatches(way, len(classes), batch), func() (err error) {
		leads, err = defense.LedTo(ctx, r.dev, r.original, c, way, classes, src, batch, func() { r.env.Progress.Step("") })
		return err
	})
	return leads, err
}

// verify notes how far the classes that triggers are held against are led to now.
func (r *run) verify(ctx context.Context, c *defense.Counter) error {
	classes := make([]int, len(c.Classes))
	for i, held := range c.Classes {
		classes[i] = held.Class
	}
	for _, way := range r.ways {
		leads, err := r.search(ctx, "verify", *c, way, classes)
		if err != nil {
			return err
		}
		for i, lead := range leads {
			r.result.NoteRemains(classes[i], by(way), lead.Share)
		}
	}
	return nil
}
