// Command removal cleans the models of "make attacks" by several methods and
// prints the table of docs/results/removal.md. What is there already is not
// cleaned again, so that it can be stopped at any time. See "make removal".
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"ulrl/pipeline/config"
	"ulrl/pipeline/runstore"
)

// methods are what is compared: settings over an attack's config.
var methods = []struct {
	name string
	args []string
}{
	{"published", []string{"--profile", "published"}},
	{"ft", []string{"--profile", "published", "--set", "defense.method=ft", "--set", "relearn.lr=0.01"}},
	{"ft-sam", []string{"--profile", "published", "--set", "defense.method=ft-sam", "--set", "relearn.lr=0.01", "--set", "relearn.rho=2"}},
	{"ulrl", nil},
}

type options struct {
	ulrl, models, out, seeds, attacks, only, clean string
	table                                          bool
}

func main() {
	var o options
	flag.StringVar(&o.ulrl, "ulrl", "build/ulrl", "the binary")
	flag.StringVar(&o.models, "models", "models/table", "the folder of make attacks")
	flag.StringVar(&o.out, "out", "runs/removal", "where the runs go")
	flag.StringVar(&o.seeds, "seeds", "0,1,2", "seeds")
	flag.StringVar(&o.attacks, "attacks", "", "attacks; all where it is empty")
	flag.StringVar(&o.only, "methods", "", "methods; all where it is empty")
	flag.StringVar(&o.clean, "clean", "600", "clean samples")
	flag.BoolVar(&o.table, "table", false, "clean nothing, print the table of what is there")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "removal:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	attacks := list(o.attacks)
	if len(attacks) == 0 {
		for _, file := range config.Builtins() {
			if name := strings.TrimSuffix(file, ".yaml"); name != "base" {
				attacks = append(attacks, name)
			}
		}
	}
	only := list(o.only)
	var columns []string
	got := map[string][]*runstore.Result{} // attack and method
	for _, seed := range list(o.seeds) {
		for _, attack := range attacks {
			for _, m := range methods {
				if len(only) > 0 && !slices.Contains(only, m.name) {
					continue
				}
				r, err := o.result(ctx, attack, seed, m.name, m.args)
				if errors.Is(err, fs.ErrNotExist) {
					continue // no such model, or not cleaned yet
				} else if err != nil {
					return err
				}
				if !slices.Contains(columns, m.name) {
					columns = append(columns, m.name)
				}
				got[attack+" "+m.name] = append(got[attack+" "+m.name], r)
			}
		}
	}
	table(out, attacks, columns, got)
	return nil
}

func list(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' })
}

// result is a finished run's, after it was run if need be.
func (o options) result(ctx context.Context, attack, seed, method string, args []string) (*runstore.Result, error) {
	models := filepath.Join(o.models, attack+"-"+seed)
	if _, err := os.Stat(filepath.Join(models, config.BackdooredFile)); err != nil {
		return nil, err
	}
	dir := filepath.Join(o.out, o.clean, method, attack+"-"+seed)
	if r, err := read(dir); err == nil || o.table {
		return r, err
	}
	args = append([]string{"run", "-c", attack + ".yaml", "--force", "--set", "seed=" + seed, "--set", "clean.count=" + o.clean,
		"--set", "attack.output=" + models, "--set", "output=" + dir}, args...)
	fmt.Fprintln(os.Stderr, o.ulrl, strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, o.ulrl, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s of %s, seed %s: %w", method, attack, seed, err)
	}
	return read(dir)
}

// read is the result of a complete run; any other is as if it were not there.
func read(dir string) (*runstore.Result, error) {
	path := filepath.Join(dir, runstore.FileResult)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &runstore.Result{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.Status != runstore.StatusComplete {
		return nil, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	}
	return r, nil
}

// table prints for each attack what each method left, means over the seeds, and
// the means and worst over the attacks.
func table(out io.Writer, attacks, columns []string, got map[string][]*runstore.Result) {
	fmt.Fprintf(out, "| attack | seeds | ACC, ASR before | %s |\n", strings.Join(columns, " | "))
	fmt.Fprintln(out, strings.Repeat("|---", 3+len(columns))+"|")
	whole := map[string][]*runstore.Result{}
	for _, attack := range attacks {
		var cells []string
		var first []*runstore.Result
		for _, m := range columns {
			runs := got[attack+" "+m]
			whole[m] = append(whole[m], runs...)
			if len(first) < len(runs) {
				first = runs
			}
			cells = append(cells, cell(runs))
		}
		if len(first) > 0 {
			before := fmt.Sprintf("%.3f, %.3f", mean(first, func(r *runstore.Result) float64 { return *r.Before.ACC }),
				mean(first, func(r *runstore.Result) float64 { return *r.Before.ASR }))
			fmt.Fprintf(out, "| %s | %d | %s | %s |\n", attack, len(first), before, strings.Join(cells, " | "))
		}
	}
	var means, worst, seconds []string
	for _, m := range columns {
		runs := whole[m]
		means = append(means, cell(runs))
		worst = append(worst, fmt.Sprintf("%.3f", most(runs, asrAfter)))
		seconds = append(seconds, fmt.Sprintf("%.0f s", mean(runs, func(r *runstore.Result) float64 { return r.Seconds["unlearn"] + r.Seconds["relearn"] })))
	}
	fmt.Fprintf(out, "| **mean** | | | %s |\n| **highest ASR** | | | %s |\n| **defence alone** | | | %s |\n",
		strings.Join(means, " | "), strings.Join(worst, " | "), strings.Join(seconds, " | "))
}

// cell is the change of ACC in points, ASR and RA, with the range of ASR over the
// runs where they differ.
func cell(runs []*runstore.Result) string {
	if len(runs) == 0 {
		return "–"
	}
	change := mean(runs, func(r *runstore.Result) float64 { return 100 * (*r.After.ACC - *r.Before.ACC) })
	ra := mean(runs, func(r *runstore.Result) float64 { return *r.After.RA })
	asr := fmt.Sprintf("%.3f", mean(runs, asrAfter))
	if low, high := -most(runs, func(r *runstore.Result) float64 { return -asrAfter(r) }), most(runs, asrAfter); high-low >= 0.001 {
		asr += fmt.Sprintf(" (%.3f–%.3f)", low, high)
	}
	return fmt.Sprintf("%+.1f, %s, %.3f", change, asr, ra)
}

func asrAfter(r *runstore.Result) float64 { return *r.After.ASR }

func mean(runs []*runstore.Result, of func(*runstore.Result) float64) float64 {
	sum := 0.0
	for _, r := range runs {
		sum += of(r)
	}
	return sum / float64(len(runs))
}

func most(runs []*runstore.Result, of func(*runstore.Result) float64) float64 {
	top := math.Inf(-1)
	for _, r := range runs {
		top = max(top, of(r))
	}
	return top
}
