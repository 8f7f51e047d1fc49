package config

import (
	"path/filepath"
	"strings"
	"testing"
)

// The rendered config loads back to an equal one, and is stable.
func TestRoundTrip(t *testing.T) {
	for _, text := range []string{
		"", "extends: badnets.yaml",
		"name: '007'\nseed: 18446744073709551615\ndevice: cuda:1\noutput: \"a: b # c\"",
		"data: {name: custom, kind: folder, dir: 'null', train: \"a\\tb\\nc\", test: none, flip: on, channels: 3, size: [32, 48], mean: [0.1, 0.123456789012345678, 1e-7], std: [1, 1e-300, 0.3]}",
		"suspicious: {rule: ratio, layers: ['*.conv', 'layer[34].*', '0', 'true', '- a', 'é'], threshold: 1e6, ratio: 1e-5}",
		"unlearn: {milestones: [], clip_norm: 1e300}\nattack: {trigger: {pattern: ' p.png', mask: '~x'}}\nclean: {count: 0, ratio: 0.01}",
	} {
		c := must(t, text, Options{})
		out, err := c.YAML()
		if err != nil {
			t.Fatal(err)
		}
		back := must(t, string(out), Options{})
		if !equal(c, back) {
			t.Errorf("%q\ngot  %+v\nwant %+v", text, back, c)
		}
		if c.Hash() != back.Hash() || len(c.Hash()) != 64 {
			t.Errorf("hash %q, then %q", c.Hash(), back.Hash())
		}
		with, err := c.YAMLWithOrigins()
		if err != nil {
			t.Fatal(err)
		}
		if back := must(t, string(with), Options{}); !equal(c, back) {
			t.Errorf("with origins: %q", text)
		}
	}
}

func TestHashTellsConfigsApart(t *testing.T) {
	if must(t, "seed: 1", Options{}).Hash() == must(t, "seed: 2", Options{}).Hash() {
		t.Error("one hash for two seeds")
	}
	if must(t, "seed: 1", Options{}).Hash() != must(t, "", Options{Sets: []string{"seed=1"}}).Hash() {
		t.Error("the hash depends on the layer")
	}
}

func TestYAMLWithOrigins(t *testing.T) {
	dir := write(t, map[string]string{"exp.yaml": "seed: 3\nrelearn:\n  lr: 0.02\n"})
	c, msg := loadFrom(t, dir, "exp.yaml", Options{Env: []string{"ULRL_THREADS=2"}, Sets: []string{"suspicious.layers=a,b"}})
	if msg != "" {
		t.Fatal(msg)
	}
	out, err := c.YAMLWithOrigins()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(out), dir+string(filepath.Separator), "")
	for _, line := range []string{
		"seed: 3 # exp.yaml:1\n", "threads: 2 # ULRL_THREADS\n", "  lr: 0.02 # exp.yaml:3\n",
		"  layers: [a, b] # --set\n", "  batch_size: 512 # built-in base.yaml:{eval.batch_size}\n",
	} {
		if !strings.Contains(text, atBase(t, line)) {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if !strings.HasSuffix(line, ":") && !strings.Contains(line, " # ") {
			t.Errorf("no origin: %s", line)
		}
	}
}
