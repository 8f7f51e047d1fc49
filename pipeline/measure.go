package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ulrl/pipeline/attack"
	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/metrics"
	"ulrl/pipeline/model"
	torch "ulrl/torchbridge"
)

// gauge measures a model on fixed images.
type gauge struct {
	env       Env
	dev       *torch.Device
	clean     *dataset.Set
	on        string        // what clean is
	trigger   *torch.Module // nil where none is known, or victims have it already
	victims   *dataset.Set  // the images that get it; nil where there are none
	goals     []int64       // the labels that they are then to get
	batch     int
	normalise dataset.Normalisation
}

// newGauge measures on the test set, or where there is none on the fallback.
// Its trigger is to be set, if there is one.
func newGauge(ctx context.Context, env Env, dev *torch.Device, c *config.Config, d images, fallback *dataset.Set) (*gauge, error) {
	g := &gauge{env: env, dev: dev, clean: d.test, on: "test", batch: c.Eval.BatchSize, normalise: d.normalise}
	if g.clean == nil {
		g.clean, g.on = fallback, "clean samples"
	}
	var err error
	switch c.Attack.Name {
	case config.AttackNone:
		return g, nil
	case config.AttackRecorded:
		g.victims, g.goals, err = dataset.ReadListed(ctx, c.Attack.Images, g.clean)
		return g, err
	}
	if err := attack.CheckTarget(c.Attack, g.clean); err != nil {
		return nil, err
	}
	g.victims, g.goals, err = attack.Victims(g.clean, c.Attack)
	return g, err
}

// openTrigger is the trigger in the attack's folder, or else the one that the
// config describes; nil where it names none, or only images that have it. It
// belongs to keep.
func openTrigger(ctx context.Context, env Env, dev *torch.Device, keep *torch.Scope, c *config.Config, set *dataset.Set, n dataset.Normalisation) (*torch.Module, error) {
	if !c.Attack.Makes() {
		return nil, nil
	}
	path := filepath.Join(c.Attack.Output, FileTrigger)
	if _, err := os.Stat(path); err != nil {
		f := attack.FormOf(set, n, c.Seed)
		f.Say = func(note string) { env.Log.Warn(note) }
		return makeTrigger(ctx, dev, keep, c, f)
	}
	file, err := model.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var trigger *torch.Module
	err = dev.Do(ctx, func(s *torch.Scope) (err error) {
		if trigger, err = file.Load(keep); err != nil {
			return err
		}
		if err := trigger.Train(false); err != nil {
			return err
		}
		s.NoGrad(func() {
			x := s.Full(0, torch.Float32, 2, set.C, set.H, set.W)
			if y := trigger.Forward(x).Shape(); s.Err() == nil && !slices.Equal(y, x.Shape()) {
				err = fault.Misuse("trigger %s turns images of %v into %v: it is for other data", path, x.Shape(), y)
			}
		})
		if s.Err() != nil {
			return fault.Misuse("trigger %s cannot take images of %d×%d×%d: %w", path, set.C, set.H, set.W, s.Err())
		}
		return err
	})
	return trigger, err
}

func makeTrigger(ctx context.Context, dev *torch.Device, keep *torch.Scope, c *config.Config, f attack.Form) (*torch.Module, error) {
	var trigger *torch.Module
	err := dev.Do(ctx, func(s *torch.Scope) error {
		made, err := attack.NewTrigger(s, c.Attack, f)
		if err != nil {
			return err
		}
		trigger, err = made.CopyTo(keep)
		return err
	})
	return trigger, err
}

func (g *gauge) loader(set *dataset.Set) *dataset.Loader {
	return dataset.NewLoader(set, dataset.LoaderOptions{BatchSize: g.batch, Normalise: g.normalise})
}

// manyClasses is for how many classes accuracy is told one by one.
const manyClasses = 1000

