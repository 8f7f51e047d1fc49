package config

import (
	"errors"
	"strings"
	"testing"
)

const (
	lrRange  = "a number above 0 and at most 10"
	nameRule = `letters, digits, ".", "_" and "-", at most 100, not only dots`
	topKeys  = "name, seed, device, threads, output, data, clean, model, attack, defense, unlearn, suspicious, relearn, eval"
)

// Wrong keys, types and documents: where, what, what is wanted.
func TestStrict(t *testing.T) {
	for _, x := range []struct{ name, text, want string }{
		{"misspelt key", "relearn:\n  lrr: 1", "exp.yaml:2: unknown key relearn.lrr; did you mean relearn.lr?"},
		{"swapped letters", "sede: 1", "exp.yaml:1: unknown key sede; did you mean seed?"},
		{"upper case", "Seed: 1", "exp.yaml:1: unknown key Seed; did you mean seed?"},
		{"misspelt section", "relearning: {lr: 1}", "exp.yaml:1: unknown key relearning; did you mean relearn?"},
		{"key of another section", "lr: 1", "exp.yaml:1: unknown key lr; did you mean attack.inputaware.lr or attack.lira.lr or attack.ssba.lr or attack.train.lr or unlearn.lr or relearn.lr?"},
		{"nothing near", "model: {zzz: 1}", "exp.yaml:1: unknown key model.zzz; known here: path"},
		{"nothing near at the top", "zzz: 1", "exp.yaml:1: unknown key zzz; known here: " + topKeys},
		{"very long key", strings.Repeat("x", 100) + ": 1",
			"exp.yaml:1: unknown key " + strings.Repeat("x", 80) + "…; known here: " + topKeys},
		{"dotted key", "relearn.lr: 1", "exp.yaml:1: unknown key relearn.lr; write it nested, as relearn: {lr: ...}"},
		{"dotted key below", "attack:\n  train.lr: 1", "exp.yaml:2: unknown key attack.train.lr; write it nested, as train: {lr: ...}"},
		{"key with an escape code", "\"\\e[31m\": 1", `exp.yaml:1: unknown key "\x1b[31m"; known here: ` + topKeys},
		{"key that is a list", "? [a]\n: 1", `exp.yaml:1: unknown key ""; known here: ` + topKeys},
		{"merge key", "<<: {seed: 1}", "exp.yaml:1: YAML's merge key << is not read; put what files share in one that both name with extends"},
		{"extends below the top", "data: {extends: a}", "exp.yaml:1: unknown key data.extends; known here: name, kind, dir, train, train_labels, test, test_labels, classes, channels, size, mean, std, flip"},

		{"duplicate", "relearn:\n  lr: 1\n  lr: 1", "exp.yaml:3: key relearn.lr is there twice, first on line 2"},
		{"duplicate section", "eval: {}\nseed: 1\neval: {}", "exp.yaml:3: key eval is there twice, first on line 1"},
		{"two documents", "seed: 1\n---\nseed: 2", "exp.yaml:2: a second YAML document begins: wanted one document per file"},
		{"list", "- seed", `exp.yaml:1: the file holds a list, wanted keys such as "seed: 0"`},
		{"text", "seed", `exp.yaml:1: the file holds "seed" (a string), wanted keys such as "seed: 0"`},
		{"open bracket", "data: {size: [1\n", "exp.yaml:1: not valid YAML: did not find expected ',' or ']'"},
		{"tab", "data:\n\tkind: idx\n", "exp.yaml:2: not valid YAML: indented by a tab; use spaces"},
		{"no such anchor", "seed: *a", "exp.yaml: not valid YAML: unknown anchor 'a' referenced"},

		{"string for number", "relearn: {lr: fast}", `exp.yaml:1: relearn.lr is "fast" (a string), wanted ` + lrRange},
		{"quoted number", "relearn: {lr: '0.1'}", `exp.yaml:1: relearn.lr is "0.1" (a string), wanted ` + lrRange},
		{"truth value for number", "relearn: {lr: true}", "exp.yaml:1: relearn.lr is true (a truth value), wanted " + lrRange},
		{"list for number", "relearn: {lr: [1]}", "exp.yaml:1: relearn.lr is a list, wanted " + lrRange},
		{"section for number", "relearn: {lr: {a: 1}}", "exp.yaml:1: relearn.lr is a section, wanted " + lrRange},
		{"infinite", "relearn: {lr: .inf}", "exp.yaml:1: relearn.lr is .inf (a floating-point number), wanted " + lrRange},
		{"not a number", "relearn: {lr: .nan}", "exp.yaml:1: relearn.lr is .nan (a floating-point number), wanted " + lrRange},
		{"fraction", "seed: 1.5", "exp.yaml:1: seed is 1.5 (a floating-point number), wanted a whole number, at least 0"},
		{"exponent", "seed: 1e3", "exp.yaml:1: seed is 1e3 (a floating-point number), wanted a whole number, at least 0"},
		{"too large", "seed: 99999999999999999999", "exp.yaml:1: seed is 99999999999999999999 (too large), wanted a whole number, at least 0"},
		{"negative seed", "seed: -1", "exp.yaml:1: seed is -1 (a whole number), wanted a whole number, at least 0"},
		{"octal", "seed: 010", "exp.yaml:1: seed is 010 (octal or decimal?), wanted a whole number, at least 0"},
		{"number for string", "name: 7", "exp.yaml:1: name is 7 (a whole number), wanted " + nameRule + "; put text in quotes"},
		{"truth value for string", "data: {flip: true}", "exp.yaml:1: data.flip is true (a truth value), wanted one of auto, on, off; put text in quotes"},
		{"tagged", "name: !foo x", "exp.yaml:1: name is x (tagged !foo), wanted " + nameRule + "; put text in quotes"},
		{"number for truth value", "clean: {balanced: 1}", "exp.yaml:1: clean.balanced is 1 (a whole number), wanted true or false"},
		{"YAML 1.1's yes", "clean: {balanced: yes}", `exp.yaml:1: clean.balanced is "yes" (a string), wanted true or false`},
		{"empty value", "seed:\n", "exp.yaml:1: seed is empty, wanted a whole number, at least 0; leave the key out to keep its default"},
		{"text for list", "suspicious: {layers: head}",
			`exp.yaml:1: suspicious.layers is "head" (a string), wanted a list of head, all or name patterns such as layer4.*, none empty and none twice; write [head]`},
		{"element", "unlearn:\n  milestones:\n    - 1\n    - b", `exp.yaml:4: unlearn.milestones has "b" (a string), wanted a list of whole numbers, at least 1`},
		{"empty element", "unlearn: {milestones: [1, ]}\ndata: {mean: [~]}", "exp.yaml:2: data.mean has empty, wanted a list of numbers from 0 to 1"},
		{"value for section", "eval: 5", "exp.yaml:1: eval is 5 (a whole number), wanted a section with keys of its own: batch_size"},
		{"list for section", "eval: [5]", "exp.yaml:1: eval is a list, wanted a section with keys of its own: batch_size"},
	} {
		t.Run(x.name, func(t *testing.T) {
			if _, msg := loadText(t, x.text, Options{}); msg != x.want {
				t.Errorf("got  %s\nwant %s", msg, x.want)
			}
		})
	}
}

