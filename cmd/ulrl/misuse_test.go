package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestMisuse: one line on stderr that says what to do, exit code 2, nothing on
// stdout.
func TestMisuse(t *testing.T) {
	typo := writeFile(t, "typo.yaml", "relearn:\n  lrate: 0.1\n")
	wrongType := writeFile(t, "type.yaml", "seed: many\n")
	tooLarge := writeFile(t, "range.yaml", "relearn:\n  lr: 99\n")
	picture := writeFile(t, "s.png", "")
	twoTypos := writeFile(t, "two.yaml", "sed: 1\nnam: x\n")
	for _, c := range []struct {
		args string
		want []string
	}{
		{"run", []string{"give a config: ulrl run -c configs/badnets.yaml"}},
		{"attack", []string{"give a config: ulrl attack -c configs/badnets.yaml"}},
		{"attack export-images -c badnets.yaml", []string{"give one folder: ulrl attack export-images -c configs/badnets.yaml DIR"}},
		{"eval", []string{"give a config: ulrl eval -c configs/badnets.yaml"}},
		{"eval mine.pt", []string{"give a config: ulrl eval -c configs/badnets.yaml"}},
		{"config check", []string{"give a config: ulrl config check configs/badnets.yaml"}},
		{"config show", []string{"give one config: ulrl config show configs/badnets.yaml"}},
		{"config chek x.yaml", []string{`unknown command "chek" for "ulrl config": wanted check or show`}},
		{"data inf", []string{`unknown command "inf" for "ulrl data": wanted info or fetch`}},
		{"data fetch", []string{"name one data set: cifar10, cifar100, gtsrb, tiny-imagenet, fashion-mnist"}},
		{"data fetch svhn", []string{`no data set "svhn" is known: wanted one of cifar10,`}},
		{"data info", []string{"give a config or a folder: ulrl data info -c configs/badnets.yaml, or"}},
		{"data info -c badnets.yaml data", []string{"give a config or a folder"}},
		{"data info -c badnets.yaml --kind idx", []string{"--kind is for a folder"}},
		{"data info -c badnets.yaml --sheet s.jpg", []string{"--sheet s.jpg: it is a PNG: end its name with .png"}},
		{"data info -c badnets.yaml --sheet " + picture, []string{"--sheet ", "is there already: name another file, or replace it by --force"}},
		{"export backdoorbench x.pt --record r -o " + typo, []string{"--output ", "is there already: name another file, or replace it by --force"}},
		{"export backdoorbench x.pt --record r -o " + filepath.Dir(typo), []string{"--output ", "is a folder: name a file"}},
		{"inspect a.pt --stall-limit -1s", []string{"-1s", "--stall-limit", "wanted a time such as 90s or 2h, or 0"}},
		{"inspect a.pt --time-limit soon", []string{"soon", "--time-limit", "wanted a time such as 90s or 2h, or 0"}},
		{"data info nosuch", []string{"data folder nosuch: not found"}},
		{"data info nosuch --kind zip", []string{"data.kind is \"zip\", wanted one of idx,"}},
		{"inspect", []string{"give a model: ulrl inspect "}},
		{"scan", []string{"give files: ulrl scan mine.pt"}},
		{"inspect a.pt b.pt", []string{"inspect takes one model, got 2"}},
		{"inspect a.pt --input 3,32", []string{"--input 3,32: wanted channels,height,width, such as 3,32,32"}},
		{"inspect a.pt --input 3,0,32", []string{"--input 3,0,32: wanted"}},
		{"inspect a.pt --input three", []string{`invalid argument "three" for "--input" flag: wanted a whole number; ulrl inspect --help`}},
		{"inspect a.pt --classes x", []string{`invalid argument "x" for "--classes" flag: wanted a whole number; ulrl inspect --help`}},
		{"run -c badnets.yaml --force=maybe", []string{`invalid argument "maybe" for "--force" flag: wanted true or false; ulrl run --help`}},
		{"sweep status " + picture, []string{"is no sweep's directory"}},
		{"data info -c badnets.yaml --sheet nosuch/s.png", []string{"cannot write nosuch/s.png: no such file or directory"}},
		{"data info -c badnets.yaml --sheet " + picture + "/s.png", []string{"cannot write ", "not a directory"}},
		{"inspect a.pt --classes -1", []string{"--classes -1: wanted a number of classes"}},
		{"sweep badnets.yaml --out x --threads -1", []string{"threads is -1, wanted at least 0"}},
		{"sweep badnets.yaml --out x --workers -2", []string{"workers is -2, wanted at least 0"}},
		{"sweep badnets.yaml --out x --retries -1", []string{"retries is -1, wanted at least 0"}},
		{"sweep badnets.yaml --out x --executor slurm --at-once -1", []string{"at-once is -1, wanted at least 0"}},
		{"sweep logs x -n -5", []string{"--lines -5: wanted at least 0"}},
		{"run badnets.yaml", []string{`run takes no argument "badnets.yaml"; a config is given by -c FILE`}},
		{"run -c nosuch.yaml", []string{"nosuch.yaml: no such file"}},
		{"run -c " + typo, []string{typo + ":2:", "lrate", "did you mean relearn.lr?"}},
		{"run -c " + wrongType, []string{wrongType + ":1:", "seed", "whole number"}},
		{"run -c " + tooLarge, []string{"relearn.lr", "99", "at most 10"}},
		{"run -c " + twoTypos, []string{"(and 1 more)", "all of them: ulrl config check FILE"}},
		{"run -c badnets.yaml --set relearn.lrate=1", []string{"--set relearn.lrate", "did you mean"}},
		{"run -c badnets.yaml --set name=misuse", []string{"mine.pt: the file ends too early"}},
		{"run -c", []string{"flag needs an argument", "ulrl run --help lists the flags"}},
		{"run --bogus", []string{"unknown flag: --bogus; ulrl run --help lists the flags"}},
		{"--bogus", []string{"unknown flag: --bogus; ulrl --help lists the flags"}},
		{"rum -c x.yaml", []string{`unknown command "rum" for "ulrl"; did you mean run?`}},
		{"help nosuch", []string{`unknown command "nosuch" for "ulrl"`}},
		{"completion nosuch", []string{`unknown command "nosuch" for "ulrl completion"`}},
		{"version --log-level loud", []string{"--log-level loud: wanted debug, info, warn or error"}},
		{"version --log-format xml", []string{"--log-format xml: wanted text, json or auto"}},
		{"version now", []string{`version takes no argument "now"`}},
	} {
		t.Run(c.args, func(t *testing.T) {
			got := ulrl(t, strings.Fields(c.args)...)
			if got.exit != exitMisuse || got.stdout != "" {
				t.Errorf("exit %d, stdout %q, want %d and nothing", got.exit, got.stdout, exitMisuse)
			}
			if !strings.HasPrefix(got.stderr, "ulrl: ") || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("stderr is not one line of ulrl: %q", got.stderr)
			}
			for _, want := range c.want {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("stderr %q lacks %q", got.stderr, want)
				}
			}
		})
	}
}

