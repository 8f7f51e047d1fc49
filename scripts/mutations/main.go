// Command mutations damages model files at random and gives each to ulrl: to the
// gate first, and what that lets pass to "ulrl inspect", which loads and runs it
// confined. Each must end in a verdict within its time: a model that was read, or
// one line that says why not. See "make mutations".
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"ulrl/pipeline/gate"
)

type options struct {
	ulrl, keep  string
	count, jobs int
	seed        uint64
	limit       time.Duration
	models      []string
}

func main() {
	var o options
	flag.StringVar(&o.ulrl, "ulrl", "build/ulrl", "the binary")
	flag.StringVar(&o.keep, "keep", "", "folder for files that got no verdict; a temporary one where it is empty")
	flag.IntVar(&o.count, "n", 1000, "mutations")
	flag.IntVar(&o.jobs, "jobs", 1, "at once")
	flag.Uint64Var(&o.seed, "seed", 1, "of the mutations; each has one of its own, counted up from this")
	flag.DurationVar(&o.limit, "limit", 20*time.Second, "for each")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "mutations [flags] [MODEL…]: of these model files; of three that it makes where none is named")
		flag.PrintDefaults()
	}
	flag.Parse()
	o.models, o.jobs = flag.Args(), max(1, o.jobs)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutations:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	dir, err := os.MkdirTemp("", "ulrl-mutations-")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if o.keep == "" {
		if o.keep, err = os.MkdirTemp("", "ulrl-no-verdict-"); err != nil {
			return fmt.Errorf("make a folder: %w", err)
		}
		defer func() { _ = os.Remove(o.keep) }() // where there is nothing in it
	}
	if len(o.models) == 0 {
		if o.models, err = o.make(ctx, dir); err != nil {
			return err
		}
	}
	var models []*archive
	for _, path := range o.models {
		data, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("read a model: %w", err)
		}
		if _, err := gate.Check(data); err != nil {
			return fmt.Errorf("%s does not pass as it is: %w", path, err)
		}
		a, err := open(data)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		models = append(models, a)
	}
	began := time.Now()
	t := tally{counts: map[string]int{}}
	numbers := make(chan uint64)
	var workers sync.WaitGroup
	for job := range o.jobs {
		workers.Go(func() {
			for n := range numbers {
				t.add(o.one(ctx, models, n, filepath.Join(dir, fmt.Sprintf("mutation-%d.pt", job))))
			}
		})
	}
	for i := 0; i < o.count && ctx.Err() == nil; i++ {
		numbers <- o.seed + uint64(i) //nolint:gosec // counts up from 0
	}
	close(numbers)
	workers.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, what := range slices.Sorted(maps.Keys(t.counts)) {
		fmt.Fprintf(out, "%7d  %s\n", t.counts[what], what)
	}
	fmt.Fprintf(out, "%7d  without a verdict\n%d mutations of %d models in %.0f s, the slowest %.1f s\n",
		len(t.failures), o.count, len(models), time.Since(began).Seconds(), t.slowest.Seconds())
	if len(t.failures) > 0 {
		return fmt.Errorf("%d files got no verdict, they are in %s: %w", len(t.failures), o.keep, errors.Join(t.failures...))
	}
	return nil
}

// make has ulrl train three small models of different kinds.
func (o options) make(ctx context.Context, dir string) ([]string, error) {
	var paths []string
	for _, arch := range []string{"preactresnet18=4", "mobilenet_v3_large=8", "vit_b_16=64"} {
		name, width, _ := strings.Cut(arch, "=")
		folder := filepath.Join(dir, name)
		cmd := exec.CommandContext(ctx, o.ulrl, "attack", "-c", "badnets.yaml", "--set", "attack.output="+folder, //nolint:gosec // the binary under test
			"--set", "attack.arch.name="+name, "--set", "attack.arch.width="+width, "--set", "attack.train.samples=32",
			"--set", "attack.train.epochs=1", "--set", "data.test=none", "--set", "clean.count=10", "--set", "threads=1")
		if text, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("make a model of %s: %w: %s", name, err, text)
		}
		paths = append(paths, filepath.Join(folder, "backdoored.pt"))
	}
	return paths, nil
}

