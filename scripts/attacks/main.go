// Command attacks trains every attack of configs/ over seeds, one after the
// other, and prints the table of docs/results/attacks-fashion-mnist.md. What is
// there already is not trained again, so that it can be stopped at any time. See
// "make attacks".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"ulrl/pipeline"
	"ulrl/scripts/internal/batch"
)

type options struct {
	ulrl, dir, seeds, names, profile string
	sets                             batch.Sets
	table                            bool
}

// modelsDir is where the models of the configs as they are go.
const modelsDir = "models/table"

func main() {
	var o options
	flag.StringVar(&o.ulrl, "ulrl", "build/ulrl", "the binary")
	flag.StringVar(&o.dir, "dir", modelsDir, "where the models go")
	flag.StringVar(&o.seeds, "seeds", "0,1,2", "seeds")
	flag.StringVar(&o.names, "attacks", "", "attacks; all where it is empty")
	flag.StringVar(&o.profile, "profile", "", "profile of data and scale, as ulrl's")
	flag.Var(&o.sets, "set", "`KEY=VALUE` over every attack's settings; name a -dir too (repeatable)")
	flag.BoolVar(&o.table, "table", false, "train nothing, print the table of what is there")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "attacks:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	if len(o.sets) > 0 && o.dir == modelsDir {
		return errors.New("-set: name a -dir of its own too")
	}
	names := batch.Attacks(o.names)
	seeds := batch.List(o.seeds)
	for _, seed := range seeds { // a whole column first, so that a table is there early
		for _, name := range names {
			if _, err := pipeline.ReadAttack(o.folder(name, seed)); o.table || err == nil {
				continue
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if err := o.train(ctx, name, seed); err != nil {
				return err
			}
		}
	}
	fmt.Fprintln(out, "| attack | seeds | ACC | ASR | ASR of each seed | ASR on a clean model | minutes | CPU minutes | peak MB |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|")
	for _, name := range names {
		if err := o.row(out, name, seeds); err != nil {
			return err
		}
	}
	return nil
}

func (o options) folder(name, seed string) string { return filepath.Join(o.dir, name+"-"+seed) }

func (o options) train(ctx context.Context, name, seed string) error {
	args := []string{"attack", "-c", name + ".yaml", "--control", "--resume", "--set", "seed=" + seed, "--set", "attack.output=" + o.folder(name, seed)}
	args = append(args, batch.Arguments(o.sets...)...)
	if o.profile != "" {
		args = append(args, "--profile", o.profile)
	}
	if err := batch.Run(ctx, o.ulrl, args...); err != nil {
		return fmt.Errorf("attack %s, seed %s: %w", name, seed, err)
	}
	return nil
}

// row is the mean over the seeds that are there.
func (o options) row(out io.Writer, name string, seeds []string) error {
	var acc, asr, control, minutes, cpu, peak []float64
	var each []string
	for _, seed := range seeds {
		r, err := pipeline.ReadAttack(o.folder(name, seed))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		acc, asr = append(acc, *r.Scores.ACC), append(asr, *r.Scores.ASR)
		each = append(each, fmt.Sprintf("%.3f", *r.Scores.ASR))
		minutes, cpu = append(minutes, r.Seconds/60), append(cpu, r.CPU/60)
		peak = append(peak, float64(r.PeakBytes)/1e6)
		if r.Control != nil {
			control = append(control, *r.Control.ASR)
		}
	}
	if len(acc) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(out, "| %s | %d | %s | %s | %s | %s | %.1f | %.1f | %.0f |\n", name, len(acc),
		spread(acc), spread(asr), strings.Join(each, " "), spread(control), mean(minutes), mean(cpu), mean(peak))
	return err
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// spread is the mean ± standard deviation of a sample.
func spread(values []float64) string {
	if len(values) == 0 {
		return "–"
	}
	m, sum := mean(values), 0.0
	for _, v := range values {
		sum += (v - m) * (v - m)
	}
	if len(values) == 1 {
		return fmt.Sprintf("%.3f", m)
	}
	return fmt.Sprintf("%.3f ± %.3f", m, math.Sqrt(sum/float64(len(values)-1)))
}
