package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"ulrl/pipeline/attack"
	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/metrics"
	"ulrl/pipeline/runstore"
	"ulrl/pipeline/train"
	"ulrl/pipeline/zoo"
	torch "ulrl/torchbridge"
)

// AttackOptions of Attack.
type AttackOptions struct {
	Force bool // replace a model that is there
}

// What Attack leaves beside the model.
const (
	FileAttack  = "attack.json" // what Attack says of itself
	FileTrigger = "trigger.pt"  // TorchScript: a normalised batch in, the triggered one out
	FilePreview = "preview.png" // clean, triggered, difference
)

// previewImages is how many images a preview shows.
const previewImages = 8

// AttackResult is what Attack leaves in attack.json.
type AttackResult struct {
	Name     string            `json:"name"`
	Dir      string            `json:"-"`
	Scores   metrics.Scores    `json:"scores"`
	Poisoned []int             `json:"poisoned"` // indices into the training samples used; null where the training loop poisons
	Samples  []int             `json:"samples"`  // their indices in the training set; null for all
	Seconds  float64           `json:"seconds"`
	Seed     uint64            `json:"seed"`
	Versions runstore.Versions `json:"versions"`
	Machine  runstore.Machine  `json:"machine"`
	Config   string            `json:"config"` // the resolved config, YAML
	Command  []string          `json:"command"`
}

