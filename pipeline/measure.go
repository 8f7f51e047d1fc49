package pipeline

import (
	"context"
	"errors"
	"fmt"

	"ulrl/pipeline/attack"
	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/metrics"
	torch "ulrl/torchbridge"
)

// gauge measures a model on fixed images.
type gauge struct {
	env       Env
	dev       *torch.Device
	clean     *dataset.Set
	on        string       // what clean is
	triggered *dataset.Set // nil where no trigger is known
	goals     []int64      // the labels that triggered images are to get
	batch     int
	normalise dataset.Normalisation
}

// newGauge measures on the test set, or where there is none on the fallback.
func newGauge(env Env, dev *torch.Device, c *config.Config, d images, fallback *dataset.Set) (*gauge, error) {
	g := &gauge{env: env, dev: dev, clean: d.test, on: "test", batch: c.Eval.BatchSize, normalise: d.normalise}
	if g.clean == nil {
		g.clean, g.on = fallback, "clean samples"
	}
	if c.Attack.Name == config.AttackNone {
		return g, nil
	}
	if err := attack.CheckTarget(c.Attack, g.clean); err != nil {
		return nil, err
	}
	trigger, err := attack.NewTrigger(c.Attack, g.clean)
	if err != nil {
		return nil, err
	}
	g.triggered, g.goals, err = attack.Triggered(g.clean, c.Attack, trigger)
	return g, err
}

func (g *gauge) loader(set *dataset.Set) *dataset.Loader {
	return dataset.NewLoader(set, dataset.LoaderOptions{BatchSize: g.batch, Normalise: g.normalise})
}

// scores measures ACC and, where a trigger is known, ASR and RA. The model is
// not changed.
func (g *gauge) scores(ctx context.Context, phase string, m *torch.Module) (metrics.Scores, error) {
	scores := metrics.Scores{MeasuredOn: g.on}
	sets := []*dataset.Set{g.clean}
	if g.triggered != nil {
		sets = append(sets, g.triggered)
	}
	steps := 0
	for _, set := range sets {
		steps += g.loader(set).Batches()
	}
	err := g.env.phase(phase, steps, func() error {
		own := g.dev.NewScope()
		defer own.Close()
		var fast *torch.Module
		err := g.dev.Do(ctx, func(*torch.Scope) (err error) { fast, err = forEvaluation(g.env, own, m); return })
		if err != nil {
			return err
		}
		var clean, hit, robust metrics.Count
		err = g.predict(ctx, fast, g.clean, func(at int, predicted []int64) {
			clean.Add(predicted, g.clean.Labels[at:])
			g.env.Progress.Step("")
		})
		if err != nil || g.triggered == nil {
			scores.ACC, scores.CleanImages = clean.Share(), clean.Total
			return err
		}
		err = g.predict(ctx, fast, g.triggered, func(at int, predicted []int64) {
			hit.Add(predicted, g.goals[at:])
			robust.Add(predicted, g.triggered.Labels[at:])
			g.env.Progress.Step("")
		})
		scores.ACC, scores.CleanImages = clean.Share(), clean.Total
		scores.ASR, scores.RA, scores.TriggeredImages = hit.Share(), robust.Share(), hit.Total
		return err
	})
	if err != nil {
		return scores, fmt.Errorf("evaluate: %w", err)
	}
	return scores, nil
}

// forEvaluation is a fused copy; a model that cannot be fused is copied as it is.
func forEvaluation(env Env, s *torch.Scope, m *torch.Module) (*torch.Module, error) {
	fused, err := m.ForInference(s)
	if err == nil {
		return fused, nil
	}
	env.Log.WithError(err).Debug("the model cannot be fused for evaluation; it is run as it is")
	plain, err := m.CopyTo(s)
	if err != nil {
		return nil, err
	}
	return plain, plain.Train(false)
}

// predict gives each batch's predicted classes, and at which image it starts.
func (g *gauge) predict(ctx context.Context, m *torch.Module, set *dataset.Set, each func(at int, predicted []int64)) error {
	loader := g.loader(set)
	at := 0
	for i := range loader.Batches() {
		var predicted []int64
		err := g.dev.Do(ctx, func(s *torch.Scope) error {
			var err error
			s.NoGrad(func() {
				x, _ := loader.Batch(s, 0, i)
				logits := m.Forward(x)
				if shape := logits.Shape(); s.Err() == nil && (len(shape) != 2 || shape[0] != x.Shape()[0]) {
					err = fault.Misuse("the model gives %v scores for a batch of %d images, not a row for each", shape, x.Shape()[0])
				}
				predicted = torch.Values[int64](logits.ArgMaxDim(1))
			})
			return errors.Join(s.Err(), err)
		})
		if err != nil {
			return err
		}
		each(at, predicted)
		at += len(predicted)
	}
	return nil
}
