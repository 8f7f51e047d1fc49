package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
)

func TestDataInfo(t *testing.T) {
	got := ulrl(t, "data", "info", "-c", "badnets.yaml", "--sheet", "s.png")
	for _, want := range []string{"50,000 for training, 10,000 for testing", "3×32×48", "[0.5, 0.25, 1]", "mean [0], std [1], by data.name x", "Classes (2)", "n02     45,000", "s.png"} {
		if got.exit != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("exit %d, %s lacks %q", got.exit, got.stdout, want)
		}
	}
	var in dataInfo
	decodeOne(t, ulrl(t, "data", "info", "-c", "badnets.yaml", "--json").stdout, &in)
	if in.Test != 10000 || len(in.Classes) != 2 || in.Normalisation == nil {
		t.Errorf("%+v", in)
	}
}

// The base below a folder's set is the built-in one, whatever lies in the working folder.
func TestBuiltInBase(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("base.yaml", []byte("none: of ours\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"data", "info", ".", "--kind", "folder"}, {"doctor"}} {
		if got := ulrl(t, args...); strings.Contains(got.stderr, "base.yaml") {
			t.Errorf("%q: %s", args, got.stderr)
		}
	}
	if got := ulrl(t, "data", "info", ".", "--kind", "folder", "--set", "seed=x"); got.exit != 2 || !strings.Contains(got.stderr, "seed") {
		t.Errorf("%+v", got)
	}
	if config.KindNPY != dataset.KindNPY {
		t.Error("kind npy has two names")
	}
}

// A folder's kind is found, and class folders alone are a training set.
func TestDataInfoOfFolder(t *testing.T) {
	file := writeFile(t, "x.npz", "")
	dir := filepath.Dir(file)
	for _, x := range []struct{ args, want string }{
		{file, "npy " + file + " none"},
		{dir + " --kind folder", "folder " + dir + " none"},
		{dir + " --kind cifar", "cifar  "},
		{dir + " --kind auto --set data.test=none", "auto  none"},
	} {
		got := ulrl(t, append([]string{"data", "info"}, strings.Fields(x.args)...)...)
		if first, _, _ := strings.Cut(got.stdout, "\n"); got.exit != 0 || first != x.want {
			t.Errorf("%s: exit %d, %q, %s", x.args, got.exit, first, got.stderr)
		}
		if !strings.Contains(got.stdout, "none for testing") || !strings.Contains(got.stdout, "none is known") || !strings.Contains(got.stdout, `gold\x1bfish`) {
			t.Error(got.stdout)
		}
	}
}

func TestDataFetch(t *testing.T) {
	got := ulrl(t, "data", "fetch", "gtsrb", "--dir", "sets")
	want := "gtsrb is in sets/gtsrb, 3.0 MiB fetched\n\nIn a config\n  data: {name: gtsrb, kind: gtsrb, dir: sets/gtsrb, classes: 43}\n"
	if got.exit != 0 || got.stdout != want {
		t.Errorf("%+v", got)
	}
	got = ulrl(t, "data", "fetch", "cifar100", "--from", "nowhere")
	if got.exit != 0 || !strings.HasPrefix(got.stdout, "cifar100 is in data/cifar100 already\n") {
		t.Errorf("%+v", got)
	}
	var told struct {
		Directory string
		Already   bool
		Data      map[string]any
	}
	decodeOne(t, ulrl(t, "data", "fetch", "fashion-mnist", "--json").stdout, &told)
	if told.Directory != "data/fashion-mnist" || told.Already || told.Data["kind"] != "idx" {
		t.Errorf("%+v", told)
	}
}

func TestTrackerOfMiB(t *testing.T) {
	for unit, want := range map[string]string{"": "3 of 9 batches", "MiB": "3 of 9 MiB"} {
		if got := (phase{done: 3, total: 9}).far(unit); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
