// Command kills starts a small sweep on real data again and again, and kills it, one
// of its runs or the confined process of a run, all with SIGKILL, at moments drawn by a seed. What the
// sweep comes to must be what one that nobody disturbs comes to: each run there
// once, whole, with the same numbers. See "make kills".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ulrl/pipeline/metrics"
	"ulrl/pipeline/runstore"
	"ulrl/pipeline/sweep"
)

type options struct {
	ulrl, dir string
	kills     int
	within    time.Duration
	seed      uint64
	args      []string
}

func main() {
	var o options
	flag.StringVar(&o.ulrl, "ulrl", "build/ulrl", "the binary")
	flag.StringVar(&o.dir, "dir", "", "where the sweeps go; a temporary folder where it is empty")
	flag.IntVar(&o.kills, "kills", 20, "so many")
	flag.DurationVar(&o.within, "within", 2*time.Second, "each after at most so long")
	flag.Uint64Var(&o.seed, "seed", 1, "of the moments and the victims")
	flag.Parse()
	o.args = flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kills:", err)
		os.Exit(1)
	}
}

// small is a sweep of seconds.
var small = []string{
	"configs/badnets.yaml", "configs/blended.yaml", "--seeds", "0,1", "--grid", "relearn.lr=0.005,0.01",
	"--set", "attack.arch.name=resnet18", "--set", "attack.arch.width=4", "--set", "attack.train.samples=512", "--set", "attack.train.epochs=2", "--set", "threads=1",
	"--set", "unlearn.epochs=2", "--set", "relearn.epochs=2", "--set", "relearn.attempts=1", "--set", "clean.count=100", "--set", "data.test=none", "--retries", "0",
}

func run(ctx context.Context, o options, out io.Writer) error {
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "ulrl-kills-")
		if err != nil {
			return fmt.Errorf("make a folder: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		o.dir = dir
	}
	began := time.Now()
	if err := o.command(ctx, "calm").Run(); err != nil {
		return fmt.Errorf("the sweep that nobody disturbs: %w; see %s", err, o.log("calm"))
	}
	fmt.Fprintf(out, "undisturbed: %.0f s\n", time.Since(began).Seconds())
	calm, err := read(filepath.Join(o.dir, "calm"))
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(o.seed, 0)) //nolint:gosec // moments to kill at, not secrets
	counts := map[string]int{}
	for round, left := 1, o.kills; left > 0; round++ {
		name := fmt.Sprintf("round-%d", round)
		killed, err := o.round(ctx, name, left, r, counts)
		if err != nil {
			return fmt.Errorf("%s: %w; see %s", name, err, o.log(name))
		}
		left -= killed
		got, err := read(filepath.Join(o.dir, name))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := same(calm, got); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(out, "%s: %d kills, %d runs as if there had been none\n", name, killed, len(got))
	}
	fmt.Fprintf(out, "%d kills of sweeps, %d of runs, %d of confined processes, in %.0f s: nothing lost, nothing twice, nothing changed\n",
		counts["sweep"], counts["run"], counts["model"], time.Since(began).Seconds())
	return nil
}

func (o options) log(name string) string { return filepath.Join(o.dir, name+".log") }

// command is the sweep, with its output in a log.
func (o options) command(ctx context.Context, name string) *exec.Cmd {
	args := append([]string{"sweep"}, small...)
	args = append(args, "--out", filepath.Join(o.dir, name), "--models", filepath.Join(o.dir, name+"-models"))
	cmd := exec.CommandContext(ctx, o.ulrl, append(args, o.args...)...) //nolint:gosec // the binary under test
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if log, err := os.OpenFile(o.log(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
		cmd.Stdout, cmd.Stderr = log, log
	}
	return cmd
}

// victims start each other in this order.
var victims = []string{"sweep", "run", "model"}

// round brings one sweep to its end, with at most so many kills on the way.
func (o options) round(ctx context.Context, name string, most int, r *rand.Rand, counts map[string]int) (kills int, err error) {
	for ctx.Err() == nil {
		calm := kills == most
		cmd := o.command(ctx, name)
		if err := cmd.Start(); err != nil {
			return kills, fmt.Errorf("start %s: %w", o.ulrl, err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		var end error
		for over := false; !over; {
			wait := time.Duration(r.Int64N(int64(o.within)))
			victim := r.IntN(len(victims))
			if kills == most {
				wait = time.Hour
			}
			select {
			case end = <-ended:
				over = true
			case <-time.After(wait):
				pid := cmd.Process.Pid
				for range victim {
					pid = child(pid)
				}
				if pid != 0 && syscall.Kill(pid, syscall.SIGKILL) == nil {
					kills++
					counts[victims[victim]]++
				}
			}
		}
		var exit *exec.ExitError
		switch {
		case end == nil:
			return kills, nil
		case !errors.As(end, &exit):
			return kills, fmt.Errorf("wait for %s: %w", o.ulrl, end)
		case exit.ExitCode() > 1: // misuse: it would be so again
			return kills, end
		case calm: // nobody disturbed this one
			return kills, end
		}
	}
	return kills, ctx.Err()
}

// child is a process that pid started, 0 where there is none.
func child(pid int) int {
	if pid == 0 {
		return 0
	}
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for word := range strings.FieldsSeq(string(text)) {
			if n, err := strconv.Atoi(word); err == nil {
				return n
			}
		}
	}
	return 0
}

// numbers are what a run came to.
type numbers struct {
	Before, After metrics.Scores
	Suspicious    []runstore.Neuron
	Neurons       string // neurons.csv
}

// read takes every run of a finished sweep, by ID; one that is missing, twice or
// damaged is an error.
func read(dir string) (map[string]numbers, error) {
	_, plan, err := sweep.ReadStore(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(dir, "runs"))
	if err != nil {
		return nil, fmt.Errorf("read the runs: %w", err)
	}
	runs := map[string]numbers{}
	for _, job := range plan.Jobs {
		if job.Kind == sweep.KindAttack {
			continue
		}
		result, err := runstore.ReadResult(job.Dir)
		if err != nil {
			return nil, err
		}
		if result.Status != runstore.StatusComplete {
			return nil, fmt.Errorf("%s is %s", job.Dir, result.Status)
		}
		if err := runstore.CheckFiles(job.Dir, runstore.FileResult); err != nil {
			return nil, err
		}
		neurons, err := os.ReadFile(filepath.Join(job.Dir, runstore.FileNeurons))
		if err != nil {
			return nil, fmt.Errorf("read the neurons: %w", err)
		}
		runs[job.ID] = numbers{result.Before, result.After, result.Suspicious, string(neurons)}
		files, err := os.ReadDir(job.Dir)
		if err != nil {
			return nil, fmt.Errorf("read a run: %w", err)
		}
		for _, file := range files {
			if strings.HasPrefix(file.Name(), ".") || strings.Contains(file.Name(), "tmp") {
				return nil, fmt.Errorf("%s was left behind in %s", file.Name(), job.Dir)
			}
		}
	}
	if len(runs) != len(entries) {
		return nil, fmt.Errorf("%s: %d folders for %d runs", dir, len(entries), len(runs))
	}
	return runs, nil
}

func same(want, got map[string]numbers) error {
	if len(want) != len(got) {
		return fmt.Errorf("%d runs, wanted %d", len(got), len(want))
	}
	for id, numbers := range want {
		if !reflect.DeepEqual(numbers, got[id]) {
			return fmt.Errorf("%s came to %+v, undisturbed to %+v", id, got[id], numbers)
		}
	}
	return nil
}