func TestEmptyModelNameIsMisuse(t *testing.T) {
	if got := ulrl(t, "eval", "", "-c", "badnets.yaml"); got.exit != exitMisuse || !strings.Contains(got.stderr, "the model's name is empty") {
		t.Errorf("an empty name: %+v", got)
	}
}

// What the environment says wrong is told by the variable's name.
func TestEnvironmentMisuse(t *testing.T) {
	for _, c := range []struct{ environ, flag, want string }{
		{"ULRL_RELEARN_LRR=1", "", "did you mean ULRL_RELEARN_LR?"},
		{"ULRL_LOG_LEVEL=loud", "", "ULRL_LOG_LEVEL loud: wanted debug, info, warn or error"},
		{"ULRL_SEED=1", "--log-level=", "--log-level : wanted"},
		{"ULRL_LOG_LEVEL=loud", "--log-level=low", "--log-level low: wanted debug, info, warn or error"},
	} {
		var stdout, stderr strings.Builder
		a := newApp(&stdout, &stderr, []string{c.environ}, fakeEngine(0))
		if got := a.main(t.Context(), append([]string{"run", "-c", "badnets.yaml"}, strings.Fields(c.flag)...)); got != exitMisuse {
			t.Errorf("%+v: exit %d, want %d", c, got, exitMisuse)
		}
		if !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%+v: stderr %q", c, stderr.String())
		}
	}
}

// TestErrorsAsJSON: with --json an error is one object on stdout, wherever the
// flag stands.
func TestErrorsAsJSON(t *testing.T) {
	for _, c := range []struct {
		args  string
		exit  int
		error string
	}{
		{"run --json", exitMisuse, "give a config: ulrl run -c configs/badnets.yaml"},
		{"run --bogus --json", exitMisuse, "unknown flag: --bogus; ulrl run --help lists the flags"},
		{"rum --json", exitMisuse, `unknown command "rum" for "ulrl"; did you mean run?`},
		{"run --json -c badnets.yaml --set name=nan", exitFailure, "relearn, epoch 3: the loss became NaN; lower relearn.lr; runs/nan keeps what was done"},
		{"inspect --json", exitMisuse, "give a model: ulrl inspect models/badnets/backdoored.pt"},
	} {
		t.Run(c.args, func(t *testing.T) {
			got := ulrl(t, strings.Fields(c.args)...)
			var object struct {
				Error string `json:"error"`
				Exit  int    `json:"exit"`
			}
			decodeOne(t, got.stdout, &object)
			if object.Error != c.error || object.Exit != c.exit || got.exit != c.exit {
				t.Errorf("got %+v and exit %d, want %q and %d", object, got.exit, c.error, c.exit)
			}
		})
	}
}

// decodeOne decodes text, which must be one JSON object.
func decodeOne(t *testing.T, text string, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	if d.More() {
		t.Errorf("more than one object: %q", text)
	}
}
