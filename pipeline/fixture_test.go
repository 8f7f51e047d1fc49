package pipeline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"

	"ulrl/pipeline/config"
	"ulrl/pipeline/progress"
	"ulrl/pipeline/runstore"
	"ulrl/pipeline/testenv"
	"ulrl/pipeline/zoo"
	torch "ulrl/torchbridge"
)

// fixture is a folder with a small data set of three classes of grey 12×12
// images, told apart by which third is bright, and room for models and runs.
type fixture struct {
	t   *testing.T
	dir string
	env Env
	log *logtest.Hook
	dev *torch.Device
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	lib, dev := testenv.CPU(t)
	log, hook := logtest.NewNullLogger()
	log.SetLevel(logrus.DebugLevel)
	f := &fixture{t: t, dir: t.TempDir(), log: hook, dev: dev,
		env: Env{Lib: lib, Log: log, Progress: progress.None{}, Version: "test", Command: []string{"ulrl", "test"}}}
	testenv.SmallImages(t, f.path("data"))
	return f
}

func (f *fixture) path(parts ...string) string {
	return filepath.Join(append([]string{f.dir}, parts...)...)
}

// config is small enough that a run takes a second; sets come on top.
func (f *fixture) config(sets ...string) *config.Config {
	f.t.Helper()
	text := fmt.Sprintf(`
name: small
device: cpu
threads: 1
output: %[1]s/run
data: {name: custom, kind: folder, dir: %[1]s/data, classes: 3, mean: [0.4], std: [0.2]}
clean: {count: 60}
attack:
  name: badnets
  output: %[1]s/model
  arch: {width: 4}
  train: {samples: 0, epochs: 8, batch_size: 20, lr: 0.05, augment: false}
unlearn: {batch_size: 20, epochs: 10}
relearn: {batch_size: 20, epochs: 6, attempts: 1, augment: false}
eval: {batch_size: 32}
`, f.dir)
	path := f.path("config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
	c, err := config.Load(path, config.Options{Sets: sets})
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

// clean runs the small config into a folder called name, and gives the cleaned model's file and
// the result.
func (f *fixture) clean(name string, sets ...string) ([]byte, *runstore.Result) {
	f.t.Helper()
	result, err := Run(f.t.Context(), f.config(append(sets, "output="+f.path(name))...), f.env, RunOptions{})
	if err != nil {
		f.t.Fatalf("%s: %v", name, err)
	}
	data, err := os.ReadFile(f.path(name, "cleaned.pt"))
	if err != nil {
		f.t.Fatal(err)
	}
	return data, result
}

// attack trains the small model once.
func (f *fixture) attack() {
	f.t.Helper()
	if _, err := Attack(context.Background(), f.config(), f.env, AttackOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

// save builds a module from TorchScript source and writes it to a file.
func (f *fixture) save(name string, build func(b *torch.Builder, s *torch.Scope) *torch.Part) string {
	f.t.Helper()
	path := f.path(name)
	testenv.Do(f.t, f.dev, func(s *torch.Scope) error {
		b := torch.NewBuilder(s)
		m, err := b.Finish(build(b, s))
		if err != nil {
			return err
		}
		archive, err := m.Save()
		if err != nil {
			return err
		}
		return os.WriteFile(path, archive, 0o644)
	})
	return path
}

// network writes an untrained zoo network.
func (f *fixture) network(name string, channels, classes int) string {
	f.t.Helper()
	path := f.path(name)
	testenv.Do(f.t, f.dev, func(s *torch.Scope) error {
		m, err := zoo.New(s, zoo.Spec{Name: "preactresnet18", Width: 2, Channels: channels, Classes: classes})
		if err != nil {
			return err
		}
		archive, err := m.Save()
		if err != nil {
			return err
		}
		return os.WriteFile(path, archive, 0o644)
	})
	return path
}

// names lists the files below a folder of the fixture.
func (f *fixture) names(parts ...string) string {
	f.t.Helper()
	var names []string
	root := f.path(parts...)
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			names = append(names, strings.TrimPrefix(path, root+"/"))
		}
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
