package slurm

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"ulrl/pipeline/fault"
)

func TestResourcesBecomeArguments(t *testing.T) {
	var r Resources
	for _, text := range []string{
		"partition=gpu", "account=lab", "qos=low", "time=1-00:00:00", "mem=4G", "gres=gpu:1", "constraint=a100|h100", "cpus=2",
		"modules=cuda/12.1", "modules=gcc", "extra=--nice=100", "extra=--mail-user=a=b",
	} {
		if err := r.Set(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	want := []string{
		"--partition=gpu", "--account=lab", "--qos=low", "--time=1-00:00:00", "--mem=4G", "--gres=gpu:1",
		"--constraint=a100|h100", "--cpus-per-task=2", "--nice=100", "--mail-user=a=b",
	}
	if got := r.args(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
	if want := []string{"cuda/12.1", "gcc"}; !reflect.DeepEqual(r.Modules, want) {
		t.Errorf("modules %q", r.Modules)
	}
	if got := (Resources{}).args(); got != nil {
		t.Errorf("of nothing: %q", got)
	}
	for _, text := range []string{"", "time", "=1", "memory=4G", "cpus=many", "cpus=0", "Partition=gpu"} {
		if err := r.Set(text); !fault.IsMisuse(err) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The script is given to a real shell: its words must come out as they went in.
func TestScriptKeepsWords(t *testing.T) {
	words := []string{"it's", "a b", "$HOME", "`id`", "\\", "\"", "", "*", "two\nlines", "; exit 3"}
	file := filepath.Join(t.TempDir(), "a 'job'.sh")
	text := script(Array{Command: append([]string{"printf", `<%s>`}, words...)})
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sh", file).Output()
	if want := "<" + strings.Join(words, "><") + ">"; err != nil || string(out) != want {
		t.Errorf("%v: got %s, wanted %s", err, out, want)
	}
}

func TestScriptLoadsModules(t *testing.T) {
	got := script(Array{Command: []string{"ulrl"}, Resources: Resources{Modules: []string{"cuda/12", "o'dd"}}})
	want := "#!/bin/bash -l\nmodule load 'cuda/12' || exit 1\nmodule load 'o'\\''dd' || exit 1\nexec 'ulrl'\n"
	if got != want {
		t.Errorf("got %q", got)
	}
}

func TestReason(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.Local)
	far, near := "EndTime=2026-05-02T12:00:00", "EndTime=2026-05-01T12:01:00"
	for _, test := range []struct {
		job      string
		restarts int
		why      string
		requeue  bool
	}{
		{job: "JobState=CANCELLED Restarts=0 " + far, why: StopCancelled},
		{job: "JobState=CANCELLED Restarts=0 " + near, why: StopCancelled},
		{job: "JobState=TIMEOUT Restarts=0 EndTime=2026-05-01T11:59:00", why: StopTimeLimit},
		{job: "JobState=RUNNING Restarts=0 " + near, why: StopTimeLimit},
		{job: "JobState=RUNNING Restarts=0 " + far, why: StopUnknown},
		{job: "JobState=RUNNING Restarts=2 " + far, restarts: 2, why: StopUnknown},
		{job: "JobState=PENDING Restarts=3 " + far, restarts: 2, why: StopPreempted},
		{job: "JobState=PREEMPTED Restarts=0 " + far, why: StopPreempted},
		{job: "JobState=RUNNING Requeue=1 Restarts=0 PreemptTime=2026-05-01T12:00:00 " + near, why: StopPreempted, requeue: true},
		{job: "JobState=RUNNING Requeue=0 Restarts=0 PreemptTime=2026-05-01T12:00:00 " + near, why: StopPreempted},
		{job: "JobState=RUNNING Requeue=1 Restarts=0 PreemptTime=None EndTime=Unknown", why: StopUnknown},
		// A job that is on its way out is COMPLETING, whatever for, and its EndTime is now.
		{job: "JobState=COMPLETING Restarts=0 TimeLimit=00:10:00 StartTime=2026-05-01T11:58:50 EndTime=2026-05-01T12:00:00", why: StopCancelled},
		{job: "JobState=COMPLETING Restarts=0 TimeLimit=1-00:00:00 StartTime=2026-04-30T12:00:00 EndTime=2026-05-01T12:00:00", why: StopTimeLimit},
		{job: "JobState=COMPLETING Restarts=0 TimeLimit=UNLIMITED StartTime=2026-05-01T11:58:50 EndTime=2026-05-01T12:00:00", why: StopCancelled},
		{job: "", why: StopUnknown},
	} {
		why, requeue := reason(parseJob(test.job), test.restarts, now)
		if why != test.why || requeue != test.requeue {
			t.Errorf("%q after %d restarts: %s %v", test.job, test.restarts, why, requeue)
		}
	}
}

func TestParseJobKeepsTheFirst(t *testing.T) {
	got := parseJob("JobId=12 JobName=a Comment=x y JobState=RUNNING JobState=CANCELLED alone\n")
	if got["JobId"] != "12" || got["JobState"] != "RUNNING" || got["Comment"] != "x" {
		t.Errorf("got %v", got)
	}
}

func TestLiveAndRunning(t *testing.T) {
	for state, want := range map[string][2]bool{
		"PENDING": {true, false}, "RUNNING": {true, true}, "COMPLETING": {true, true}, "REQUEUED": {true, false},
		"COMPLETED": {}, "FAILED": {}, "NODE_FAIL": {}, "CANCELLED": {}, "": {},
	} {
		if task := (Task{State: state}); task.Live() != want[0] || task.Running() != want[1] {
			t.Errorf("%s: live %v, running %v", state, task.Live(), task.Running())
		}
	}
}

func TestCommandsPassOnWhatIsSaid(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if _, err := run(context.Background(), "", "ls", filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "No such file") {
		t.Errorf("%v", err)
	}
	if _, err := run(context.Background(), "", "no-such-command"); !fault.IsMisuse(err) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := run(ctx, "", "sleep", "1"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// An array whose submitter is interrupted meanwhile is in the queue all the same, and has
// a number to be found by.
func TestSubmitIsNotInterruptedHalfWay(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	begun := filepath.Join(dir, "begun")
	slow := "#!/bin/sh\necho $$ > " + begun + "\nsleep 0.3\necho 17\n"
	if err := os.WriteFile(filepath.Join(dir, "sbatch"), []byte(slow), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for {
			if text, err := os.ReadFile(begun); err == nil && len(text) > 0 {
				cancel()
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	if id, err := Submit(ctx, Array{Name: "x", Size: 1, Command: []string{"true"}}); err != nil || id != "17" {
		t.Errorf("%q, %v", id, err)
	}
	if ctx.Err() == nil {
		t.Fatal("it was not interrupted")
	}
	if _, err := Submit(ctx, Array{Name: "x", Size: 1}); !errors.Is(err, context.Canceled) || !Refused(err) {
		t.Errorf("interrupted before: %v", err)
	}
	for words, want := range map[string]bool{
		"sbatch: error: Batch job submission failed: Invalid partition name specified":        true,
		"sbatch: error: Batch job submission failed: Socket timed out on send/recv operation": false,
	} {
		text := "#!/bin/sh\necho '" + words + "' >&2\nexit 1\n"
		if err := os.WriteFile(filepath.Join(dir, "sbatch"), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := Submit(context.Background(), Array{Name: "x", Size: 1}); err == nil || Refused(err) != want {
			t.Errorf("%v: refused %v", err, Refused(err))
		}
	}
}
