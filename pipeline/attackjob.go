package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
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
	Force   bool // replace a model that is there
	Control bool // measure the trigger on a clean model too
	Resume  bool // go on with a training that was interrupted
}

// What Attack leaves beside the model.
const (
	FileAttack  = config.AttackFile // what Attack says of itself
	FileTrigger = config.TriggerFile
	FilePreview = "preview.png" // clean, triggered, difference
)

// previewImages is how many images a preview shows.
const previewImages = 8

// AttackResult is what Attack leaves in attack.json.
type AttackResult struct {
	Name      string            `json:"name"`
	Dir       string            `json:"-"`
	Scores    metrics.Scores    `json:"scores"`
	Control   *metrics.Scores   `json:"control,omitempty"` // of the same trigger on a clean model of another seed
	Poisoned  []int             `json:"poisoned"`          // indices into the training samples used; null where the training loop poisons
	Samples   []int             `json:"samples"`           // their indices in the training set; null for all
	Seconds   float64           `json:"seconds"`           // without the control
	CPU       float64           `json:"cpu_seconds"`       // of all threads, likewise
	PeakBytes int64             `json:"peak_bytes"`        // of resident memory, likewise
	Seed      uint64            `json:"seed"`
	Versions  runstore.Versions `json:"versions"`
	Machine   runstore.Machine  `json:"machine"`
	Sandbox   string            `json:"sandbox"` // what confined the process; "" where nothing did
	Config    string            `json:"config"`  // the resolved config, YAML
	Command   []string          `json:"command"`
	Sums      map[string]string `json:"sha256"` // of the folder's other files, by name
}

// ReadAttack reads what Attack left in a folder; where it is not complete, the error
// is fs.ErrNotExist.
func ReadAttack(dir string) (*AttackResult, error) {
	if _, err := os.Stat(filepath.Join(dir, config.BackdooredFile)); err != nil {
		return nil, err // attack.json comes before the model
	}
	path := filepath.Join(dir, FileAttack)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &AttackResult{Dir: dir}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// CheckNetwork tells of a network that an attack could not train.
func CheckNetwork(c *config.Config) error {
	if !c.Attack.Makes() {
		return nil
	}
	if err := zoo.CheckWidth(c.Attack.Arch.Name, c.Attack.Arch.Width); err != nil {
		return fault.Misuse("%s: attack.arch: %w", c.Origin("attack.arch.width"), err)
	}
	return nil
}

// Attack trains the backdoored model that c describes and writes it with its
// description to c.Attack.Output.
func Attack(ctx context.Context, c *config.Config, env Env, o AttackOptions) (*AttackResult, error) {
	if !c.Attack.Makes() {
		return nil, fault.Misuse("attack.name is %s: name an attack in the config, such as badnets", c.Attack.Name)
	}
	if err := runstore.CheckOurs(c.Attack.Output, config.BackdooredFile, FileAttack, FileTrigger, FilePreview, FileCheckpoint, runstore.FileLock); err != nil {
		return nil, fault.Misuse("attack.output: %w", err)
	}
	undo, err := runstore.MakeDirs(c.Attack.Output)
	if err != nil {
		return nil, fault.Misuse("attack.output: %w", err)
	}
	defer undo() // where nothing came of it
	unlock, waited, err := lockAttack(ctx, c.Attack.Output, env, o.Resume)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if waited {
		if made, err := ReadAttack(c.Attack.Output); err == nil {
			return made, nil
		}
	}
	return attackIn(ctx, c, env, o)
}

// lockAttack takes an attack's folder: two trainings would replace one another's model. A
// training that is to go on where one ended waits for one that is under way, as where two
// sweeps share their models. What a process of another machine holds is not waited for, nor
// respected, for it may be gone with its machine.
func lockAttack(ctx context.Context, dir string, env Env, wait bool) (unlock func(), waited bool, err error) {
	if unlock, err = runstore.LockHere(dir); err == nil || !wait {
		return unlock, false, err
	}
	err = env.phase("wait for another training", 0, func() error {
		for {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
			}
			env.Progress.Step("in " + dir)
			if unlock, err = runstore.LockHere(dir); err == nil {
				return nil
			}
		}
	})
	return unlock, true, err
}

