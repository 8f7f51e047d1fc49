package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"ulrl/pipeline/attack"
	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/metrics"
	"ulrl/pipeline/model"
	"ulrl/pipeline/runstore"
	"ulrl/pipeline/zoo"
	torch "ulrl/torchbridge"
)

// newLab is what an attack is made with, on the training images in use.
func newLab(env Env, dev *torch.Device, keep *torch.Scope, c *config.Config, set *dataset.Set, n dataset.Normalisation) *attack.Lab {
	t := c.Attack.Train
	l := &attack.Lab{
		Dev: dev, Keep: keep, Config: c.Attack, Set: set,
		Draw: dataset.LoaderOptions{
			BatchSize: t.BatchSize, Shuffle: true, Seed: c.Seed, Normalise: n,
			Crop: t.Augment, Flip: t.Augment && dataset.FlipAllowed(c.Data.Name, c.Data.Flip),
		},
		Phase: env.phase, Watch: logWatcher{env, len(set.Classes)},
		Say: func(note string) { env.Log.Warn(note) },
	}
	l.Network = func(ctx context.Context) (*torch.Module, error) { return newNetwork(ctx, l, c.Seed) }
	l.Clean = func(ctx context.Context) (*torch.Module, error) { return cleanModel(ctx, env, l, c.Seed) }
	return l
}

func newNetwork(ctx context.Context, l *attack.Lab, seed uint64) (*torch.Module, error) {
	arch := l.Config.Arch
	var m *torch.Module
	err := l.Dev.Do(ctx, func(s *torch.Scope) error {
		made, err := zoo.New(s, zoo.Spec{
			Name: arch.Name, Width: arch.Width, Channels: l.Set.C, Classes: len(l.Set.Classes),
			Side: min(l.Set.H, l.Set.W), Seed: seed,
		})
		if err != nil {
			return fmt.Errorf("make the network of attack.arch: %w", err)
		}
		if m, err = made.CopyTo(l.Keep); err != nil {
			return err
		}
		return m.ChannelsLast(true)
	})
	return m, err
}

// cleanModel is one trained on the lab's images as they are, from the folder
// of such models, or trained and put there. It belongs to l.Keep.
func cleanModel(ctx context.Context, env Env, l *attack.Lab, seed uint64) (*torch.Module, error) {
	training := l.Config.Train
	training.Epochs = l.Config.CleanModel.Epochs
	draw := l.Draw
	draw.Seed = seed
	name, err := cleanName(l, training, draw)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(l.Config.CleanModel.Dir, name)
	if file, err := model.ReadFile(path); err == nil {
		env.Log.Infof("clean model %s, as trained before", path)
		return loadClean(ctx, l, file)
	} else if _, e := os.Stat(path); e == nil {
		env.Log.Warnf("%v: it is trained anew", err)
	}
	if err := os.MkdirAll(l.Config.CleanModel.Dir, 0o755); err != nil {
		return nil, fault.Misuse("attack.clean_model.dir: %w", err)
	}
	if err := runstore.CheckWritable(path); err != nil {
		return nil, err
	}
	m, err := newNetwork(ctx, l, seed)
	if err != nil {
		return nil, err
	}
	src := dataset.NewLoader(l.Set, draw)
	err = l.Phase("train a clean model", training.Epochs*src.Batches(), func() error {
		return attack.Train(ctx, l.Dev, attack.Course{
			Model: m, Source: src, Loss: attack.CrossEntropy, Schedule: training, Watch: l.Watch, Seed: seed,
		})
	})
	if err != nil {
		return nil, err
	}
	var archive []byte
	err = l.Dev.Do(ctx, func(s *torch.Scope) (err error) { archive, err = saveForUsers(s, m); return })
	if err != nil {
		return nil, fmt.Errorf("write the clean model: %w", err)
	}
	return m, runstore.WriteFileAtomic(path, archive, 0o644)
}

func loadClean(ctx context.Context, l *attack.Lab, file *model.File) (*torch.Module, error) {
	var m *torch.Module
	err := l.Dev.Do(ctx, func(*torch.Scope) (err error) {
		if m, err = file.Load(l.Keep); err == nil {
			err = m.ChannelsLast(true)
		}
		return err
	})
	return m, err
}

// cleanName names a clean model by all that its training follows from.
func cleanName(l *attack.Lab, training config.Training, draw dataset.LoaderOptions) (string, error) {
	h := sha256.New()
	err := json.NewEncoder(h).Encode(struct {
		C, H, W  int
		Classes  int
		Labels   []int64
		Arch     config.Arch
		Training config.Training
		Draw     dataset.LoaderOptions
	}{l.Set.C, l.Set.H, l.Set.W, len(l.Set.Classes), l.Set.Labels, l.Config.Arch, training, draw})
	if err != nil {
		return "", fmt.Errorf("name the clean model: %w", err)
	}
	h.Write(l.Set.Images)
	return fmt.Sprintf("%s-w%d-%s.pt", l.Config.Arch.Name, l.Config.Arch.Width, hex.EncodeToString(h.Sum(nil)[:6])), nil
}

// measureControl measures the trigger on a clean model of the same kind and
// another seed, which neither the trigger nor the model has met: an attack that
// succeeds there too is no backdoor. It is nil where it was not asked for.
func measureControl(ctx context.Context, g *gauge, l *attack.Lab, c *config.Config, o AttackOptions) (*metrics.Scores, error) {
	if !o.Control {
		return nil, nil
	}
	m, err := cleanModel(ctx, g.env, l, ^c.Seed)
	if err != nil {
		return nil, err
	}
	scores, err := g.scores(ctx, "evaluate a clean model", m)
	return &scores, err
}