// scores measures ACC and, where a trigger is known, ASR and RA. The model is
// not changed.
func (g *gauge) scores(ctx context.Context, phase string, m *torch.Module) (metrics.Scores, error) {
	scores := metrics.Scores{MeasuredOn: g.on}
	sets := []*dataset.Set{g.clean}
	if g.victims != nil {
		sets = append(sets, g.victims)
	}
	steps := 0
	for _, set := range sets {
		steps += g.loader(set).Batches()
	}
	err := g.env.phase(phase, steps, func() error {
		own := g.dev.NewScope()
		defer own.Close()
		var fast *torch.Module
		err := g.dev.Do(ctx, func(*torch.Scope) (err error) { fast, err = g.forEvaluation(own, m); return })
		if err != nil {
			return err
		}
		var clean, hit, robust metrics.Count
		var classes metrics.Classes
		if n := len(g.clean.Classes); n <= manyClasses {
			classes = make(metrics.Classes, n)
		}
		err = g.predict(ctx, fast, nil, g.clean, func(at int, predicted []int64) {
			clean.Add(predicted, g.clean.Labels[at:])
			classes.Add(predicted, g.clean.Labels[at:])
			g.env.Progress.Step("")
		})
		scores.ACC, scores.ByClass, scores.CleanImages = clean.Share(), classes.Shares(), clean.Total
		if err != nil || g.victims == nil {
			return err
		}
		err = g.predict(ctx, fast, g.trigger, g.victims, func(at int, predicted []int64) {
			hit.Add(predicted, g.goals[at:])
			robust.Add(predicted, g.victims.Labels[at:])
			g.env.Progress.Step("")
		})
		scores.ASR, scores.RA, scores.TriggeredImages = hit.Share(), robust.Share(), hit.Total
		return err
	})
	if err != nil {
		return scores, fmt.Errorf("evaluate: %w", err)
	}
	return scores, nil
}

// forEvaluation is a fused copy, or where that would not be the same model, a
// copy as it is.
func (g *gauge) forEvaluation(s *torch.Scope, m *torch.Module) (*torch.Module, error) {
	plain, err := m.CopyTo(s)
	if err != nil {
		return nil, err
	}
	if err := plain.Train(false); err != nil {
		return nil, err
	}
	fused, err := m.ForInference(s)
	if err == nil {
		if err = g.check(fused, plain); err == nil {
			plain.Close()
			return fused, nil
		}
		fused.Close()
	}
	g.env.Log.WithError(err).Debug("the model cannot be fused for evaluation; it is run as it is")
	return plain, nil
}

// check looks for what libtorch 1.13 gets wrong when it fuses: elementwise
// operators (hardswish, hardsigmoid, relu6) leave out what channels are padded
// with, and pooling 1×1 to 7×7, as VGG does on small images, fails once run.
func (g *gauge) check(fused, plain *torch.Module) error {
	names, err := fused.Operators()
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasPrefix(name, "prim::MKLDNN") {
			return fmt.Errorf("%s is not to be trusted", name)
		}
	}
	return g.agree(fused, plain)
}

// agree compares two models' scores on a few images, by more than rounding.
func (g *gauge) agree(fused, plain *torch.Module) error {
	const images, tolerance = 8, 1e-3
	s := g.dev.NewScope() // what fails here must not stick to the evaluation
	defer s.Close()
	var gap, size float64
	s.NoGrad(func() {
		loader := dataset.NewLoader(g.clean, dataset.LoaderOptions{BatchSize: images, Normalise: g.normalise})
		x, _ := loader.Batch(s, 0, 0)
		scores := plain.Forward(x)
		gap, size = fused.Forward(x).Sub(scores).Abs().Sum().Item(), scores.Abs().Sum().Item()
	})
	if err := s.Err(); err != nil {
		return err
	}
	if !(gap <= tolerance*size) { // NaN too
		return fmt.Errorf("fused, its scores differ by %g of %g", gap, size)
	}
	return nil
}

// predict gives each batch's predicted classes, with the trigger on if there is
// one, and at which image the batch starts.
func (g *gauge) predict(ctx context.Context, m, trigger *torch.Module, set *dataset.Set, each func(at int, predicted []int64)) error {
	loader := g.loader(set)
	at := 0
	for i := range loader.Batches() {
		var predicted []int64
		err := g.dev.Do(ctx, func(s *torch.Scope) error {
			var err error
			s.NoGrad(func() {
				x, _ := loader.Batch(s, 0, i)
				if trigger != nil {
					x = trigger.Forward(x).ChannelsLast()
				}
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
