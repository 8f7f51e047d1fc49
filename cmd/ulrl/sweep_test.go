package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/sweep"
)

func TestParseSeeds(t *testing.T) {
	for text, want := range map[string][]uint64{
		"": nil, "7": {7}, "0,1,2": {0, 1, 2}, "3-5, 9": {3, 4, 5, 9}, "1,1-2": {1, 2},
		"18446744073709551615": {1<<64 - 1},
	} {
		if got, err := parseSeeds(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"a", "-1", "1,", "5-3", "1.5", "0-9999999999"} {
		if _, err := parseSeeds(text); !fault.IsMisuse(err) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "2G": 2e9, "1.5gb": 15e8, "700M": 7e8, "12": 12, "3k": 3000} {
		if got, err := parseBytes(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "G", "-1G", "two", "1e30", "NaN"} {
		if _, err := parseBytes(text); !fault.IsMisuse(err) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestWorkersDoNotSeeTheSweepsEnvironment(t *testing.T) {
	a := &app{environ: []string{"PATH=/bin", "ULRL_SEED=3", "ULRL_LOG_LEVEL=error", "ULRL_TEST_X=1"}}
	got := a.workerEnv()
	if want := []string{"PATH=/bin", "ULRL_TEST_X=1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
	a.confined.Trust = true
	if got := a.workerEnv(); got[len(got)-1] != "ULRL_TRUST_MODEL=1" {
		t.Errorf("with --trust-model: %v", got)
	}
}

// The shell's configs/*.yaml names the base too, which is no model's config.
func TestSweepLeavesTheBaseOut(t *testing.T) {
	spec, err := sweepOptions{}.spec([]string{"configs/badnets.yaml", "configs/base.yaml", "base.yaml", "my-base.yaml"})
	if err != nil || !reflect.DeepEqual(spec.Configs, []string{"configs/badnets.yaml", "my-base.yaml"}) {
		t.Errorf("%v, %v", spec.Configs, err)
	}
	own := filepath.Join(t.TempDir(), "base.yaml") // somebody's, which names a model
	if err := os.WriteFile(own, []byte("model: {path: m.pt}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if spec, err := (sweepOptions{}).spec([]string{own}); err != nil || len(spec.Configs) != 1 {
		t.Errorf("%v, %v", spec.Configs, err)
	}
}

func TestStatusShowsFailuresFirst(t *testing.T) {
	var out strings.Builder
	job := func(id, status, why string) jobStatus {
		return jobStatus{Job: &sweep.Job{ID: id}, State: sweep.State{Status: status, Error: why}, Log: "logs/" + id + ".log"}
	}
	writeStatus(&out, map[string]int{"done": 1, "running": 1, "failed": 1},
		[]jobStatus{job("a", "done", ""), job("b", "running", ""), job("c", "failed", "it used more than 2.0 GB\x1b of memory")})
	const want = `3 jobs: 1 done, 1 running, 1 failed

c  failed: it used more than 2.0 GB\x1b of memory
  logs/c.log

b  running
  logs/b.log
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

func TestSweepMisuse(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "sweep.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	here, err := sweep.OpenStore(filepath.Join(dir, "here"))
	if err == nil {
		err = here.SavePlan(&sweep.Plan{})
	}
	if err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"sweep":                                "no config to sweep over",
		"sweep badnets.yaml --seeds x":         "--seeds x: wanted",
		"sweep badnets.yaml --grid relearn.lr": "wanted KEY=VALUE",
		"sweep badnets.yaml --grid relearn.lrr=1 --set data.dir=" + dir:    "--grid relearn.lrr: unknown key; did you mean relearn.lr?",
		"sweep badnets.yaml --grid relearn.lr=0.1,x --set data.dir=" + dir: "--grid: relearn.lr is \"x\", wanted a number above 0 and at most 10",
		"sweep badnets.yaml --memory 1K":                                   "--memory 1K is less than a process takes",
		"sweep badnets.yaml --devices xx":                                  "--devices xx: wanted cpu, cuda or cuda:N",
		"sweep badnets.yaml --grid relearn.lr=0.1 --grid relearn.lr=0.2":   "--grid relearn.lr is there twice: write all its values in one",
		"sweep badnets.yaml --grid relearn.lr=0.1 --set relearn.lr=0.2":    "--grid and --set both say relearn.lr: leave one of them out",
		"sweep badnets.yaml --grid seed=1,2":                               "--grid seed: --seeds is for that",
		"sweep badnets.yaml --grid output=a,b":                             "--grid output: a sweep gives each job its own",
		"sweep badnets.yaml --memory much":                                 "--memory much: wanted",
		"sweep badnets.yaml --profile tiny":                                "profile tiny: no such file",
		"sweep badnets.yaml --threads 100000":                              "does not fit",
		"sweep badnets.yaml --executor k8s":                                "--executor k8s: wanted local or slurm",
		"sweep badnets.yaml --cluster time=9":                              "--cluster means nothing to --executor local",
		"sweep badnets.yaml --executor slurm --workers 3":                  "--workers means nothing to --executor slurm",
		"sweep badnets.yaml --executor slurm --cluster ram=9":              "wanted KEY=VALUE with one of partition",
		"sweep badnets.yaml --executor slurm --cluster cpus=0":             "cluster.cpus 0: wanted",
		"sweep cancel /nowhere":                                            "is no sweep's directory",
		"sweep cancel " + dir + "/here":                                    "was never given to Slurm: a sweep of this machine is ended",
		"sweep retry " + dir + "/here":                                     "was never given to Slurm",
		"sweep retry /nowhere":                                             "is no sweep's directory",
		"sweep logs":                                                       "give the folder of one sweep",
		"sweep status":                                                     "give the folder of one sweep",
		"sweep status /nowhere":                                            "is no sweep's directory",
		"sweep status " + dir:                                              "sweep.json: it is damaged",
	} {
		got := ulrl(t, strings.Fields(args)...)
		if got.exit != exitMisuse || !strings.Contains(got.stderr, want) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%s: exit %d: %s", args, got.exit, got.stderr)
		}
	}
}

func TestDryRun(t *testing.T) {
	data := t.TempDir()
	out := t.TempDir()
	got := ulrl(t, "sweep", "badnets.yaml", "blended.yaml", "--seeds", "0,1", "--grid", "relearn.lr=0.01,0.02",
		"--set", "data.dir="+data, "--out", filepath.Join(out, "s"), "--dry-run", "--workers", "1")
	if got.exit != 0 || !strings.Contains(got.stdout, "4 models to train, 8 to clean, 0 of these jobs done; 1 at a time") || !strings.Contains(got.stdout, "relearn.lr=0.02") {
		t.Errorf("exit %d: %s%s", got.exit, got.stdout, got.stderr)
	}
	if entries, err := os.ReadDir(out); err != nil || len(entries) != 0 {
		t.Errorf("a dry run wrote %v, %v", entries, err)
	}
}

func TestSweepFile(t *testing.T) {
	dir, data := t.TempDir(), t.TempDir()
	write := func(text string) string {
		path := filepath.Join(dir, "sweep.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := write("configs: [badnets.yaml, blended.yaml]\nseeds: 0-2\nworkers: 1\ngrid: {relearn.lr: [0.01, 0.02]}\nset: {data.dir: " + data + "}\n")
	got := ulrl(t, "sweep", "-f", path, "--dry-run", "--out", filepath.Join(dir, "s"))
	if got.exit != 0 || !strings.Contains(got.stdout, "6 models to train, 12 to clean") {
		t.Errorf("exit %d: %s%s", got.exit, got.stdout, got.stderr)
	}
	got = ulrl(t, "sweep", "sig.yaml", "-f", path, "--seeds", "5", "--dry-run", "--out", filepath.Join(dir, "s"))
	if got.exit != 0 || !strings.Contains(got.stdout, "1 models to train, 2 to clean") || !strings.Contains(got.stdout, "sig-") {
		t.Errorf("the command line does not win: exit %d: %s%s", got.exit, got.stdout, got.stderr)
	}
	single := write("configs: badnets.yaml\nseeds: [3, 4]\ngrid: {relearn.lr: 0.01}\nset: {data.dir: " + data + "}\n")
	got = ulrl(t, "sweep", "-f", single, "--dry-run", "--out", filepath.Join(dir, "s"))
	if got.exit != 0 || !strings.Contains(got.stdout, "2 models to train, 2 to clean") {
		t.Errorf("a value for a list: exit %d: %s%s", got.exit, got.stdout, got.stderr)
	}
	for text, want := range map[string]string{
		"seed: 1":                     "line 1: unknown key seed; the keys are configs, profile, seeds, grid, set, out, models, workers, threads, memory, devices, retries, executor, at-once, cluster",
		"workers: many":               "line 1: wanted a whole number, not many",
		"workers: 1.5":                "line 1: wanted a whole number, not 1.5",
		"retries: 0.9":                "line 1: wanted a whole number, not 0.9",
		"at-once: 4":                  "at-once means nothing to executor local; executor: slurm in it, or --executor, chooses the other",
		"cluster: {time: 5}":          "cluster means nothing to executor local",
		"set: {output: x}":            "--set output: a sweep gives each job its own",
		"executor: slurm\nworkers: 2": "workers means nothing to executor slurm",
		"out: [x]":                    "line 1: wanted text, not a list or keys",
		"grid: 1":                     "line 1: wanted keys and their values, not `1`",
		"configs: {a: b}":             "line 1: wanted a value or a list of values",
		"seeds: 1\n---\nset: {}":      "a second YAML document begins: wanted one",
		"grid: [":                     "sweep file",
	} {
		got := ulrl(t, "sweep", "-f", write(text))
		if got.exit != exitMisuse || !strings.Contains(got.stderr, want) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%s: exit %d: %s", text, got.exit, got.stderr)
		}
	}
}

func TestReportOfARunAndMisuse(t *testing.T) {
	dir := t.TempDir()
	text, err := json.Marshal(fakeResult("small"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "result.json"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := ulrl(t, "report", dir, "--format", "md"); got.exit != 0 || !strings.Contains(got.stdout, "| small |") {
		t.Errorf("%+v", got)
	}
	if got := ulrl(t, "report", dir); got.exit != 0 {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat(filepath.Join(dir, "report.html")); err != nil {
		t.Error(err)
	}
	for args, want := range map[string]string{"report": "give one folder", "report " + dir + " --format pdf": "wanted html, md, csv or json", "report /nowhere": "holds no result.json"} {
		if got := ulrl(t, strings.Fields(args)...); got.exit != exitMisuse || !strings.Contains(got.stderr, want) {
			t.Errorf("%s: %+v", args, got)
		}
	}
}
