package main

import (
	"strings"
	"testing"

	"ulrl/pipeline/config"
)

// TestConfigShowLoadsBack: what "config show" prints is a config that comes to
// the same.
func TestConfigShowLoadsBack(t *testing.T) {
	args := []string{"--set", "relearn.lr=0.02", "--set", "suspicious.layers=head,layer4.*"}
	shown := ulrl(t, append([]string{"config", "show", "badnets.yaml"}, args...)...)
	if shown.exit != 0 || shown.stderr != "" {
		t.Fatalf("exit %d, stderr %q", shown.exit, shown.stderr)
	}
	if !strings.Contains(shown.stdout, "--set") || !strings.Contains(shown.stdout, "built-in badnets.yaml:") {
		t.Errorf("no origins:\n%s", shown.stdout)
	}
	back, err := config.Load(writeFile(t, "shown.yaml", shown.stdout), config.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := config.Load("badnets.yaml", config.Options{Sets: []string{"relearn.lr=0.02", "suspicious.layers=head,layer4.*"}})
	if err != nil {
		t.Fatal(err)
	}
	if back.Hash() != want.Hash() {
		t.Errorf("came back as another config:\n%s", shown.stdout)
	}
}

func TestConfigCheck(t *testing.T) {
	good := writeFile(t, "good.yaml", "extends: badnets.yaml\nname: good\n")
	bad := writeFile(t, "bad.yaml", "sed: 1\nrelearn:\n  lrr: 1\n")

	got := ulrl(t, "config", "check", good)
	if got.exit != 0 || got.stdout != good+": ok\n" || got.stderr != "" {
		t.Errorf("good: %+v", got)
	}
	got = ulrl(t, "config", "check", bad)
	if got.exit != exitMisuse || strings.Count(got.stdout, "\n") != 2 || got.stderr != "ulrl: "+bad+" is no valid config\n" {
		t.Errorf("bad: %+v", got)
	}
	got = ulrl(t, "config", "check", good, bad, "--json")
	var report struct {
		Files []checked
		Exit  int
	}
	decodeOne(t, got.stdout, &report)
	if len(report.Files) != 2 || !report.Files[0].OK || len(report.Files[1].Problems) != 2 || report.Exit != exitMisuse {
		t.Errorf("both: %+v", report)
	}
	const narrow = "attack.arch.width=5"
	got = ulrl(t, "config", "check", good, "--set", "attack.arch.name=efficientnet_b0", "--set", narrow)
	if got.exit != exitMisuse || !strings.Contains(got.stdout, "--set: attack.arch: efficientnet_b0 comes in its published width only: width 32, or 0, not 5") {
		t.Errorf("a width that it does not have: %+v", got)
	}
	if got := ulrl(t, "config", "check", good, "--set", narrow); got.exit != 0 {
		t.Errorf("a width that it has: %+v", got)
	}
	if got := ulrl(t, "config", "check", good, "--set", "seed=x"); got.exit != exitMisuse {
		t.Errorf("--set was not looked at: %+v", got)
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		got := ulrl(t, "completion", shell)
		if got.exit != 0 || !strings.Contains(got.stdout, "ulrl") || len(got.stdout) < 1000 {
			t.Errorf("%s: exit %d, %d bytes", shell, got.exit, len(got.stdout))
		}
	}
	if got := ulrl(t, "__complete", "run", "--log-level", ""); !strings.Contains(got.stdout, "debug\n") {
		t.Errorf("no values of --log-level: %q", got.stdout)
	}
	if got := ulrl(t, "__complete", "inspect", ""); !strings.HasPrefix(got.stdout, "pt\n") {
		t.Errorf("no model files: %q", got.stdout)
	}
}
