// Command pace times the sweep of the twelve configs, their models already
// trained, against the same cleanings one by one with all cores each. See "make
// pace".
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ulrl/pipeline/config"
	"ulrl/pipeline/sweep"
)

type options struct {
	ulrl, dir, models, seeds string
	threads                  int
}

func main() {
	var o options
	flag.StringVar(&o.ulrl, "ulrl", "build/ulrl", "the binary")
	flag.StringVar(&o.dir, "dir", "", "where the runs go; a temporary folder where it is empty")
	flag.StringVar(&o.models, "models", "models/sweep", "the models, which are trained if they are not there")
	flag.StringVar(&o.seeds, "seeds", "0", "seeds")
	flag.IntVar(&o.threads, "threads", 2, "threads of each run of those one by one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "pace:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "ulrl-pace-")
		if err != nil {
			return fmt.Errorf("make a folder: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
		o.dir = dir
	}
	args := []string{"sweep"}
	for _, file := range config.Builtins() {
		if file != "base.yaml" && file != "ftrojan.yaml" { // the thirteenth
			args = append(args, file)
		}
	}
	args = append(args, "--seeds", o.seeds, "--models", o.models, "--out")
	if _, err := o.command(ctx, append(args, filepath.Join(o.dir, "models"))); err != nil {
		return err
	}
	together := filepath.Join(o.dir, "sweep")
	wall, err := o.command(ctx, append(args, together))
	if err != nil {
		return err
	}
	_, plan, err := sweep.ReadStore(together)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "| run | one by one, %d threads, s |\n|---|---|\n", o.threads)
	var sum time.Duration
	for _, job := range plan.Jobs {
		if job.Kind == sweep.KindAttack {
			continue
		}
		took, err := o.command(ctx, []string{
			"run", "-c", job.Name + ".yaml", "--set", "seed=" + strconv.FormatUint(job.Seed, 10), "--set", "threads=" + strconv.Itoa(o.threads),
			"--set", "attack.output=" + model(plan, job), "--set", "output=" + filepath.Join(o.dir, "alone", job.ID),
		})
		if err != nil {
			return err
		}
		sum += took
		fmt.Fprintf(out, "| %s, seed %d | %.1f |\n", job.Name, job.Seed, took.Seconds())
	}
	fmt.Fprintf(out, "| all | %.1f |\n\nThe sweep took %.1f s, %.2f times that.\n", sum.Seconds(), wall.Seconds(), wall.Seconds()/sum.Seconds())
	return nil
}

// model is the folder of the model that a job cleans.
func model(p *sweep.Plan, job *sweep.Job) string {
	for _, j := range p.Jobs {
		if j.ID == job.Needs {
			return j.Dir
		}
	}
	return ""
}

// command times one call of ulrl.
func (o options) command(ctx context.Context, args []string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, o.ulrl, append(args, "--quiet")...) //nolint:gosec // the binary that is timed
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	began := time.Now()
	if text, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%s %s: %w: %s", o.ulrl, strings.Join(args, " "), err, strings.TrimSpace(string(text)))
	}
	return time.Since(began), nil
}