// tally counts verdicts by kind.
type tally struct {
	mu       sync.Mutex
	counts   map[string]int
	failures []error
	slowest  time.Duration
}

func (t *tally) add(kind string, took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.failures = append(t.failures, err)
		return
	}
	t.counts[kind]++
	t.slowest = max(t.slowest, took)
}

// one makes the mutation of a seed and has it judged; what gets no verdict is kept.
func (o options) one(ctx context.Context, models []*archive, seed uint64, path string) (kind string, took time.Duration, err error) {
	m := mutator{rand.New(rand.NewPCG(seed, 0)), models} //nolint:gosec // damage, not secrets
	data, err := m.mutation()
	if err != nil {
		return "", 0, fmt.Errorf("mutation %d: %w", seed, err)
	}
	began := time.Now()
	kind, err = o.judge(ctx, data, path)
	took = time.Since(began)
	if err == nil && took > o.limit+5*time.Second {
		err = fmt.Errorf("it took %s", took)
	}
	if err != nil {
		err = fmt.Errorf("mutation %d: %w", seed, err)
		if kept := os.WriteFile(filepath.Join(o.keep, fmt.Sprintf("%d.pt", seed)), data, 0o600); kept != nil {
			err = errors.Join(err, kept)
		}
	}
	return kind, took, err
}

func (o options) judge(ctx context.Context, data []byte, path string) (kind string, err error) {
	passed, err := check(data)
	if err != nil || !passed {
		return "refused by the gate", err
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return "", fmt.Errorf("write the mutation: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit+time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, o.ulrl, "inspect", path, "--json", "--log-level", "error", "--time-limit", o.limit.String()) //nolint:gosec // the binary under test
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	if ctx.Err() != nil {
		return "", fmt.Errorf("ulrl inspect did not end: %w", ctx.Err())
	}
	text := strings.TrimSuffix(stderr.String(), "\n")
	var exit *exec.ExitError
	switch {
	case err == nil:
		if !json.Valid(stdout.Bytes()) {
			return "", fmt.Errorf("ulrl inspect printed no JSON: %q", stdout.String())
		}
		return "loaded and run", nil
	case !errors.As(err, &exit):
		return "", fmt.Errorf("run %s: %w", o.ulrl, err)
	case strings.Contains(text, "the worker crashed (panic:"): // a fault of ours, not of libtorch's
		return "", fmt.Errorf("ulrl inspect: %s", text)
	case exit.ExitCode() != 1 && exit.ExitCode() != 2, strings.Contains(text, "\n"), !strings.HasPrefix(text, "ulrl: "):
		return "", fmt.Errorf("ulrl inspect ended with %w and %q", err, text)
	}
	for _, known := range []struct{ part, kind string }{
		{"the worker was ended", "over its time: ended"},
		{"out of memory", "over its memory: ended"},
		{"the worker crashed", "crashed libtorch, in its worker"},
		{"was stopped: do not use", "stopped by the sandbox"},
	} {
		if strings.Contains(text, known.part) {
			return known.kind, nil
		}
	}
	return "refused when loaded or run", nil
}

// check gives a file to the gate, whose panics have no other way to tell which one.
func check(data []byte) (passed bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the gate panicked: %v", p)
		}
	}()
	_, verdict := gate.Check(data)
	if verdict == nil {
		return true, nil
	}
	if !errors.As(verdict, new(*gate.Refused)) || strings.ContainsFunc(verdict.Error(), func(r rune) bool { return r < ' ' }) {
		return false, fmt.Errorf("the gate did not refuse in one line: %w", verdict)
	}
	return false, nil
}
