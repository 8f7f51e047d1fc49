package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each layer wins over those below it, key by key.
func TestLayers(t *testing.T) {
	dir := write(t, map[string]string{
		"low.yaml":     "seed: 1\nthreads: 1\nrelearn:\n  lr: 0.1\n  alpha: 0.1\n",
		"sub/mid.yaml": "extends: ../low.yaml\nseed: 2\nrelearn:\n  lr: 0.2\n",
		"exp.yaml":     "extends: sub/mid.yaml\nname: exp\nseed: 3\neval: {batch_size: 1}\n",
	})
	c, msg := loadFrom(t, dir, "exp.yaml", Options{
		Env:  []string{"PATH=/bin", "ULRL_EVAL_BATCH_SIZE=2", "ULRL_SEED=4", "ULRL_LOG_LEVEL=debug", "ULRL_OTHER=1"},
		Sets: []string{"seed=5", "seed=6"}, ReservedEnv: []string{"ULRL_OTHER"},
	})
	if msg != "" {
		t.Fatal(msg)
	}
	for _, x := range []struct {
		key       string
		got, want any
		origin    string
	}{
		{"seed", c.Seed, uint64(6), "--set"},
		{"eval.batch_size", c.Eval.BatchSize, 2, "ULRL_EVAL_BATCH_SIZE"},
		{"name", c.Name, "exp", "exp.yaml:2"},
		{"relearn.lr", c.Relearn.LR, 0.2, "sub/mid.yaml:4"},
		{"relearn.alpha", c.Relearn.Alpha, 0.1, "low.yaml:5"},
		{"threads", c.Threads, 1, "low.yaml:2"},
		{"relearn.momentum", c.Relearn.Momentum, 0.9, "built-in base.yaml:{relearn.momentum}"},
		{"no.such.key", nil, nil, ""},
	} {
		if x.got != x.want {
			t.Errorf("%s is %v, want %v", x.key, x.got, x.want)
		}
		if o := strings.TrimPrefix(c.Origin(x.key), dir+string(filepath.Separator)); o != atBase(t, x.origin) {
			t.Errorf("%s is from %q, want %q", x.key, o, x.origin)
		}
	}
}

func TestFilesThatSetNothing(t *testing.T) {
	base, err := Default(Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "# nothing\n", "---\n", "{}", "\ufeff", "data:\nrelearn:\n  # lr: 1\n", "\r\n", "extends: base.yaml"} {
		if c := must(t, text, Options{}); !equal(c, base) {
			t.Errorf("%q is not the base: %+v", text, c)
		}
	}
}

