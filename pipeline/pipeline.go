// Package pipeline is one job from config to result: Run cleans a model,
// Attack makes a backdoored one, Eval measures, Inspect and Doctor look.
package pipeline

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/sirupsen/logrus"

	"ulrl/pipeline/config"
	"ulrl/pipeline/cores"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/progress"
	torch "ulrl/torchbridge"
)

// Env is what a job gets from its caller.
type Env struct {
	Lib      *torch.Library
	Log      logrus.FieldLogger
	Progress progress.Sink
	Version  string   // of ulrl
	Command  []string // as typed
	Sandbox  string   // what confines this process; "": nothing does
}

// openDevice opens the device that a config names.
func openDevice(env Env, c *config.Config) (*torch.Device, error) {
	threads := c.Threads
	if threads == 0 {
		threads = cores.Count()
	}
	dev, err := env.Lib.Device(c.Device, threads)
	if err != nil {
		return nil, fault.Misuse("device: %w", err)
	}
	if err := checkPrecision(dev, c); err != nil {
		dev.Close()
		return nil, err
	}
	if err := env.Lib.Seed(c.Seed); err != nil {
		dev.Close()
		return nil, err
	}
	return dev, nil
}

// checkPrecision refuses what a CPU cannot multiply in, before hours of work.
func checkPrecision(dev *torch.Device, c *config.Config) error {
	for _, stage := range []struct{ key, precision string }{
		{"attack.train.precision", c.Attack.Train.Precision}, {"unlearn.precision", c.Unlearn.Precision}, {"relearn.precision", c.Relearn.Precision},
	} {
		if (stage.precision == "float16" || stage.precision == "tf32") && dev.Name() == "cpu" {
			return fault.Misuse("%s: %s needs a GPU, and this is a CPU: bfloat16 serves on both", stage.key, stage.precision)
		}
	}
	return nil
}

// images are the data of a job.
type images struct {
	train, test *dataset.Set // test is nil where there is none, train where it was not asked for
	normalise   dataset.Normalisation
}

func (d images) any() *dataset.Set {
	if d.train != nil {
		return d.train
	}
	return d.test
}

// readImages reads the training set, if wanted, and the test set, if there is one.
func readImages(ctx context.Context, c *config.Config, wantTrain bool) (images, error) {
	d, err := readSets(ctx, c, wantTrain)
	if err != nil {
		return d, err
	}
	d.normalise, err = dataset.NormalisationFor(c.Data.Name, c.Data.Mean, c.Data.Std, d.any().C)
	return d, err
}

// readSets is readImages without the normalisation.
func readSets(ctx context.Context, c *config.Config, wantTrain bool) (images, error) {
	var d images
	var err error
	if wantTrain {
		if d.train, err = dataset.Read(ctx, source(c.Data, dataset.Train, c.Data.Train, c.Data.TrainLabels)); err != nil {
			return d, err
		}
	}
	if c.Data.Test != config.NoTestSet {
		if d.test, err = dataset.Read(ctx, source(c.Data, dataset.Test, c.Data.Test, c.Data.TestLabels)); err != nil {
			return d, err
		}
	}
	if d.any() == nil {
		return d, fault.Misuse("data.test is none: there is nothing to measure on")
	}
	return d, d.agree()
}

// agree checks that training and test set are of one kind.
func (d images) agree() error {
	if d.train == nil || d.test == nil {
		return nil
	}
	a, b := d.train, d.test
	if a.C != b.C || a.H != b.H || a.W != b.W {
		return fault.Misuse("the training images are %d×%d×%d, the test images %d×%d×%d: set data.channels and data.size", a.C, a.H, a.W, b.C, b.H, b.W)
	}
	if len(a.Classes) != len(b.Classes) {
		return fault.Misuse("the training set has %d classes, the test set %d: set data.classes, and name class folders alike", len(a.Classes), len(b.Classes))
	}
	for i, name := range a.Classes {
		if b.Classes[i] != name {
			return fault.Misuse("class %d is %q in the training set and %q in the test set: name class folders alike", i, name, b.Classes[i])
		}
	}
	return nil
}

// source turns a config's data section into one set's place: what is named goes
// before what lies in data.dir.
func source(d config.Data, split, named, labels string) dataset.Source {
	src := dataset.SourceIn(d.Kind, d.Dir, split)
	src.Classes, src.Channels = d.Classes, d.Channels
	if len(d.Size) == 2 {
		src.Height, src.Width = d.Size[0], d.Size[1]
	}
	switch {
	case named == "":
	case d.Kind == dataset.KindFolder:
		src.Dir = named
	case d.Kind == dataset.KindIDX:
		src.Images = named
		src.Labels = filepath.Join(filepath.Dir(named), filepath.Base(src.Labels))
	default:
		src.Images = named
		src.Other = map[string]string{dataset.Train: d.Test, dataset.Test: d.Train}[split]
	}
	if labels != "" {
		src.Labels = labels
	}
	return src
}

// phase tells the sink and the log of a phase around body.
func (e Env) phase(name string, steps int, body func() error) error {
	e.Progress.Start(name, steps)
	defer e.Progress.End()
	return body()
}

// explain adds what to do to failures that have a usual remedy.
func explain(err error) error {
	if torch.IsMemory(err) {
		return fmt.Errorf("%w: lower the batch sizes, or use a machine with more memory", err)
	}
	return err
}
