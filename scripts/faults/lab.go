package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// lab is a folder with a small model in it and commands of seconds.
type lab struct {
	options
	dir string
	n   atomic.Int64 // folders that were made
}

func newLab(ctx context.Context, o options) (*lab, error) {
	dir, err := os.MkdirTemp("", "ulrl-faults-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	l := &lab{options: o, dir: dir}
	if e := l.attack(l.path("model")).wait(ctx); e.code != 0 {
		l.close()
		return nil, fmt.Errorf("make a model: exit %d: %s", e.code, e.text)
	}
	return l, nil
}

func (l *lab) close() { _ = os.RemoveAll(l.dir) }

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// fresh is a folder that is not there yet.
func (l *lab) fresh() string {
	return l.path(strconv.FormatInt(l.n.Add(1), 10))
}

// small makes every command one of a second.
var small = []string{
	"--set", "attack.arch.name=resnet18", "--set", "attack.arch.width=4", "--set", "attack.train.samples=512", "--set", "attack.train.epochs=1", "--set", "threads=1",
	"--set", "unlearn.epochs=1", "--set", "relearn.epochs=1", "--set", "relearn.attempts=1", "--set", "clean.count=100", "--set", "data.test=none", "--log-level", "error",
}

func (l *lab) command(args ...string) *process {
	return &process{cmd: exec.Command(l.ulrl, append(args, small...)...)} //nolint:gosec // the binary under test
}

func (l *lab) run(out string) *process {
	return l.command("run", "-c", "badnets.yaml", "--force", "--set", "output="+out, "--set", "attack.output="+l.path("model"))
}

func (l *lab) attack(out string) *process {
	return l.command("attack", "-c", "badnets.yaml", "--force", "--set", "attack.output="+out)
}

func (l *lab) sweep(out string) *process {
	return l.command("sweep", "badnets.yaml", "--seeds", "0", "--retries", "0", "--out", out, "--models", filepath.Join(out, "models"))
}

// slow commands last until they are disturbed.
func (l *lab) slowRun(out string) *process {
	p := l.run(out)
	p.cmd.Args = append(p.cmd.Args, "--set", "unlearn.epochs=10000", "--set", "unlearn.stop_accuracy=0", "--set", "relearn.epochs=10000")
	return p
}

func (l *lab) slowAttack(out string) *process {
	p := l.attack(out)
	p.cmd.Args = append(p.cmd.Args, "--set", "attack.train.epochs=10000")
	return p
}

// process is a command and how it ended.
type process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer
}

type end struct {
	code int
	text string // stderr
	last string // its last line
}

// longest is how long any of these commands may take.
const longest = 3 * time.Minute

func (p *process) start() error {
	p.cmd.Stderr = &p.stderr
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.cmd.Path, err)
	}
	return nil
}

// wait runs the command, if it does not run, to its end.
func (p *process) wait(ctx context.Context) end {
	if p.cmd.Process == nil {
		if err := p.start(); err != nil {
			return end{code: -1, text: err.Error(), last: err.Error()}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	over := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
			_ = p.cmd.Process.Kill()
		case <-over:
		}
	}()
	err := p.cmd.Wait()
	close(over)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return end{code: -1, text: err.Error(), last: err.Error()}
	}
	text := strings.TrimSuffix(p.stderr.String(), "\n")
	lines := strings.Split(text, "\n")
	return end{p.cmd.ProcessState.ExitCode(), text, lines[len(lines)-1]}
}

// underway starts a slow command and returns once its long phase has begun: there
// is something of it in the folder that it writes to.
func (p *process) underway(ctx context.Context, out string) error {
	if err := p.start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	for {
		// A command that ended is a zombie until somebody waits for it.
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid)); err != nil || strings.Contains(string(stat), ") Z ") {
			return fmt.Errorf("it ended too soon: %s", p.wait(ctx).text)
		}
		for _, name := range []string{"events.jsonl", "checkpoint.zip"} {
			if _, err := os.Stat(filepath.Join(out, name)); err == nil {
				time.Sleep(time.Second)
				return nil
			}
		}
		select {
		case <-ctx.Done():
			_ = p.cmd.Process.Kill()
			return fmt.Errorf("it did not begin: %w: %s", ctx.Err(), p.wait(context.Background()).text)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// worker is the confined process that the command started.
func (p *process) worker() (int, error) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
	for _, path := range tasks {
		text, _ := os.ReadFile(path)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return pid, nil
		}
	}
	return 0, errors.New("the command has no worker")
}

// oneLine wants a failure that is told in one line, of what it says.
func (e end) oneLine(code int, parts ...string) error {
	if e.code != code {
		return fmt.Errorf("exit %d, wanted %d: %s", e.code, code, e.text)
	}
	if e.text != e.last || !strings.HasPrefix(e.last, "ulrl: ") {
		return fmt.Errorf("not one line: %q", e.text)
	}
	for _, part := range parts {
		if strings.Contains(e.last, part) {
			return nil
		}
	}
	return fmt.Errorf("it says %q, wanted one of %q", e.last, parts)
}

// leftovers are files under dir that a command began and did not end.
func leftovers(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		}
		name := entry.Name()
		if path != dir && (strings.HasPrefix(name, ".") || strings.Contains(name, ".tmp") || strings.HasSuffix(name, ".partial") || name == "run.lock") {
			return fmt.Errorf("%s was left behind", path)
		}
		return nil
	})
}

// mount puts an empty file system of so many bytes at dir.
func mount(dir string, bytes int) (unmount func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", bytes)); err != nil {
		return nil, fmt.Errorf("mount a file system: %w: %w", err, errUnavailable)
	}
	return func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }, nil
}

// used is the bytes of all files under dir, in whole pages.
func used(dir string) (int, error) {
	total := 0
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += (int(info.Size()) + page - 1) / page * page
		}
		return err
	})
	return total, err
}

const page = 4096
