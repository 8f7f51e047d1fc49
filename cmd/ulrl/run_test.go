package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"ulrl/pipeline/runstore"
	"ulrl/pipeline/testenv"
)

func run(t *testing.T, name string, more ...string) outcome {
	t.Helper()
	return ulrl(t, append([]string{"run", "-c", "badnets.yaml", "--set", "name=" + name}, more...)...)
}

func TestRunPrintsTheClosingTable(t *testing.T) {
	const want = `badnets: complete

                                before     after   change
  ACC  clean accuracy          90.81 %   88.52 %    -2.29  10,000 test images
  ASR  attack success rate     99.30 %    0.02 %   -99.28  9,000 with trigger
  RA   robust accuracy          0.58 %   86.10 %   +85.52  9,000 with trigger
  DER  defence effectiveness             98.50 %

Suspicious neurons, re-initialised (1)
  layer   index     score        z
  linear      0     12.35    27.14

Files
  runs/badnets/cleaned.pt   the cleaned model
  runs/badnets/report.html  what was found and what changed
  runs/badnets/result.json  the same for machines

Time  58.3 s (relearn 21.7 s, evaluate 12.4 s, unlearn 3.2 s, load 0.4 s)
`
	got := run(t, "badnets")
	if got.exit != 0 || got.stdout != want {
		t.Errorf("exit %d, stdout\n%s\nwant\n%s", got.exit, got.stdout, want)
	}
}

func TestRunSaysWhatIsMissing(t *testing.T) {
	for _, c := range []struct{ name, want, not string }{
		{"none", "No neuron was suspicious and no class was looked for: relearning was", "re-initialised"},
		{"none", "\nWarnings\n  - train mode has no effect", ""},
		{"blind", "ASR  attack success rate           –         –        –\n", "with trigger"},
		{"blind", "ASR and RA are not known: the config names no trigger. One that is known is\n  measured by attack.name and attack.trigger;", ""},
		{"cleanonly", "accuracy was measured on the clean samples", "test images"},
		{"many", "  and 15 more: runs/many/neurons.csv\n", "\x1b"},
		{"many", "    160     0.357        –\n", ""},
		{"many", "linear: MAD is 0, so z is undefined: rule ratio was applied", ""},
		{"badnets", "", "No neuron"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := run(t, c.name)
			if !strings.Contains(got.stdout, c.want) {
				t.Errorf("lacks %q:\n%s", c.want, got.stdout)
			}
			if c.not != "" && strings.Contains(got.stdout, c.not) {
				t.Errorf("has %q:\n%s", c.not, got.stdout)
			}
			for _, line := range strings.Split(got.stdout, "\n") {
				if n := len([]rune(line)); n > narrow {
					t.Errorf("%d columns: %q", n, line)
				}
			}
		})
	}
}

func TestRunAsJSON(t *testing.T) {
	var report struct {
		Directory string
		runstore.Result
	}
	got := run(t, "badnets", "--json")
	var raw map[string]any
	decodeOne(t, got.stdout, &raw)
	decodeOne(t, got.stdout, &report.Result)
	if raw["directory"] != "runs/badnets" || report.Status != runstore.StatusComplete || *report.After.ASR != 0.0002 {
		t.Errorf("exit %d, got %s", got.exit, got.stdout)
	}
}

func TestRunFails(t *testing.T) {
	got := run(t, "nan", "--quiet")
	const want = "ulrl: relearn, epoch 3: the loss became NaN; lower relearn.lr; runs/nan keeps what was done\n"
	if got.exit != exitFailure || got.stdout != "" || !strings.HasSuffix(got.stderr, want) {
		t.Errorf("got %+v, want %q", got, want)
	}
}

func TestRunIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr strings.Builder
	a := newApp(&stdout, &stderr, nil, fakeEngine(0))
	exit := a.main(ctx, []string{"run", "-c", "badnets.yaml", "--quiet", "--json"})
	const want = "evaluate, epoch 1: interrupted; runs/badnets keeps what was done"
	if exit != exitInterrupted || stderr.String() != "ulrl: "+want+"\n" {
		t.Errorf("exit %d, stderr %q", exit, stderr.String())
	}
	var object map[string]any
	decodeOne(t, stdout.String(), &object)
	if object["error"] != want || object["status"] != runstore.StatusInterrupted || object["directory"] != "runs/badnets" {
		t.Errorf("got %v", object)
	}
}

func TestOtherCommands(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		args string
		want []string
	}{
		{"attack -c badnets.yaml", []string{"badnets: trained with badnets in 2 min 8 s", "models/badnets/backdoored.pt"}},
		{"attack export-images -c badnets.yaml out", []string{"10000 images with the trigger of badnets in out"}},
		{"attack -c badnets.yaml --json", []string{`"directory": "models/badnets"`}},
		{"eval -c badnets.yaml", []string{"models/badnets/backdoored.pt: measured in 4.2 s", "ASR  attack success rate   99.30 %"}},
		{"eval mine.pt -c badnets.yaml", []string{"mine.pt: measured in 4.2 s"}},
		{"inspect mine.pt --input 3,32,32", []string{"1.2 MiB, 701,466 parameters", "linear, 10 classes", "64×16×3×3", "1,290  scored", "Operators (7)", "writes files", "passed, 24 records; 3 left out"}},
		{"inspect mine.pt --json", []string{`"head": "linear"`}},
		{"doctor", []string{"  ok  libtorch  1.13.0\n"}},
		{"version", []string{"ulrl ", "libtorch "}},
		{"--help", []string{"Usage:", "run ", "doctor"}},
		{"help run", []string{"ulrl run -c FILE"}},
		{"", []string{"Usage:"}},
		{"config", []string{"check", "show"}},
	} {
		t.Run(c.args, func(t *testing.T) {
			got := ulrl(t, strings.Fields(c.args)...)
			if got.exit != 0 || got.stderr != "" {
				t.Errorf("exit %d, stderr %q", got.exit, got.stderr)
			}
			for _, want := range c.want {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("lacks %q:\n%s", want, got.stdout)
				}
			}
			for _, line := range strings.Split(got.stdout, "\n") {
				if n := len([]rune(line)); n > narrow {
					t.Errorf("%d columns: %q", n, line)
				}
			}
		})
	}
}

func TestDoctorFindsFaults(t *testing.T) {
	got := ulrl(t, "doctor", "-c", "badnets.yaml")
	if got.exit != exitFailure || got.stderr != "ulrl: 1 of 3 checks failed\n" {
		t.Errorf("got %+v", got)
	}
	for _, want := range []string{"  FAIL  data set", "- data set: apt-get install dataset-fashion-mnist"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("lacks %q:\n%s", want, got.stdout)
		}
	}
	var object map[string]any
	decodeOne(t, ulrl(t, "doctor", "-c", "badnets.yaml", "--json").stdout, &object)
	if object["ok"] != false || object["exit"] != 1.0 || object["checks"] == nil {
		t.Errorf("got %v", object)
	}
}

func TestFullStandardOutputIsAFailure(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		testenv.Skip(t, "no /dev/full here")
	}
	defer full.Close()
	for _, args := range []string{"run -c badnets.yaml --quiet", "config show badnets.yaml", "version"} {
		var stderr strings.Builder
		a := newApp(full, &stderr, nil, fakeEngine(0))
		if exit := a.main(t.Context(), strings.Fields(args)); exit != exitFailure || !strings.Contains(stderr.String(), "no space left") {
			t.Errorf("%s: exit %d, stderr %q", args, exit, stderr.String())
		}
	}
}
