// Command bench times a training step and an evaluation pass of
// PreActResNet18 through the bridge beside the same work in PyTorch eager, the
// two taking turns in one run, and prints both and the ratio. See bench.sh.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ulrl/pipeline/dataset"
	"ulrl/pipeline/train"
	"ulrl/pipeline/zoo"
	torch "ulrl/torchbridge"
)

type options struct {
	width, batch, threads, rounds, steps, images int
	python, script, device                       string
	first                                        bool
}

func main() {
	var o options
	flag.IntVar(&o.width, "width", 64, "channels of the first stage")
	flag.IntVar(&o.batch, "batch", 128, "images per batch")
	flag.IntVar(&o.threads, "threads", 2, "CPU threads of either side")
	flag.IntVar(&o.rounds, "rounds", 5, "turns of either side; the median counts")
	flag.IntVar(&o.steps, "steps", 4, "training steps per turn")
	flag.IntVar(&o.images, "images", 1024, "images evaluated per turn")
	flag.StringVar(&o.device, "device", "cpu", "cpu or cuda:0")
	flag.StringVar(&o.python, "python", "python3", "a Python whose torch is of the same libtorch")
	flag.StringVar(&o.script, "script", "scripts/bench/eager.py", "the work in PyTorch")
	flag.BoolVar(&o.first, "first", false, "only run one batch, as a process of its own")
	flag.Parse()
	if err := run(o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options, out io.Writer) error {
	ours, err := newBridge(o)
	if err != nil {
		return err
	}
	defer ours.close()
	if o.first {
		return ours.step(1)
	}
	first, err := timeToFirstBatch(o, ours)
	if err != nil {
		return err
	}
	theirs, err := newEager(o)
	if err != nil {
		return err
	}
	defer theirs.close()
	if !strings.HasPrefix(theirs.version, ours.lib.TorchVersion()) {
		fmt.Fprintf(out, "NOTE: not the same libtorch, so this compares versions too\n")
	}
	fmt.Fprintf(out, "PreActResNet18 width %d, batch %d, 3×32×32, channels-last, %s, %d threads; bridge on libtorch %s, eager PyTorch %s\n",
		o.width, o.batch, o.device, o.threads, ours.lib.TorchVersion(), theirs.version)
	works := []struct {
		name   string
		unit   string
		n, per int
		ours   func(int) error
		goal   float64
	}{
		{"step", "ms per training step", o.steps, o.steps, ours.step, 1.0},
		{"eval", "µs per image evaluated", o.images, o.images / o.batch * o.batch, ours.eval, 0.85},
	}
	for _, w := range works {
		mine, eager, err := alternate(o.rounds, func() error { return w.ours(w.n) }, func() (float64, error) { return theirs.ask(w.name, w.n) })
		if err != nil {
			return err
		}
		scale := 1e3 / float64(w.per)
		if w.name == "eval" {
			scale *= 1e3
		}
		fmt.Fprintf(out, "%-24s bridge %9.1f   eager %9.1f   ratio %.3f (goal ≤ %.2f)\n", w.unit, mine*scale, eager*scale, mine/eager, w.goal)
	}
	peak, err := theirs.ask("peak", 0)
	if err != nil {
		return err
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return err
	}
	mib := float64(usage.Maxrss) / 1024
	fmt.Fprintf(out, "%-24s bridge %9.1f   eager %9.1f   ratio %.3f (goal ≤ 1.00)\n", "MiB of memory at peak", mib, peak, mib/peak)
	fmt.Fprintf(out, "%-24s bridge %9.3f   of which the batch itself %.3f (goal ≤ 0.5 beyond it)\n", "s from start, one batch", first.total, first.batch)
	return nil
}

// alternate lets both sides take turns, one turn to warm up first, and returns
// the median seconds of each.
func alternate(rounds int, ours func() error, theirs func() (float64, error)) (mine, eager float64, err error) {
	var a, b []float64
	for round := range rounds + 1 {
		began := time.Now()
		if err := ours(); err != nil {
			return 0, 0, err
		}
		seconds := time.Since(began).Seconds()
		other, err := theirs()
		if err != nil {
			return 0, 0, err
		}
		if round > 0 {
			a, b = append(a, seconds), append(b, other)
		}
	}
	slices.Sort(a)
	slices.Sort(b)
	return a[len(a)/2], b[len(b)/2], nil
}

// bridge is our side.
type bridge struct {
	lib    *torch.Library
	dev    *torch.Device
	keep   *torch.Scope
	model  *torch.Module
	loader *dataset.Loader
	batch  int
}

func newBridge(o options) (*bridge, error) {
	lib, err := torch.Open(nil)
	if err != nil {
		return nil, err
	}
	b := &bridge{lib: lib, batch: o.batch}
	if b.dev, err = lib.Device(o.device, o.threads); err != nil {
		return nil, err
	}
	b.keep = b.dev.NewScope()
	b.loader = dataset.NewLoader(madeUp(1024), dataset.LoaderOptions{
		BatchSize: o.batch,
		Normalise: dataset.Normalisation{Mean: []float64{0.4914, 0.4822, 0.4465}, Std: []float64{0.247, 0.243, 0.261}},
	})
	err = b.dev.Do(context.Background(), func(s *torch.Scope) error {
		made, err := zoo.New(s, zoo.Spec{Name: "preactresnet18", Width: o.width, Channels: 3, Classes: 10})
		if err != nil {
			return err
		}
		if b.model, err = made.CopyTo(b.keep); err != nil {
			return err
		}
		return b.model.ChannelsLast(true)
	})
	return b, err
}

func (b *bridge) close() {
	b.keep.Close()
	b.dev.Close()
}

// batches are so many of a loader's.
type batches struct {
	*dataset.Loader
	n int
}

func (b batches) Batches() int { return b.n }

func (b batches) Batch(s *torch.Scope, epoch, i int) (images, labels *torch.Tensor) {
	return b.Loader.Batch(s, epoch, i%b.Loader.Batches())
}

type silent struct{}

func (silent) Batch(string)            {}
func (silent) Epoch(train.Epoch) error { return nil }

func (b *bridge) step(n int) error {
	plan := train.Plan{
		Phase: "train", Epochs: 1, SGD: torch.SGDOptions{LR: 0.01, Momentum: 0.9, WeightDecay: 5e-4},
		LR: func(int, int) float64 { return 0.01 },
	}
	_, err := train.Run(context.Background(), b.dev, b.model, batches{b.loader, n}, plan, silent{},
		func(s *torch.Scope, opt *torch.Optimizer, t *train.Tally, images, labels *torch.Tensor) error {
			logits := b.model.Forward(images)
			loss := logits.CrossEntropy(labels)
			s.Backward(loss, opt)
			opt.ClipGradNorm(s, 20)
			opt.Step(s)
			return t.Add(s, train.Seen{Logits: logits, Labels: labels, CrossEntropy: loss})
		})
	return err
}

// eval makes the fused copy too, as each evaluation of a run does.
func (b *bridge) eval(n int) error {
	own := b.dev.NewScope()
	defer own.Close()
	var fused *torch.Module
	err := b.dev.Do(context.Background(), func(*torch.Scope) (err error) { fused, err = b.model.ForInference(own); return })
	for i := 0; i < n/b.batch && err == nil; i++ {
		err = b.dev.Do(context.Background(), func(s *torch.Scope) error {
			s.NoGrad(func() {
				x, _ := b.loader.Batch(s, 0, i%b.loader.Batches())
				torch.Values[int64](fused.Forward(x).ArgMaxDim(1))
			})
			return s.Err()
		})
	}
	return err
}

func madeUp(n int) *dataset.Set {
	set := &dataset.Set{Name: "made up", C: 3, H: 32, W: 32, Classes: make([]string, 10)}
	set.Images, set.Labels = make([]uint8, n*3*32*32), make([]int64, n)
	rng := rand.New(rand.NewPCG(0, 0))
	for i := range set.Images {
		set.Images[i] = uint8(rng.UintN(256))
	}
	for i := range set.Labels {
		set.Labels[i] = int64(rng.IntN(10))
	}
	return set
}

// eager is the other side, a Python process that answers line by line.
type eager struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	version string
}

