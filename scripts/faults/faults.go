package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// order is a command that writes to a folder.
type order func(l *lab, out string) *process

// diskFull runs a command on file systems of every size up to the one on which it
// ends well; on each it must then end well once there is room.
func diskFull(folder, product string, do order) func(context.Context, *lab) (string, error) {
	return func(ctx context.Context, l *lab) (string, error) {
		calm := l.fresh()
		if e := do(l, filepath.Join(calm, folder)).wait(ctx); e.code != 0 {
			return "", fmt.Errorf("undisturbed: exit %d: %s", e.code, e.text)
		}
		need, err := used(calm)
		if err != nil {
			return "", err
		}
		full := 0
		for size := page; ctx.Err() == nil; size += l.stride {
			if size > 4*need+1<<20 {
				return "", fmt.Errorf("it does not end well on %d bytes, though it takes %d", size, need)
			}
			ended, err := l.onDiskOf(ctx, size, folder, product, do)
			if err != nil {
				return "", fmt.Errorf("%d bytes: %w", size, err)
			}
			if ended {
				break
			}
			full++
		}
		if full == 0 {
			return "", errors.New("it ended well on a disk of one page: nothing was tried")
		}
		return fmt.Sprintf("%d sizes, on each one line, nothing half-written, and a good end once there was room", full), nil
	}
}

func (l *lab) onDiskOf(ctx context.Context, size int, folder, product string, do order) (ended bool, err error) {
	disk := l.fresh()
	unmount, err := mount(disk, size)
	if err != nil {
		return false, err
	}
	defer unmount()
	out := filepath.Join(disk, folder)
	e := do(l, out).wait(ctx)
	if e.code == 0 {
		return true, whole(out, product)
	}
	wanted := []string{"no space left"}
	if folder == "sweep" { // it counts its jobs in the last line, and shows their own
		wanted = append(wanted, "failed")
		e.text = e.last
	}
	if err := e.oneLine(1, wanted...); err != nil {
		return false, err
	}
	if err := leftovers(disk); err != nil {
		return false, err
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", 64<<20)); err != nil {
		return false, fmt.Errorf("make room: %w", err)
	}
	if e := do(l, out).wait(ctx); e.code != 0 {
		return false, fmt.Errorf("with room again: exit %d: %s", e.code, e.text)
	}
	return false, whole(out, product)
}

// whole wants a product somewhere under a folder.
func whole(dir, product string) error {
	found := false
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Name() == product {
			found = true
		}
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("there is no %s in %s", product, dir)
	}
	return err
}

func readOnly(do order) func(context.Context, *lab) (string, error) {
	return func(ctx context.Context, l *lab) (string, error) {
		disk := l.fresh()
		unmount, err := mount(disk, 64<<20)
		if err != nil {
			return "", err
		}
		defer unmount()
		if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			return "", fmt.Errorf("make it read-only: %w: %w", err, errUnavailable)
		}
		e := do(l, filepath.Join(disk, "out")).wait(ctx)
		return e.last, e.oneLine(2, "read-only file system")
	}
}

// gone is how commands word it.
var gone = []string{"no such file or directory", "was removed while the run was under way"}

// vanishes removes the folder that a command writes to.
func vanishes(do order) func(context.Context, *lab) (string, error) {
	return func(ctx context.Context, l *lab) (string, error) {
		out := l.fresh()
		return lost(ctx, do(l, out), out, func() error {
			// The command may write while the folder is emptied.
			err := os.RemoveAll(out)
			for try := 0; err != nil && try < 10; try++ {
				err = os.RemoveAll(out)
			}
			return err
		})
	}
}

// unmounted takes the whole file system away from a command.
func unmounted(do order) func(context.Context, *lab) (string, error) {
	return func(ctx context.Context, l *lab) (string, error) {
		disk := l.fresh()
		unmount, err := mount(disk, 64<<20)
		if err != nil {
			return "", err
		}
		defer unmount()
		out := filepath.Join(disk, "out")
		return lost(ctx, do(l, out), out, func() error { unmount(); return nil })
	}
}

// lost takes away the folder of a command that is under way.
func lost(ctx context.Context, p *process, out string, take func() error) (string, error) {
	if err := p.underway(ctx, out); err != nil {
		return "", err
	}
	err := take()
	if err != nil {
		_ = p.cmd.Process.Kill()
	}
	e := p.wait(ctx)
	return e.last, errors.Join(err, e.oneLine(1, gone...))
}

