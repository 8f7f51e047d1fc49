// Command faults puts ulrl through what goes wrong on real machines: disks that are
// full at every size, folders that cannot be written or vanish, workers that hang,
// are killed or run out of memory, two processes on one folder, a clock that is set.
// Each must end in one line and the right exit code, or as if nothing had been; a full
// disk must also hold nothing half-written, and let the same command finish once there
// is room. Mounts and limits need root, or "unshare -rm"; what cannot be had is said.
// See "make faults".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

type options struct {
	ulrl         string
	only         string
	stride, jobs int
}

func main() {
	var o options
	flag.StringVar(&o.ulrl, "ulrl", "build/ulrl", "the binary")
	flag.StringVar(&o.only, "only", "", "the faults whose names have this in them")
	flag.IntVar(&o.stride, "stride", 4096, "bytes by which the sizes of a full disk differ")
	flag.IntVar(&o.jobs, "jobs", 1, "at once")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

// fault is one thing that goes wrong; try says how it went.
type fault struct {
	name string
	try  func(ctx context.Context, l *lab) (how string, err error)
}

// errUnavailable is a fault that cannot be made here, errUnsupported one that nothing
// that could be installed would let be made.
var (
	errUnavailable = errors.New("cannot be made here")
	errUnsupported = errors.New("this machine cannot make it")
)

func run(ctx context.Context, o options, out io.Writer) error {
	l, err := newLab(ctx, o)
	if err != nil {
		return err
	}
	defer l.close()
	var chosen []fault
	for _, f := range faults {
		if strings.Contains(f.name, o.only) {
			chosen = append(chosen, f)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no fault has %q in its name", o.only)
	}
	waiting := make(chan fault)
	var (
		jobs   sync.WaitGroup
		mutex  sync.Mutex
		failed []error
	)
	for range max(1, o.jobs) {
		jobs.Go(func() {
			for f := range waiting {
				began := time.Now()
				how, err := f.verdict(ctx, l)
				mutex.Lock()
				failed = append(failed, err)
				fmt.Fprintf(out, "%s (%.0f s): %s\n", f.name, time.Since(began).Seconds(), how)
				mutex.Unlock()
			}
		})
	}
	for _, f := range chosen {
		if ctx.Err() == nil {
			waiting <- f
		}
	}
	close(waiting)
	jobs.Wait()
	return errors.Join(append(failed, ctx.Err())...)
}

// verdict tries a fault; err is not nil where that failed, or had to be possible and was not.
func (f fault) verdict(ctx context.Context, l *lab) (how string, err error) {
	how, err = f.try(ctx, l)
	switch {
	case err == nil:
		return how, nil
	case ctx.Err() != nil:
		return "interrupted", nil
	case errors.Is(err, errUnsupported):
		return err.Error(), nil
	case errors.Is(err, errUnavailable):
		how = err.Error()
		if os.Getenv("ULRL_TEST_NO_SKIP") == "" { // as the tests: CI is to try everything
			return how, nil
		}
	default:
		how = "FAILED: " + err.Error()
	}
	return how, fmt.Errorf("%s: %w", f.name, err)
}

var faults = []fault{
	{"the clock is set", clockSet}, // the longest first, beside which others may run
	{"disk full at every size: sweep", diskFull("sweep", "report.html", (*lab).sweep)},
	{"disk full at every size: run", diskFull("run", "cleaned.pt", (*lab).run)},
	{"disk full at every size: attack", diskFull("attack", "backdoored.pt", (*lab).attack)},
	{"read-only folder: run", readOnly((*lab).run)},
	{"read-only folder: attack", readOnly((*lab).attack)},
	{"read-only folder: sweep", readOnly((*lab).sweep)},
	{"folder vanishes: run", vanishes((*lab).slowRun)},
	{"folder vanishes: attack", vanishes((*lab).slowAttack)},
	{"file system vanishes: run", unmounted((*lab).slowRun)},
	{"worker hangs", hangs},
	{"worker is killed", killed},
	{"worker over its cgroup's memory", overCgroup},
	{"memory limited for the whole process", overLimit},
	{"two runs in one folder", twoRuns},
}
