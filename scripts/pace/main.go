// Command pace times the sweep of the twelve configs, over models that "make
// attacks" has trained, against the same cleanings one by one with all cores each.
// See "make pace".
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
)

// prefix of the configs that are written.
const prefix = "trained-"

type options struct {
	ulrl, dir, models, seed string
	threads                 int
}

func main() {
	var o options
	flag.StringVar(&o.ulrl, "ulrl", "build/ulrl", "the binary")
	flag.StringVar(&o.dir, "dir", "", "where the runs go; a temporary folder where it is empty")
	flag.StringVar(&o.models, "models", "models/table", "the models, NAME-SEED each, as make attacks leaves them")
	flag.StringVar(&o.seed, "seed", "0", "seed")
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
	configs, err := o.configs()
	if err != nil {
		return err
	}
	args := append([]string{"sweep"}, configs...)
	wall, err := o.command(ctx, append(args, "--seeds", o.seed, "--out", filepath.Join(o.dir, "sweep")))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "| run | one by one, %d threads, s |\n|---|---|\n", o.threads)
	var sum time.Duration
	for _, file := range configs {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), prefix), ".yaml")
		took, err := o.command(ctx, []string{
			"run", "-c", file, "--set", "seed=" + o.seed, "--set", "threads=" + strconv.Itoa(o.threads),
			"--set", "output=" + filepath.Join(o.dir, "alone", name),
		})
		if err != nil {
			return err
		}
		sum += took
		fmt.Fprintf(out, "| %s | %.1f |\n", name, took.Seconds())
	}
	fmt.Fprintf(out, "| all | %.1f |\n\nThe sweep took %.1f s, %.2f times that.\n", sum.Seconds(), wall.Seconds(), wall.Seconds()/sum.Seconds())
	return nil
}

// configs writes one for each attack but the thirteenth, which names its model.
func (o options) configs() ([]string, error) {
	models, err := filepath.Abs(o.models)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, builtin := range config.Builtins() {
		name := strings.TrimSuffix(builtin, ".yaml")
		if name == "base" || name == "ftrojan" {
			continue
		}
		folder := filepath.Join(models, name+"-"+o.seed)
		model := filepath.Join(folder, config.BackdooredFile)
		if _, err := os.Stat(model); err != nil {
			return nil, fmt.Errorf("%w: make attacks trains it", err)
		}
		file := filepath.Join(o.dir, prefix+builtin) // of its own name: it would extend itself
		text := fmt.Sprintf("extends: %s\nmodel: {path: %q}\nattack: {output: %q}\n", builtin, model, folder)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
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
