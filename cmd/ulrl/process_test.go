package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"ulrl/pipeline/testenv"
)

// command is this test binary as ulrl over the fake engine; step is the time a
// batch takes.
func command(t *testing.T, step string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"="+step)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func exitOf(t *testing.T, err error) int {
	t.Helper()
	var e *exec.ExitError
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	if err == nil {
		return 0
	}
	return e.ExitCode()
}

// interrupt starts a run, sends it signals one by one, each when the line that
// it waits for has come, and returns the exit code and stderr.
func interrupt(t *testing.T, cmd *exec.Cmd, waitFor ...string) (int, string) {
	t.Helper()
	pipe, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var seen strings.Builder
	lines := bufio.NewScanner(pipe)
	for lines.Scan() {
		seen.WriteString(lines.Text() + "\n")
		if len(waitFor) > 0 && strings.Contains(lines.Text(), waitFor[0]) {
			waitFor = waitFor[1:]
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	return exitOf(t, cmd.Wait()), seen.String()
}

const stopping = "stopping after this batch; press Ctrl-C again to stop at once"

func TestCtrlC(t *testing.T) {
	cmd := command(t, "20ms", "run", "-c", "badnets.yaml")
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	code, stderr := interrupt(t, cmd, "evaluate: done")
	if code != exitInterrupted || stdout.Len() > 0 {
		t.Errorf("exit %d, stdout %q", code, stdout.String())
	}
	for _, want := range []string{stopping + "\n", "ulrl: unlearn, epoch", "interrupted; runs/badnets keeps what was done\n"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("stderr lacks %q:\n%s", want, stderr)
		}
	}
}

func TestSecondCtrlCEndsAtOnce(t *testing.T) {
	// This run never comes to the end of its batch; it says so by a warning.
	cmd := command(t, "1ms", "run", "-c", "badnets.yaml", "--set", "name=stubborn")
	code, stderr := interrupt(t, cmd, "a batch that takes for ever", stopping)
	if code != exitInterrupted {
		t.Errorf("exit %d, want %d; stderr %q", code, exitInterrupted, stderr)
	}
}

func TestBrokenPipesAreQuiet(t *testing.T) {
	for _, args := range []string{"config show badnets.yaml", "run -c badnets.yaml", "--help", "completion bash"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close() // nobody reads
		cmd := command(t, "1us", strings.Fields(args)...)
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = w, &stderr
		err = cmd.Run()
		w.Close()
		if code := exitOf(t, err); code != 0 || strings.Contains(stderr.String(), "ulrl:") {
			t.Errorf("%s: exit %d, stderr %q", args, code, stderr.String())
		}
	}
}

// TestBinary builds the program itself and runs what needs no computation.
func TestBinary(t *testing.T) {
	compiler, err := exec.LookPath("go")
	if err != nil {
		testenv.Skip(t, "no go on the PATH")
	}
	binary := filepath.Join(t.TempDir(), "ulrl")
	build := exec.CommandContext(t.Context(), compiler, "build", "-ldflags", "-X main.version=v9.8.7", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, c := range []struct {
		args   string
		exit   int
		stdout string
		stderr string
	}{
		{"version", 0, "ulrl v9.8.7", ""},
		{"--version", 0, "v9.8.7", ""},
		{"run", exitMisuse, "", "ulrl: give a config: ulrl run -c configs/badnets.yaml\n"},
		{"run -c nosuch.yaml", exitMisuse, "", "ulrl: nosuch.yaml: no such file"},
		{"run --nosuch", exitMisuse, "", "ulrl: unknown flag: --nosuch"},
		{"inspect nosuch.pt", exitMisuse, "", "nosuch.pt"},
		{"inspect main.go --json", exitMisuse, `"exit": 2`, "main.go"},
		{"config show badnets.yaml", 0, "badnets", ""},
		{"completion zsh", 0, "compdef", ""},
	} {
		cmd := exec.CommandContext(t.Context(), binary, strings.Fields(c.args)...)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		code := exitOf(t, cmd.Run())
		if code != c.exit || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) || strings.Contains(stderr.String(), "goroutine") {
			t.Errorf("%s: exit %d\nstdout %s\nstderr %s", c.args, code, stdout.String(), stderr.String())
		}
	}
	out, err := exec.CommandContext(t.Context(), binary, "version", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var v versions
	if err := json.Unmarshal(out, &v); err != nil || v.Version != "v9.8.7" || v.Libtorch == "" || v.Go != runtime.Version() {
		t.Errorf("%v in %s", err, out)
	}
}
