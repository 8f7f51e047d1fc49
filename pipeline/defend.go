package pipeline

import (
	"context"
	"errors"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/defense"
	"ulrl/pipeline/runstore"
	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// defend cleans the original by the method of the config.
func (r *run) defend(ctx context.Context) error {
	switch r.c.Defense.Method {
	case config.MethodFT:
		return r.relearn(r.c.Relearn.Epochs, func(src train.Source) error {
			_, err := defense.FineTune(ctx, r.dev, r.original, src, r.c.Relearn, r.watcher(ctx))
			return err
		})
	case config.MethodFTSAM:
		return r.relearn(r.c.Relearn.Epochs, func(src train.Source) error {
			_, err := defense.FineTuneSAM(ctx, r.dev, r.original, src, r.c.Relearn, r.watcher(ctx))
			return err
		})
	}
	return r.ulrl(ctx)
}

// relearn runs a training on the clean samples as the config's relearn section
// draws them.
func (r *run) relearn(epochs int, body func(src train.Source) error) error {
	src := r.loader(batchOf(r.clean.Len(), r.c.Relearn.BatchSize, r.c.Relearn.MinBatches), r.c.Relearn.Augment)
	return r.timed("relearn", func() error {
		return r.env.phase("relearn", epochs*src.Batches(), func() error { return body(src) })
	})
}

// ulrl unlearns a copy, scores, selects, and relearns the original.
func (r *run) ulrl(ctx context.Context) error {
	unlearnData := r.loader(batchOf(r.clean.Len(), r.c.Unlearn.BatchSize, r.c.Unlearn.MinBatches), false)
	own := r.dev.NewScope()
	defer own.Close()
	var victim *torch.Module
	err := r.dev.Do(ctx, func(*torch.Scope) (err error) { victim, err = r.original.CopyTo(own); return })
	if err != nil {
		return err
	}
	var unlearned []train.Epoch
	err = r.timed("unlearn", func() error {
		return r.env.phase("unlearn", r.c.Unlearn.Epochs*unlearnData.Batches(), func() (err error) {
			unlearned, err = defense.Unlearn(ctx, r.dev, victim, unlearnData, r.c.Unlearn, r.watcher(ctx))
			return err
		})
	})
	if err != nil {
		return err
	}
	r.warnOfUnlearning(unlearned[len(unlearned)-1].Accuracy)
	scores, err := defense.Score(ctx, r.dev, r.original, victim, r.layers)
	if err != nil {
		return err
	}
	remedy := defense.Remedy{Model: r.original, Layers: r.layers, Fresh: defense.FreshUniform(r.c.Seed)}
	if remedy.Counter, err = r.counter(ctx, victim); err != nil {
		return err
	}
	own.Close() // the unlearned copy has served
	for _, s := range scores {
		remedy.Selections = append(remedy.Selections, defense.Select(s, r.c.Suspicious))
	}
	r.result.Kept = !r.c.Relearn.Reinitialise
	r.note(remedy.Selections)
	if r.result.Kept {
		remedy.Layers, remedy.Selections = nil, nil
	}
	return r.against(ctx, remedy)
}

// against relearns the original; where what is held against still leads to its class then, the
// model as it was is relearned again, for twice as long. Where that diverges the attempt before
// is what the run comes to.
func (r *run) against(ctx context.Context, remedy defense.Remedy) error {
	var last outcome
	for epochs := r.c.Relearn.Epochs; ; epochs *= 2 {
		untouched, err := r.spare(ctx)
		if err != nil {
			return err
		}
		smooth, err := r.attempt(ctx, remedy, epochs)
		if last.model != nil && errors.Is(err, train.ErrDiverged) {
			r.original = last.model
			last.remember()
			r.warnOfAttempt(err)
			r.warnOfRelearning(last.smooth)
			r.warnOfRemains()
			return nil
		} else if err != nil {
			return err
		}
		again, err := r.again(ctx, remedy.Counter)
		if err != nil {
			return err
		}
		free(last.model)
		if !again {
			free(untouched)
			r.warnOfRelearning(smooth)
			return nil
		}
		last = outcome{r.original, smooth, r.result.ForgetAttempt()}
		r.original, remedy.Model = untouched, untouched
	}
}

// outcome is what an attempt came to, where it is tried again.
type outcome struct {
	model    *torch.Module
	smooth   bool
	remember func() // puts what was found of it into the result
}

// free gives a model's memory back, if there is one.
func free(m *torch.Module) {
	if m != nil {
		m.Close()
	}
}

// spare is a copy of the original for another attempt; nil where there is none after this.
func (r *run) spare(ctx context.Context) (copied *torch.Module, err error) {
	if len(r.ways) == 0 || r.result.Attempts+1 >= r.c.Relearn.Attempts {
		return nil, nil
	}
	err = r.dev.Do(ctx, func(*torch.Scope) (err error) { copied, err = r.original.CopyTo(r.keep); return })
	return copied, err
}

// attempt relearns for so many epochs, and mends what the counter's triggers cost clean images.
// It tells whether that went smoothly.
func (r *run) attempt(ctx context.Context, remedy defense.Remedy, epochs int) (smooth bool, err error) {
	o := r.c.Relearn
	o.Epochs = epochs
	smooth = true
	err = r.relearn(epochs, func(src train.Source) error {
		_, err := defense.Relearn(ctx, r.dev, remedy, src, o, r.watcher(ctx))
		if err == nil && remedy.Counter != nil {
			smooth, err = r.mend(ctx, remedy.Counter)
		}
		return err
	})
	r.result.Attempts++
	return smooth, err
}

// again looks anew for what leads to the classes that triggers are held against, by r.ways,
// and tells whether to relearn again.
func (r *run) again(ctx context.Context, c *defense.Counter) (bool, error) {
	if len(r.ways) == 0 {
		return false, nil
	}
	err := r.timed("verify", func() error { return r.verify(ctx, c) })
	if err != nil || !r.result.StillLed(c.Enough) {
		return false, err
	}
	if r.result.Attempts < r.c.Relearn.Attempts {
		r.env.Log.Infof("%s The model as it was is relearned again, for twice as long.", r.result.Remains())
		return true, nil
	}
	r.warnOfRemains()
	return false, nil
}

// mend gives back what the counter's triggers cost clean images, as far as that can be done
// without another step. It tells whether BatchNorm's statistics could stay.
func (r *run) mend(ctx context.Context, c *defense.Counter) (smooth bool, err error) {
	plain := r.loader(r.c.Relearn.BatchSize, false)
	anew, err := defense.Settle(ctx, r.dev, r.original, plain)
	if err != nil {
		return false, err
	}
	if floor := c.Floor; floor > 0 && r.head.Bias != "" {
		r.result.Raised, err = defense.Balance(ctx, r.dev, r.original, *r.head, c.Classes, floor, plain)
	}
	return !anew, err
}

// smallest is how many images a batch has at least, so that BatchNorm's statistics are of some.
const smallest = 8

// batchOf is the size of batches for n samples: size, or where that makes fewer than least
// of them as much as makes so many.
func batchOf(n, size, least int) int {
	if (n+size-1)/size >= least {
		return size
	}
	return min(size, max(smallest, (n+least-1)/least))
}

func (r *run) loader(batch int, augment bool) *dataset.Loader {
	return dataset.NewLoader(r.clean, dataset.LoaderOptions{
		BatchSize: batch, Shuffle: true, Seed: r.c.Seed, Normalise: r.data.normalise,
		Crop: augment, Flip: augment && dataset.FlipAllowed(r.c.Data.Name, r.c.Data.Flip),
	})
}

// note puts the judgement into the result.
func (r *run) note(selections []defense.Selection) {
	for _, sel := range selections {
		layer := runstore.Layer{
			Name: sel.Layer, Rows: len(sel.Change), Rule: sel.Rule, Median: sel.Median, MAD: sel.MAD,
			Note: sel.Note, Threshold: sel.Threshold, Scores: sel.Change, Selected: sel.Selected,
		}
		if layer.Selected == nil {
			layer.Selected = []int{}
		}
		for _, i := range sel.Selected {
			r.result.Suspicious = append(r.result.Suspicious, runstore.Neuron{Layer: sel.Layer, Index: i, Score: sel.Change[i], Z: layer.Z(i)})
		}
		r.result.Layers = append(r.result.Layers, layer)
		if sel.Note != "" {
			r.warn(sel.Layer + ": " + sel.Note)
		}
	}
	if little := r.result.LittleDone(); little != "" {
		r.env.Log.Warn(little)
	}
}