func TestExtends(t *testing.T) {
	t.Run("the file beside wins over the built-in", func(t *testing.T) {
		dir := write(t, map[string]string{"exp.yaml": "extends: badnets.yaml", "badnets.yaml": "seed: 9"})
		if c, msg := loadFrom(t, dir, "exp.yaml", Options{}); msg != "" || c.Seed != 9 || c.Attack.Name != AttackNone {
			t.Error(c, msg)
		}
	})
	t.Run("the built-in where no file is", func(t *testing.T) {
		c := must(t, "extends: badnets.yaml\nname: mine\n", Options{})
		if c.Attack.Name != "badnets" || c.Attack.Output != "models/mine" {
			t.Errorf("%+v", c.Attack)
		}
		if o := c.Origin("attack.name"); !strings.HasPrefix(o, "built-in badnets.yaml:") {
			t.Error(o)
		}
	})
	t.Run("the repository's own files", func(t *testing.T) {
		c, err := Load(filepath.Join("..", "..", "configs", "badnets.yaml"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		builtin, err := Load("badnets.yaml", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !equal(c, builtin) || c.Hash() != builtin.Hash() {
			t.Errorf("%+v\n%+v", c, builtin)
		}
	})
	t.Run("an absolute path", func(t *testing.T) {
		dir := write(t, map[string]string{"low.yaml": "seed: 9"})
		if c := must(t, "extends: "+filepath.Join(dir, "low.yaml"), Options{}); c.Seed != 9 {
			t.Error(c.Seed)
		}
	})
}

func TestExtendsErrors(t *testing.T) {
	long := map[string]string{"exp.yaml": "extends: 00.yaml", "15.yaml": "extends: 16.yaml", "16.yaml": ""}
	for i := range 15 {
		long[itoa(i)+".yaml"] = "extends: " + itoa(i+1) + ".yaml"
	}
	for _, x := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"missing", map[string]string{"exp.yaml": "seed: 1\nextends: no.yaml"},
			"exp.yaml:2: extends no.yaml: no such file; built in are " + builtins},
		{"missing with a folder is no built-in", map[string]string{"exp.yaml": "extends: sub/base.yaml"},
			"exp.yaml:1: extends sub/base.yaml: no such file; built in are " + builtins},
		{"itself", map[string]string{"exp.yaml": "extends: exp.yaml"},
			"exp.yaml: extends goes in a circle: exp.yaml extends exp.yaml"},
		{"circle", map[string]string{"exp.yaml": "extends: sub/a.yaml", "sub/a.yaml": "extends: ../b.yaml", "b.yaml": "extends: ./sub/a.yaml"},
			"exp.yaml: extends goes in a circle: exp.yaml extends sub/a.yaml extends b.yaml extends sub/a.yaml"},
		{"long", long, "exp.yaml: extends goes through more than 16 files"},
		{"folder", map[string]string{"exp.yaml": "extends: sub", "sub/a.yaml": ""},
			"sub: is a folder, wanted a YAML file"},
		{"no name", map[string]string{"exp.yaml": "extends: \"\""},
			`exp.yaml:1: extends is "" (a string), wanted a file's name`},
		{"list", map[string]string{"exp.yaml": "extends: [a.yaml]"},
			"exp.yaml:1: extends is a list, wanted a file's name"},
		{"a problem in the file below", map[string]string{"exp.yaml": "seed: x\nextends: a.yaml", "a.yaml": "\nseeds: 1"},
			`exp.yaml:1: seed is "x" (a string), wanted a whole number, at least 0 (and 1 more)`},
	} {
		t.Run(x.name, func(t *testing.T) {
			if _, msg := loadFrom(t, write(t, x.files), "exp.yaml", Options{}); msg != x.want {
				t.Errorf("got  %s\nwant %s", msg, x.want)
			}
		})
	}
}

func itoa(i int) string { return string(rune('0'+i/10)) + string(rune('0'+i%10)) }

func TestUnreadableFiles(t *testing.T) {
	dir := write(t, map[string]string{
		"sub/a.yaml": "", "latin1.yaml": "name: \"caf\xe9\"", "big.yaml": strings.Repeat("#", maxFileBytes+1),
		"zip.yaml": "PK\x03\x04\x00\xff", "secret.yaml": "", "bell.yaml": "name: a\x07b\n",
	})
	if err := os.Chmod(filepath.Join(dir, "secret.yaml"), 0); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ name, want string }{
		{"no.yaml", "no.yaml: no such file; built in are " + builtins},
		{"sub", "sub: is a folder, wanted a YAML file"},
		{"sub/a.yaml/b", "sub/a.yaml/b: cannot read the config: not a directory"},
		{"latin1.yaml", "latin1.yaml: not UTF-8 text: wanted a YAML file"},
		{"zip.yaml", "zip.yaml: not UTF-8 text: wanted a YAML file"},
		{"big.yaml", "big.yaml: larger than 256 KiB, wanted a YAML config"},
		{"bell.yaml", "bell.yaml: not valid YAML: control characters are not allowed"},
		{"secret.yaml", "secret.yaml: cannot read the config: permission denied"},
	} {
		t.Run(x.name, func(t *testing.T) {
			if x.name == "secret.yaml" && os.Geteuid() == 0 {
				t.Skip("root may read every file")
			}
			if _, msg := loadFrom(t, dir, x.name, Options{}); msg != x.want {
				t.Errorf("got  %s\nwant %s", msg, x.want)
			}
		})
	}
	if _, err := Load("", Options{}); err == nil || err.Error() != "no config file is named; built in are "+builtins {
		t.Error(err)
	}
}

// Of count and ratio the layer that sets one above 0 means that one.
func TestCountAndRatioReplaceEachOther(t *testing.T) {
	for _, c := range []struct {
		text  string
		sets  []string
		count int
		ratio float64
	}{
		{"", nil, 600, 0},
		{"clean: {ratio: 0.5}", nil, 0, 0.5},
		{"clean: {ratio: 0.5}", []string{"clean.count=30"}, 30, 0},
		{"clean: {count: 30}", []string{"clean.ratio=0.1"}, 0, 0.1},
		{"clean: {count: 0, ratio: 0.5}", []string{"clean.count=0"}, 0, 0.5},
	} {
		if got := must(t, c.text, Options{Sets: c.sets}).Clean; got.Count != c.count || got.Ratio != c.ratio {
			t.Errorf("%q, %v: %+v", c.text, c.sets, got)
		}
	}
}