func newEager(o options) (*eager, error) {
	cmd := exec.Command(o.python, o.script, strconv.Itoa(o.width), strconv.Itoa(o.batch), strconv.Itoa(o.threads), o.device)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", o.python, err)
	}
	e := &eager{cmd: cmd, in: in, out: bufio.NewScanner(out)}
	if !e.out.Scan() {
		return nil, fmt.Errorf("%s %s ended at once", o.python, o.script)
	}
	e.version = e.out.Text()
	return e, nil
}

func (e *eager) ask(command string, n int) (float64, error) {
	if _, err := fmt.Fprintln(e.in, command, n); err != nil {
		return 0, fmt.Errorf("ask PyTorch: %w", err)
	}
	if !e.out.Scan() {
		return 0, fmt.Errorf("PyTorch ended on %q", command)
	}
	return strconv.ParseFloat(strings.TrimSpace(e.out.Text()), 64)
}

func (e *eager) close() {
	_ = e.in.Close()
	_ = e.cmd.Wait()
}

type firstBatch struct{ total, batch float64 }

// timeToFirstBatch runs this program anew for one batch, three times, and
// compares with that batch on a warm process.
func timeToFirstBatch(o options, warm *bridge) (firstBatch, error) {
	var totals []float64
	for range 3 {
		began := time.Now()
		cmd := exec.Command(os.Args[0], "-first", "-width", strconv.Itoa(o.width), "-batch", strconv.Itoa(o.batch),
			"-threads", strconv.Itoa(o.threads), "-device", o.device)
		cmd.Stderr = os.Stderr
		if err := cmd.Run(); err != nil {
			return firstBatch{}, fmt.Errorf("run one batch: %w", err)
		}
		totals = append(totals, time.Since(began).Seconds())
	}
	slices.Sort(totals)
	if err := warm.step(1); err != nil {
		return firstBatch{}, err
	}
	began := time.Now()
	err := warm.step(1)
	return firstBatch{total: totals[1], batch: time.Since(began).Seconds()}, err
}
