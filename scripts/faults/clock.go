package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machine is the first process of a kernel of its own, which has this machine's files:
// its clock can be set without harm. Elsewhere it must do nothing.
const machine = `#!/bin/sh
[ $$ = 1 ] || exit 1
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
cd '%s'
%s > output 2>&1 || { echo $? > code; echo o > /proc/sysrq-trigger; sleep 60; }
while sleep 0.7; do date -s '+1 day' && echo set >> clock; sleep 0.7; date -s '-3 days' && echo set >> clock; done > /dev/null 2>&1 &
%s >> output 2>&1
echo $? > code
echo o > /proc/sysrq-trigger
sleep 60
`

// clockSet runs a sweep while the clock is set forwards and back, and wants of it what
// an undisturbed one comes to, and durations that are true.
func clockSet(ctx context.Context, l *lab) (string, error) {
	kernel, err := exec.LookPath("linux.uml")
	if err != nil {
		return "", fmt.Errorf("%w: it takes linux.uml (Debian's user-mode-linux)", errUnavailable)
	}
	dir := l.fresh()
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	undisturbed, disturbed := filepath.Join(dir, "undisturbed"), filepath.Join(dir, "disturbed")
	binary, err := filepath.Abs(l.ulrl)
	if err != nil {
		return "", err
	}
	sweep := func(out string) string {
		// The kernel has no Landlock.
		args := append([]string{binary}, append(l.sweep(out).cmd.Args[1:], "--trust-model", "--workers", "1")...)
		return "'" + strings.Join(args, "' '") + "'"
	}
	script := fmt.Sprintf(machine, dir, sweep(undisturbed), sweep(disturbed))
	if err := os.WriteFile(filepath.Join(dir, "init"), []byte(script), 0o755); err != nil { //nolint:gosec // it is run
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*longest)
	defer cancel()
	began := time.Now()
	//nolint:gosec // the kernel that was found
	boot := exec.CommandContext(ctx, kernel, "rootfstype=hostfs", "rootflags=/", "rw", "mem=3G", "con=null", "con0=null,fd:1", "init="+filepath.Join(dir, "init"))
	boot.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its processes are processes of this machine
	boot.Cancel = func() error { return syscall.Kill(-boot.Process.Pid, syscall.SIGKILL) }
	boot.WaitDelay = 10 * time.Second
	said, bootErr := boot.CombinedOutput()
	took := time.Since(began).Seconds()
	text, err := os.ReadFile(filepath.Join(dir, "output"))
	switch {
	case err != nil && bytes.Contains(said, []byte("set fp regs failed")):
		return "", fmt.Errorf("%w: %s knows fewer registers than this machine has (such as AMX's)", errUnsupported, kernel)
	case err != nil:
		return "", fmt.Errorf("%w: %s: %w: %s", errUnavailable, kernel, errors.Join(bootErr, err), said)
	}
	if code, err := os.ReadFile(filepath.Join(dir, "code")); err != nil || string(code) != "0\n" {
		return "", errors.Join(fmt.Errorf("exit %q after %.0f s: %s", code, took, text), bootErr, err)
	}
	jumps, err := os.ReadFile(filepath.Join(dir, "clock"))
	if err != nil {
		return "", fmt.Errorf("the clock was never set: %w", err)
	}
	if err := sameModels(undisturbed, disturbed); err != nil {
		return "", err
	}
	if err := trueSeconds(disturbed, took); err != nil {
		return "", err
	}
	return fmt.Sprintf("set %d times in %.0f s: the same model, durations true", bytes.Count(jumps, []byte("\n")), took), nil
}

// sameModels compares the cleaned models of two sweeps.
func sameModels(a, b string) error {
	found, err := filepath.Glob(filepath.Join(a, "runs", "*", "cleaned.pt"))
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("%s has no cleaned model", a)
	}
	for _, one := range found {
		other := filepath.Join(b, strings.TrimPrefix(one, a))
		first, err := os.ReadFile(one)
		if err != nil {
			return err
		}
		second, err := os.ReadFile(other)
		if err != nil {
			return err
		}
		if !bytes.Equal(first, second) {
			return fmt.Errorf("%s differs from that of the undisturbed sweep", other)
		}
	}
	return nil
}

// trueSeconds wants every duration that a sweep wrote down between 0 and what all
// of it took.
func trueSeconds(sweep string, most float64) error {
	for _, pattern := range []string{"states/*.json", "runs/*/result.json"} {
		files, err := filepath.Glob(filepath.Join(sweep, pattern))
		if err != nil {
			return err
		}
		if len(files) == 0 {
			return fmt.Errorf("%s has no %s", sweep, pattern)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			var told struct {
				Seconds json.RawMessage `json:"seconds"`
			}
			if err := json.Unmarshal(text, &told); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			phases := map[string]float64{} // of a result; of a state it is one number
			if one, err := strconv.ParseFloat(string(told.Seconds), 64); err == nil {
				phases["all"] = one
			} else if err := json.Unmarshal(told.Seconds, &phases); err != nil {
				return fmt.Errorf("%s: seconds: %w", file, err)
			}
			for phase, seconds := range phases {
				if seconds <= 0 || seconds > most {
					return fmt.Errorf("%s: %s took %v s, the sweep %.0f s", file, phase, seconds, most)
				}
			}
		}
	}
	return nil
}