func hangs(ctx context.Context, l *lab) (string, error) {
	out := l.fresh()
	p := l.slowRun(out)
	p.cmd.Args = append(p.cmd.Args, "--stall-limit", "10s") // also busy machines get that far
	return disturbed(ctx, p, out, func(pid int) error { return syscall.Kill(pid, syscall.SIGSTOP) }, "it showed no progress for 10s")
}

func killed(ctx context.Context, l *lab) (string, error) {
	out := l.fresh()
	return disturbed(ctx, l.slowRun(out), out, func(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }, "the worker was killed")
}

// disturbed does something to the worker of a command that is under way.
func disturbed(ctx context.Context, p *process, out string, disturb func(pid int) error, wanted ...string) (string, error) {
	if err := p.underway(ctx, out); err != nil {
		return "", err
	}
	pid, err := p.worker()
	if err == nil {
		err = disturb(pid)
	}
	if err != nil {
		_ = p.cmd.Process.Kill()
		p.wait(ctx)
		return "", err
	}
	e := p.wait(ctx)
	return e.last, e.oneLine(1, wanted...)
}

// overCgroup has a real cgroup's memory run out under a worker: the kernel kills it.
func overCgroup(ctx context.Context, l *lab) (string, error) {
	group, limit, err := memoryGroup()
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(group) }()
	out := l.fresh()
	p := l.slowRun(out)
	return disturbed(ctx, p, out, func(pid int) error {
		rss, err := resident(pid)
		if err != nil {
			return err
		}
		for _, each := range []int{p.cmd.Process.Pid, pid} {
			if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(each)), 0o600); err != nil {
				return fmt.Errorf("put a process into the group: %w", err)
			}
		}
		// What a process had before it came counts for its old group: what it takes
		// from now on is too much soon.
		return os.WriteFile(filepath.Join(group, limit), []byte(strconv.Itoa(min(rss, 1<<20))), 0o600)
	}, "for lack of memory", "ran out of memory")
}

// memoryGroup makes a cgroup, of either version, and names its file of the limit.
func memoryGroup() (dir, limit string, err error) {
	for _, known := range []struct{ root, limit string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"},
	} {
		dir := filepath.Join(known.root, fmt.Sprintf("ulrl-faults-%d", os.Getpid()))
		if err = os.Mkdir(dir, 0o755); err != nil {
			continue
		}
		if _, err = os.Stat(filepath.Join(dir, known.limit)); err == nil {
			return dir, known.limit, nil
		}
		_ = os.Remove(dir)
	}
	return "", "", fmt.Errorf("make a cgroup: %w: %w", err, errUnavailable)
}

func resident(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0, fmt.Errorf("statm of %d is %q", pid, text)
	}
	pages, err := strconv.Atoi(fields[1])
	return pages * page, err
}

// overLimit gives runs less memory than libtorch takes, as a shell's ulimit would. Where
// it gets none depends on the limit and the machine, and so does what it does then: throw,
// fail to start a thread, crash, or ask for ever.
func overLimit(ctx context.Context, l *lab) (string, error) {
	var said string
	for _, limit := range []string{"180000", "200000", "260000"} {
		p := l.run(l.fresh())
		p.cmd.Args = append([]string{"sh", "-c", "ulimit -d " + limit + `; exec "$@"`, "sh", p.cmd.Path}, append(p.cmd.Args[1:], "--stall-limit", "20s")...)
		p.cmd.Path = "/bin/sh"
		e := p.wait(ctx)
		if e.code == 0 && said != "" {
			break // this much is enough here
		}
		said = e.last
		if err := e.oneLine(1, "memory"); err != nil {
			return said, fmt.Errorf("ulimit -d %s: %w", limit, err)
		}
	}
	return said, nil
}

func twoRuns(ctx context.Context, l *lab) (string, error) {
	out := l.fresh()
	return two(ctx, l.slowRun(out), l.run(out), out)
}

// two starts a second command in the folder of a first that is under way.
func two(ctx context.Context, first, second *process, out string) (string, error) {
	if err := first.underway(ctx, out); err != nil {
		return "", err
	}
	e := second.wait(ctx)
	wrong := e.oneLine(2, "is in use by process")
	_ = first.cmd.Process.Signal(syscall.SIGINT)
	select {
	case <-ctx.Done():
	case <-time.After(time.Second):
	}
	if ended := first.wait(ctx); wrong == nil {
		ended.text = ended.last // before it stands that the command is stopping
		wrong = ended.oneLine(130, "interrupted")
	}
	if wrong == nil {
		wrong = leftovers(out)
	}
	return e.last, wrong
}
