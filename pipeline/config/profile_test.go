package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// The published profile changes relearning, and with it how batches are made, to the
// paper's, and nothing else.
func TestPublishedProfile(t *testing.T) {
	for _, name := range Builtins() {
		c, err := Load(name, Options{Profile: "published"})
		if err != nil {
			t.Fatal(err)
		}
		plain, err := Load(name, Options{})
		if err != nil {
			t.Fatal(err)
		}
		r := c.Relearn
		if r.Epochs != 20 || r.LR != 0.005 || r.Alpha != 0.7 || !r.Reinitialise || r.Distill != 0 || r.Rho != 0 || r.Stride != 0 || r.Lookback != 0 || r.Back != 0 || r.Counter.Weight != 0 {
			t.Errorf("%s: %+v", name, r)
		}
		if r.MinBatches != 1 || c.Unlearn.MinBatches != 1 {
			t.Errorf("%s: batches are made smaller, at least %d and %d", name, c.Unlearn.MinBatches, r.MinBatches)
		}
		c.Relearn, c.Unlearn.MinBatches = plain.Relearn, plain.Unlearn.MinBatches
		if !equal(c, plain) {
			t.Errorf("%s: it changes more than relearning", name)
		}
	}
}

// A profile of data changes that and scale, how long relearning takes with it, and
// leaves what is the attack's own.
func TestProfilesLieOverEveryConfig(t *testing.T) {
	for _, profile := range Profiles() {
		if profile == "published" {
			continue
		}
		if _, err := os.Stat(filepath.Join("..", "..", "configs", profileDir, profile+".yaml")); err != nil {
			t.Error(err)
		}
		for _, name := range Builtins() {
			c, err := Load(name, Options{Profile: profile})
			if err != nil {
				t.Errorf("%s, %s: %v", name, profile, err)
				continue
			}
			plain, err := Load(name, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if c.Data.Name != "cifar10" || c.Attack.Output != filepath.Join("models", profile, c.Name) || c.Output != filepath.Join("runs", profile, c.Name) {
				t.Errorf("%s, %s: data %s, models in %s, runs in %s", name, profile, c.Data.Name, c.Attack.Output, c.Output)
			}
			plain.Relearn.Epochs = c.Relearn.Epochs
			if c.Name != plain.Name || c.Attack.Name != plain.Attack.Name || c.Attack.PoisonRate != plain.Attack.PoisonRate || !reflect.DeepEqual(c.Relearn, plain.Relearn) {
				t.Errorf("%s, %s: it changes the attack or the defence", name, profile)
			}
		}
	}
}

func TestProfileIsOverTheFileAndUnderSets(t *testing.T) {
	dir := write(t, map[string]string{"exp.yaml": "seed: 1\nthreads: 1\nname: exp", "p.yaml": "seed: 2\nthreads: 2", "q.yaml": "threads: 4"})
	c, err := Load(filepath.Join(dir, "exp.yaml"), Options{Profile: filepath.Join(dir, "p.yaml"), Sets: []string{"threads=3"}})
	if err != nil || c.Name != "exp" || c.Seed != 2 || c.Threads != 3 {
		t.Errorf("%+v, %v", c, err)
	}
	for profiles, threads := range map[string]int{"p.yaml,q.yaml": 4, "q.yaml,p.yaml": 2} {
		both := strings.ReplaceAll(dir+"/"+profiles, ",", ","+dir+"/")
		if c, err := Load(filepath.Join(dir, "exp.yaml"), Options{Profile: both}); err != nil || c.Seed != 2 || c.Threads != threads {
			t.Errorf("%s: %+v, %v", profiles, c, err)
		}
	}
	for profile, missing := range map[string]string{"cifar": "cifar", "published,cifar": "cifar", "published,": `""`} {
		_, err = Load("base.yaml", Options{Profile: profile})
		if want := "profile " + missing + ": no such file; built in are cifar10-full, cifar10-small, published"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// CIFAR-10's profiles lie over configs that name a set of their own.
func TestCIFARProfilesOverOwnData(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mine.yaml")
	text := "name: mine\nmodel: {path: m.pt}\ndata: {name: custom, kind: folder, train: a, test: b, classes: 3, channels: 1, size: [8, 8], mean: [0.5], std: [0.5]}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, profile := range []string{"cifar10-small", "cifar10-full"} {
		c, err := Load(path, Options{Profile: profile})
		if err != nil {
			t.Errorf("%s: %v", profile, err)
			continue
		}
		if d := c.Data; d.Name != "cifar10" || d.Dir != "data/cifar10" || d.Train != "" || d.Classes != 10 || d.Channels != 0 || len(d.Size)+len(d.Mean)+len(d.Std) > 0 {
			t.Errorf("%s: %+v", profile, d)
		}
	}
}