// Attack trains the backdoored model that c describes and writes it with its
// description to c.Attack.Output.
func Attack(ctx context.Context, c *config.Config, env Env, o AttackOptions) (*AttackResult, error) {
	if c.Attack.Name == config.AttackNone {
		return nil, fault.Misuse("attack.name is none: name an attack in the config, such as badnets")
	}
	path := filepath.Join(c.Attack.Output, config.BackdooredFile)
	if _, err := os.Stat(path); err == nil && !o.Force {
		return nil, fault.Misuse("%s is there already: choose another attack.output, or replace it with --force", path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Misuse("attack.output: %w", err)
	}
	if err := os.MkdirAll(c.Attack.Output, 0o755); err != nil {
		return nil, fault.Misuse("attack.output: %w", err)
	}
	if err := runstore.CheckWritable(path); err != nil {
		return nil, err
	}
	dev, err := openDevice(env, c)
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	result, err := attackOn(ctx, c, env, dev)
	return result, explain(err)
}

func attackOn(ctx context.Context, c *config.Config, env Env, dev *torch.Device) (*AttackResult, error) {
	began := time.Now()
	d, err := readImages(ctx, c, true)
	if err != nil {
		return nil, err
	}
	samples, set, err := trainingSamples(c, d.train)
	if err != nil {
		return nil, err
	}
	if err := attack.CheckTarget(c.Attack, set); err != nil {
		return nil, err
	}
	keep := dev.NewScope()
	defer keep.Close()
	trigger, err := makeTrigger(ctx, dev, keep, c, attack.FormOf(set, d.normalise, c.Seed))
	if err != nil {
		return nil, err
	}
	data, chosen, err := trainingData(ctx, dev, keep, c, set, d.normalise, trigger)
	if err != nil {
		return nil, err
	}
	g, err := newGauge(env, dev, c, d, set, trigger)
	if err != nil {
		return nil, err
	}
	m, err := newNetwork(ctx, dev, keep, c, set)
	if err != nil {
		return nil, err
	}
	t := c.Attack.Train
	err = env.phase("train", t.Epochs*data.Batches(), func() error {
		_, err := attack.Train(ctx, dev, m, data, lossFor(c, set, trigger), t, logWatcher{env})
		return err
	})
	if err != nil {
		return nil, err
	}
	scores, err := g.scores(ctx, "evaluate", m)
	if err != nil {
		return nil, err
	}
	machine, err := thisMachine(dev)
	if err != nil {
		return nil, err
	}
	text, err := c.YAML()
	if err != nil {
		return nil, err
	}
	result := &AttackResult{
		Name: c.Attack.Name, Dir: c.Attack.Output, Scores: scores, Poisoned: chosen, Samples: samples,
		Seconds: time.Since(began).Seconds(), Seed: c.Seed, Versions: versions(env), Machine: machine,
		Config: string(text), Command: env.Command,
	}
	preview, err := drawPreview(ctx, dev, g)
	if err != nil {
		return nil, err
	}
	return result, writeAttack(ctx, dev, result, []attackFile{
		{FilePreview, nil, preview}, {FileTrigger, trigger, nil}, {config.BackdooredFile, m, nil},
	})
}

// lossFor is what the attack's training descends.
func lossFor(c *config.Config, set *dataset.Set, trigger *torch.Module) attack.Loss {
	if c.Attack.Name == "blind" {
		return attack.BlindLoss(c.Attack, len(set.Classes), trigger)
	}
	return attack.CrossEntropy
}

// trainingData is what the model learns from: a set that is poisoned once,
// batches that are poisoned as they come, or for blind the clean set; the
// indices of the poisoned images are nil but for the first.
func trainingData(ctx context.Context, dev *torch.Device, keep *torch.Scope, c *config.Config, set *dataset.Set,
	n dataset.Normalisation, trigger *torch.Module) (train.Source, []int, error) {
	t := c.Attack.Train
	o := dataset.LoaderOptions{
		BatchSize: t.BatchSize, Shuffle: true, Seed: c.Seed, Normalise: n,
		Crop: t.Augment, Flip: t.Augment && dataset.FlipAllowed(c.Data.Name, c.Data.Flip),
	}
	if c.Attack.Name == "blind" {
		return dataset.NewLoader(set, o), nil, nil
	}
	if !attack.Controlled(c.Attack) {
		poisoned, chosen, err := attack.Poison(ctx, dev, trigger, set, c.Attack, n, c.Seed)
		if err != nil {
			return nil, nil, err
		}
		return dataset.NewLoader(poisoned, o), chosen, nil
	}
	var decoy *torch.Module
	err := dev.Do(ctx, func(s *torch.Scope) error {
		made, err := attack.NewDecoy(s, c.Attack, attack.FormOf(set, n, c.Seed))
		if err != nil {
			return err
		}
		decoy, err = made.CopyTo(keep)
		return err
	})
	return attack.PoisonBatches(dataset.NewLoader(set, o), c.Attack, set, c.Seed, trigger, decoy), nil, err
}

// drawPreview shows the first images that the trigger is measured on.
func drawPreview(ctx context.Context, dev *torch.Device, g *gauge) ([]byte, error) {
	first := make([]int, min(previewImages, g.victims.Len()))
	for i := range first {
		first[i] = i
	}
	clean, triggered := g.victims.Subset(first), g.victims.Subset(first)
	if err := attack.Apply(ctx, dev, g.trigger, triggered, nil, g.normalise); err != nil {
		return nil, err
	}
	return attack.Preview(clean, triggered)
}

// attackFile is a module to save, or bytes.
type attackFile struct {
	name   string
	module *torch.Module
	data   []byte
}

// trainingSamples is the part of the training set that is used; the indices
// are nil for all of it.
func trainingSamples(c *config.Config, all *dataset.Set) ([]int, *dataset.Set, error) {
	n := c.Attack.Train.Samples
	if n == 0 || n == all.Len() {
		return nil, all, nil
	}
	if n > all.Len() {
		return nil, nil, fault.Misuse("attack.train.samples is %d, the training set has %d images", n, all.Len())
	}
	// Another stream than the clean draw's, which must not repeat it.
	drawn, err := dataset.Draw(all, dataset.DrawOptions{Count: n, Seed: ^c.Seed})
	if err != nil {
		return nil, nil, err
	}
	return drawn, all.Subset(drawn), nil
}

func newNetwork(ctx context.Context, dev *torch.Device, keep *torch.Scope, c *config.Config, set *dataset.Set) (*torch.Module, error) {
	var m *torch.Module
	err := dev.Do(ctx, func(s *torch.Scope) error {
		made, err := zoo.New(s, zoo.Spec{
			Name: c.Attack.Arch.Name, Width: c.Attack.Arch.Width, Channels: set.C, Classes: len(set.Classes), Seed: c.Seed,
		})
		if err != nil {
			return fmt.Errorf("make the network %s: %w", c.Attack.Arch.Name, err)
		}
		if m, err = made.CopyTo(keep); err != nil {
			return err
		}
		return m.ChannelsLast(true)
	})
	return m, err
}

// writeAttack leaves the description and then the files in their order, the
// model last: a model that is there is whole.
func writeAttack(ctx context.Context, dev *torch.Device, result *AttackResult, files []attackFile) error {
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	for _, f := range append([]attackFile{{FileAttack, nil, append(text, '\n')}}, files...) {
		if f.module != nil {
			err := dev.Do(ctx, func(*torch.Scope) (err error) { f.data, err = saveForUsers(f.module); return })
			if err != nil {
				return err
			}
		}
		if err := runstore.WriteFileAtomic(filepath.Join(result.Dir, f.name), f.data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

type logWatcher struct{ env Env }

func (w logWatcher) Batch(note string) { w.env.Progress.Step(note) }

func (w logWatcher) Epoch(e train.Epoch) error {
	w.env.Log.WithField("phase", e.Phase).Debugf("epoch %d: lr %.4g loss %.4f acc %.4f in %.1f s", e.Epoch, e.LR, e.Loss, e.Accuracy, e.Seconds)
	return nil
}