// What looks odd and is well.
func TestLenient(t *testing.T) {
	for _, x := range []struct {
		text string
		ok   func(*Config) bool
	}{
		{"relearn: {lr: 1}", func(c *Config) bool { return c.Relearn.LR == 1 }},
		{"relearn: {lr: 1e-3}", func(c *Config) bool { return c.Relearn.LR == 1e-3 }},
		{"relearn: {lr: .5}", func(c *Config) bool { return c.Relearn.LR == 0.5 }},
		{"seed: 18446744073709551615", func(c *Config) bool { return c.Seed == 1<<64-1 }},
		{"seed: 0x10", func(c *Config) bool { return c.Seed == 16 }},
		{"seed: 0", func(c *Config) bool { return c.Seed == 0 }},
		{"name: 2024-01-01", func(c *Config) bool { return c.Name == "2024-01-01" }},
		{"name: '7'", func(c *Config) bool { return c.Name == "7" }},
		{"data: {flip: on}", func(c *Config) bool { return c.Data.Flip == "on" }},
		{"unlearn: &u {lr: 1}\nrelearn: *u", func(c *Config) bool { return c.Unlearn.LR == 1 && c.Relearn.LR == 1 }},
		{"unlearn: {milestones: []}", func(c *Config) bool { return len(c.Unlearn.Milestones) == 0 }},
		{"seed: 1\r\nthreads: 2\r\n", func(c *Config) bool { return c.Seed == 1 && c.Threads == 2 }},
	} {
		if c := must(t, x.text, Options{}); !x.ok(c) {
			t.Errorf("%q: %+v", x.text, c)
		}
	}
}

// The error is one line; Problems has all of them, across layers.
func TestProblems(t *testing.T) {
	dir := write(t, map[string]string{"exp.yaml": "seeds: 1\nrelearn: {lr: x, lr: 2}\neval: {batch_size: 0}\nthreads: a\nclean:\n  ratio: 3"})
	_, err := Load(dir+"/exp.yaml", Options{Env: []string{"ULRL_X=1"}, Sets: []string{"seed"}})
	if err == nil {
		t.Fatal("no error")
	}
	got := strings.ReplaceAll(strings.Join(Problems(err), "\n"), dir+"/", "")
	want := `exp.yaml:1: unknown key seeds; did you mean seed?
exp.yaml:2: relearn.lr is "x" (a string), wanted a number above 0 and at most 10
exp.yaml:2: key relearn.lr is there twice, first on line 2
exp.yaml:3: eval.batch_size is 0, wanted a whole number from 1 to 65536
exp.yaml:4: threads is "a" (a string), wanted a whole number from 0 to 1024
exp.yaml:6: clean.ratio is 3, wanted a number from 0 to 1
environment variable ULRL_X: no config key has this name; unset it
--set seed: wanted key=value, such as relearn.lr=0.01`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if msg := strings.ReplaceAll(err.Error(), dir+"/", ""); msg != "exp.yaml:1: unknown key seeds; did you mean seed? (and 7 more)" {
		t.Error(msg)
	}
	if Problems(errors.New("other")) != nil || Problems(nil) != nil {
		t.Error("problems of another error")
	}
}
