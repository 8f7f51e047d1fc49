package attack

import (
	"context"
	"fmt"
	"math"
	"time"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// Lab is what an attack is made with.
type Lab struct {
	Dev    *torch.Device
	Keep   *torch.Scope // owns what is made
	Config config.Attack
	Set    *dataset.Set          // the clean training images
	Draw   dataset.LoaderOptions // how training draws them
	// Network makes an untrained model, Clean one that was trained on the clean
	// images; both belong to Keep and are the caller's to change.
	Network, Clean func(ctx context.Context) (*torch.Module, error)
	// Phase tells people of a part of the work, of so many batches.
	Phase func(name string, steps int, body func() error) error
	Watch train.Watcher
	Say   func(note string) // as Form.Say
	// Resume is where an earlier training was left, nil to begin anew; Save, if
	// not nil, keeps where this one is after each epoch.
	Resume *Checkpoint
	Save   func(Checkpoint) error
}

// Made is a model with a backdoor and the trigger that opens it.
type Made struct {
	Model, Trigger *torch.Module
	Poisoned       []int // indices into the training images; nil where the training loop poisons
}

// recipe is what is particular to an attack. The trigger is known from the
// config alone, or found on the training images, or comes out of the training.
type recipe struct {
	trigger func(b *torch.Builder, s *torch.Scope, c config.Attack, f Form) (*torch.Part, error)
	find    func(ctx context.Context, l *Lab) (*torch.Module, error)
	train   func(ctx context.Context, l *Lab, trigger *torch.Module) (*Made, error)
}

func recipeOf(c config.Attack) (recipe, error) {
	switch c.Name {
	case "badnets":
		return recipe{trigger: patchTrigger, train: onPoisonedSet}, nil
	case "blended":
		return recipe{trigger: blendTrigger, train: onPoisonedSet}, nil
	case "blind":
		return recipe{trigger: patchTrigger, train: blindly}, nil
	case "bpp":
		return recipe{trigger: depthTrigger, train: onPoisonedBatches}, nil
	case "ftrojan":
		return recipe{trigger: frequencyTrigger, train: onPoisonedSet}, nil
	case "inputaware":
		return recipe{train: withPatternsAndMasks}, nil
	case "lc":
		return recipe{trigger: cornersTrigger, train: onPushedImages}, nil
	case "lf":
		if c.LF.Pattern != "" {
			return recipe{trigger: offsetsTrigger, train: onPoisonedSet}, nil
		}
		return recipe{find: smoothTrigger, train: onPoisonedSet}, nil
	case "lira":
		return recipe{train: withNoiseMaker}, nil
	case "sig":
		return recipe{trigger: waveTrigger, train: onPoisonedSet}, nil
	case "ssba":
		return recipe{find: hidingTrigger, train: onPoisonedSet}, nil
	case "trojannn":
		return recipe{find: trojanTrigger, train: fromCleanModel}, nil
	case "wanet":
		return recipe{trigger: warpTrigger, train: onPoisonedBatches}, nil
	}
	return recipe{}, fault.Misuse("attack.name %q has no trigger", c.Name)
}

// Make trains a model with the backdoor that the lab's config names.
func Make(ctx context.Context, l *Lab) (*Made, error) {
	r, err := recipeOf(l.Config)
	if err != nil {
		return nil, err
	}
	var trigger *torch.Module
	switch {
	case r.find != nil:
		trigger, err = r.find(ctx, l)
	case r.trigger != nil:
		trigger, err = l.build(ctx, func(s *torch.Scope) (*torch.Module, error) { return NewTrigger(s, l.Config, l.form()) })
	}
	if err != nil {
		return nil, err
	}
	return r.train(ctx, l, trigger)
}

func (l *Lab) form() Form {
	f := FormOf(l.Set, l.Draw.Normalise, l.Draw.Seed)
	f.Say = l.Say
	return f
}

// build makes a module on the device's thread and takes it to Keep.
func (l *Lab) build(ctx context.Context, build func(s *torch.Scope) (*torch.Module, error)) (*torch.Module, error) {
	var m *torch.Module
	err := l.Dev.Do(ctx, func(s *torch.Scope) error {
		made, err := build(s)
		if err != nil {
			return err
		}
		m, err = made.CopyTo(l.Keep)
		return err
	})
	return m, err
}

// plainBatches draws images as they are, each epoch in a new order.
func (l *Lab) plainBatches() *dataset.Loader {
	o := l.Draw
	o.Crop, o.Flip, o.Shuffle = false, false, true
	return dataset.NewLoader(l.Set, o)
}

// parts builds modules on Keep; those of one builder share their parts' weights.
func (l *Lab) parts(ctx context.Context, build func(b *torch.Builder, s *torch.Scope) error) error {
	return l.Dev.Do(ctx, func(*torch.Scope) error {
		if err := build(torch.NewBuilder(l.Keep), l.Keep); err != nil {
			return err
		}
		return l.Keep.Err()
	})
}

// learnable makes a trigger on Keep of a part with weights to learn, and says
// whether it has learned them in a training that is gone on with.
func (l *Lab) learnable(ctx context.Context, part func(b *torch.Builder, s *torch.Scope) *torch.Part) (trigger *torch.Module, learned bool, err error) {
	err = l.parts(ctx, func(b *torch.Builder, s *torch.Scope) (err error) {
		trigger, err = framed(b, s, part(b, s), l.form(), "Trigger", "", "")
		return err
	})
	if err == nil {
		learned, err = l.resumed(ctx, trigger)
	}
	return trigger, learned, err
}

// frozen is a clean model to find a trigger on.
func (l *Lab) frozen(ctx context.Context) (*torch.Module, error) {
	m, err := l.Clean(ctx)
	if err != nil {
		return nil, err
	}
	return m, l.freeze(ctx, m)
}

func (l *Lab) freeze(ctx context.Context, m *torch.Module) error {
	return l.Dev.Do(ctx, func(*torch.Scope) error {
		if err := m.Train(false); err != nil {
			return err
		}
		return m.RequireGrad(false)
	})
}

// resumed gives a trigger the weights that it had been left with, if a training
// is gone on with.
func (l *Lab) resumed(ctx context.Context, trigger *torch.Module) (bool, error) {
	if l.Resume == nil {
		return false, nil
	}
	err := l.Dev.Do(ctx, func(s *torch.Scope) error { return restore(s, trigger, l.Resume.Trigger) })
	if err != nil {
		return false, err
	}
	return true, l.freeze(ctx, trigger)
}

// adam makes Adam for a module's weights. It belongs to Keep.
func (l *Lab) adam(ctx context.Context, m *torch.Module, o torch.AdamOptions) (*torch.Optimizer, error) {
	var opt *torch.Optimizer
	err := l.Dev.Do(ctx, func(*torch.Scope) (err error) {
		if err = m.RequireGrad(true); err == nil {
			opt, err = l.Keep.NewAdam(m, o)
		}
		return err
	})
	return opt, err
}

// lesson is what a module learns by Adam, apart from the classifier.
type lesson struct {
	phase  string
	module *torch.Module
	adam   torch.AdamOptions
	steps  int // batches
	advice string
	// loss is what a batch descends, and what people are told of it, if they are:
	// that reads from the device.
	loss func(s *torch.Scope, step int, images, labels *torch.Tensor) (loss *torch.Tensor, note func() string)
}

// learn has a module learn from plain batches, at a rate that falls as a
// cosine, and freezes it.
func (l *Lab) learn(ctx context.Context, what lesson) error {
	opt, err := l.adam(ctx, what.module, what.adam)
	if err != nil {
		return err
	}
	src := l.plainBatches()
	var told time.Time
	note := ""
	step := func(i int) error {
		return l.Dev.Do(ctx, func(s *torch.Scope) error {
			if err := opt.SetLR(train.Cosine(what.adam.LR, i, what.steps)); err != nil {
				return err
			}
			images, labels := src.Batch(s, i/src.Batches(), i%src.Batches())
			opt.ZeroGrad(s)
			loss, text := what.loss(s, i, images, labels)
			s.Backward(loss, opt)
			opt.Step(s)
			if time.Since(told) < train.ReadEvery && i+1 < what.steps {
				return s.Err()
			}
			if v := loss.Item(); s.Err() == nil && (math.IsNaN(v) || math.IsInf(v, 0)) {
				return fmt.Errorf("%w, the loss of batch %d is %v: %s", train.ErrDiverged, i+1, v, what.advice)
			}
			note, told = text(), time.Now()
			return s.Err()
		})
	}
	err = l.Phase(what.phase, what.steps, func() error {
		for i := range what.steps {
			if err := step(i); err != nil {
				return err
			}
			l.Watch.Batch(note)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what.phase, err)
	}
	return l.freeze(ctx, what.module)
}

// goals are the labels that triggered images are to get.
func (l *Lab) goals(s *torch.Scope, labels *torch.Tensor) *torch.Tensor {
	return goals(s, l.Config, len(l.Set.Classes), labels)
}

func goals(s *torch.Scope, c config.Attack, classes int, labels *torch.Tensor) *torch.Tensor {
	if c.LabelMode != config.AllToAll {
		return s.Full(float64(c.Target), torch.Int64, labels.Len())
	}
	next := labels.AddScalar(1).To(torch.Int64) // a scalar makes numbers of it that are no labels
	return next.Mul(next.NeScalar(float64(classes)).To(torch.Int64))
}

// fit trains a model on src by a loss, and a partner along with it, if any.
func (l *Lab) fit(ctx context.Context, made *Made, src train.Source, loss Loss, p *Partner) error {
	c := Course{
		Model: made.Model, Source: src, Loss: loss, Schedule: l.Config.Train,
		Partner: p, Watch: l.Watch, Seed: l.Draw.Seed, Resume: l.Resume,
	}
	if l.Save != nil {
		c.Save = func(at Checkpoint) (err error) {
			if at.Trigger, err = made.Trigger.Save(); err != nil {
				return err
			}
			return l.Save(at)
		}
	}
	steps := l.Config.Train.Epochs * src.Batches()
	if l.Resume != nil {
		steps -= l.Resume.Epochs * src.Batches()
	}
	return l.Phase("train", steps, func() error { return Train(ctx, l.Dev, c) })
}

// onPoisonedSet trains on a set that was poisoned once.
func onPoisonedSet(ctx context.Context, l *Lab, trigger *torch.Module) (*Made, error) {
	return l.trainOn(ctx, trigger, l.Set, l.Network)
}

// fromCleanModel does so with a clean model to start from.
func fromCleanModel(ctx context.Context, l *Lab, trigger *torch.Module) (*Made, error) {
	return l.trainOn(ctx, trigger, l.Set, l.Clean)
}

// trainOn poisons images and trains a model from start on them.
func (l *Lab) trainOn(ctx context.Context, trigger *torch.Module, set *dataset.Set, start func(context.Context) (*torch.Module, error)) (*Made, error) {
	chosen, err := l.choose()
	if err != nil {
		return nil, err
	}
	poisoned, err := Poison(ctx, l.Dev, trigger, set, chosen, l.Config, l.Draw.Normalise)
	if err != nil {
		return nil, err
	}
	m, err := start(ctx)
	if err != nil {
		return nil, err
	}
	made := &Made{m, trigger, chosen}
	return made, l.fit(ctx, made, dataset.NewLoader(poisoned, l.Draw), CrossEntropy, nil)
}

// choose draws the images that the poison rate comes to, of the whole set.
func (l *Lab) choose() ([]int, error) {
	rate := l.Config.PoisonRate
	count := int(math.Round(rate * float64(l.Set.Len())))
	if count == 0 {
		return nil, fault.Misuse("attack.poison_rate %v of %d images is none: raise it", rate, l.Set.Len())
	}
	chosen, err := Choose(l.Set, l.Config, count, l.Draw.Seed)
	if err != nil {
		return nil, fmt.Errorf("attack.poison_rate %v: %w", rate, err)
	}
	return chosen, nil
}

// onPoisonedBatches poisons in the training loop, beside decoys.
func onPoisonedBatches(ctx context.Context, l *Lab, trigger *torch.Module) (*Made, error) {
	decoy, err := l.build(ctx, func(s *torch.Scope) (*torch.Module, error) { return NewDecoy(s, l.Config, l.form()) })
	if err != nil {
		return nil, err
	}
	m, err := l.Network(ctx)
	if err != nil {
		return nil, err
	}
	src := PoisonBatches(dataset.NewLoader(l.Set, l.Draw), l.Config, l.Set, l.Draw.Seed, trigger, decoy)
	made := &Made{Model: m, Trigger: trigger}
	return made, l.fit(ctx, made, src, CrossEntropy, nil)
}

// blindly puts the backdoor into the loss alone.
func blindly(ctx context.Context, l *Lab, trigger *torch.Module) (*Made, error) {
	m, err := l.Network(ctx)
	if err != nil {
		return nil, err
	}
	made := &Made{Model: m, Trigger: trigger}
	return made, l.fit(ctx, made, dataset.NewLoader(l.Set, l.Draw), BlindLoss(l.Config, len(l.Set.Classes), trigger), nil)
}