// attackIn is Attack in its folder.
func attackIn(ctx context.Context, c *config.Config, env Env, o AttackOptions) (*AttackResult, error) {
	path := filepath.Join(c.Attack.Output, config.BackdooredFile)
	if _, err := os.Stat(path); err == nil && !o.Force {
		return nil, fault.Misuse("%s is there already: choose another attack.output, or replace it with --force", path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
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
	result, err := attackOn(ctx, c, env, dev, o)
	return result, explain(err)
}

func attackOn(ctx context.Context, c *config.Config, env Env, dev *torch.Device, o AttackOptions) (*AttackResult, error) {
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
	g, err := newGauge(ctx, env, dev, c, d, set)
	if err != nil {
		return nil, err
	}
	keep := dev.NewScope()
	defer keep.Close()
	lab := newLab(env, dev, keep, c, set, d.normalise)
	kept := checkpointFile{dir: c.Attack.Output, of: lab}
	if err := kept.use(env, o.Resume); err != nil {
		return nil, err
	}
	made, err := attack.Make(ctx, lab)
	if err != nil {
		return nil, kept.advise(err)
	}
	g.trigger = made.Trigger
	scores, err := g.scores(ctx, "evaluate", made.Model)
	if err != nil {
		return nil, err
	}
	seconds := time.Since(began).Seconds()
	peak, cpu := spent()
	control, err := measureControl(ctx, g, lab, c, o)
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
		Name: c.Attack.Name, Dir: c.Attack.Output, Scores: scores, Control: control, Poisoned: made.Poisoned, Samples: samples,
		Seconds: seconds, CPU: cpu, PeakBytes: peak, Seed: c.Seed, Versions: versions(env), Machine: machine, Sandbox: env.Sandbox,
		Config: string(text), Command: env.Command,
	}
	preview, err := drawPreview(ctx, dev, g)
	if err != nil {
		return nil, err
	}
	err = writeAttack(ctx, dev, result, []attackFile{
		{FilePreview, nil, preview}, {FileTrigger, made.Trigger, nil}, {config.BackdooredFile, made.Model, nil},
	})
	if err != nil {
		return nil, err
	}
	return result, kept.remove()
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

// writeAttack leaves the description, with the checksums of the others, and then
// the files in their order, the model last: a model that is there is whole.
func writeAttack(ctx context.Context, dev *torch.Device, result *AttackResult, files []attackFile) error {
	result.Sums = map[string]string{}
	for i := range files {
		f := &files[i]
		if f.module != nil {
			err := dev.Do(ctx, func(s *torch.Scope) (err error) { f.data, err = saveForUsers(s, f.module); return })
			if err != nil {
				return err
			}
		}
		result.Sums[f.name] = runstore.SumOf(f.data)
	}
	// One that is replaced goes first: it must not stand beside another's trigger.
	old := filepath.Join(result.Dir, config.BackdooredFile)
	if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("replace the model that is there: %w", err)
	}
	if err := runstore.WriteSealed(filepath.Join(result.Dir, FileAttack), result); err != nil {
		return err
	}
	for _, f := range files {
		if err := runstore.WriteFileAtomic(filepath.Join(result.Dir, f.name), f.data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// logWatcher tells the log of a training on images of so many classes.
type logWatcher struct {
	env     Env
	classes int
}

func (w logWatcher) Batch(note string) { w.env.Progress.Step(note) }

func (w logWatcher) Epoch(e train.Epoch) error {
	w.env.Log.WithField("phase", e.Phase).Debugf("epoch %d: lr %.4g loss %.4f acc %.4f in %.1f s", e.Epoch, e.LR, e.Loss, e.Accuracy, e.Seconds)
	if guessing := math.Log(float64(w.classes)); e.Epoch > 1 && e.Loss > guessing {
		w.env.Log.Warnf("training came apart in epoch %d (mean loss %.2f, guessing has %.2f) and may not have recovered: look at the model's ACC; lower attack.train.lr or take another seed", e.Epoch, e.Loss, guessing)
	}
	return nil
}
