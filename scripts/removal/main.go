// Command removal cleans the models of "make attacks" by several methods and
// prints the tables of docs/results/removal-tables.md; with -relapse those of how much
// comes back. What is there already is not done again, so that it can be stopped
// at any time. See "make removal" and "make relapse".
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
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"ulrl/pipeline"
	"ulrl/pipeline/runstore"
	"ulrl/scripts/internal/batch"
)

// methods are what is compared, in this order.
var methods = []string{"published", "ft", "ft-sam", "ulrl"}

// settings are the methods' own, over an attack's config.
var settings = map[string]struct {
	profile string
	sets    []string
}{
	"published": {"published", nil},
	"ft":        {"published", []string{"defense.method=ft", "relearn.lr=0.01"}},
	"ft-sam":    {"published", []string{"defense.method=ft-sam", "relearn.lr=0.01", "relearn.rho=2"}},
	"ulrl":      {},
}

// What the flags are by themselves.
const (
	modelsDir  = "models/table"
	runsDir    = "runs/removal"
	cleanCount = "600"
)

type options struct {
	ulrl, models, out, profile, seeds, attacks, only, clean, relapse, innocent string
	sets                                                                       batch.Sets
	table                                                                      bool
}

// columns are the methods asked for.
func (o options) columns() []string {
	if only := batch.List(o.only); len(only) > 0 {
		return only
	}
	return methods
}

// model is the folder of an attack's model.
func (o options) model(attack, seed string) string {
	return filepath.Join(o.models, attack+"-"+seed)
}

// dir is the run directory of a method on an attack's model.
func (o options) dir(method, attack, seed string) string {
	return filepath.Join(o.out, o.clean, method, attack+"-"+seed)
}

func main() {
	var o options
	flag.StringVar(&o.ulrl, "ulrl", "build/ulrl", "the binary")
	flag.StringVar(&o.models, "models", modelsDir, "the folder of make attacks")
	flag.StringVar(&o.out, "out", runsDir, "where the runs go")
	flag.StringVar(&o.profile, "profile", "", "profile of data and scale, as ulrl's")
	flag.StringVar(&o.seeds, "seeds", "0,1,2", "seeds")
	flag.StringVar(&o.attacks, "attacks", "", "attacks; all where it is empty")
	flag.StringVar(&o.only, "methods", "", "methods; all where it is empty")
	flag.StringVar(&o.clean, "clean", cleanCount, "clean samples")
	flag.Var(&o.sets, "set", "`KEY=VALUE` over every method's settings; name an -out too (repeatable)")
	flag.StringVar(&o.relapse, "relapse", "", "numbers of poisoned samples on which the cleaned models are fine-tuned, to see what comes back")
	flag.StringVar(&o.innocent, "innocent", "", "a model without backdoor, fine-tuned beside them")
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
	attacks := batch.Attacks(o.attacks)
	for _, m := range o.columns() {
		if !slices.Contains(methods, m) {
			return fmt.Errorf("-methods: there is no %q, only %s", m, strings.Join(methods, ", "))
		}
	}
	if o.profile != "" && (o.models == modelsDir || o.out == runsDir || o.clean == cleanCount) {
		return errors.New("-profile: name -models, -out and -clean of that profile too")
	}
	if len(o.sets) > 0 && o.out == runsDir {
		return errors.New("-set: name an -out of its own too")
	}
	if o.relapse != "" {
		return o.relapses(ctx, out, attacks)
	}
	var columns []string
	got := map[string][]*runstore.Result{} // attack and method
	control := map[string][]float64{}      // attack
	for _, seed := range batch.List(o.seeds) {
		for _, attack := range attacks {
			made, err := pipeline.ReadAttack(o.model(attack, seed))
			if errors.Is(err, fs.ErrNotExist) {
				continue // no such model
			} else if err != nil {
				return err
			}
			found := false
			for _, m := range o.columns() {
				r, err := o.result(ctx, job{attack, seed, m, o.dir(m, attack, seed), nil})
				if errors.Is(err, fs.ErrNotExist) {
					continue // not cleaned yet
				} else if err != nil {
					return err
				}
				if !slices.Contains(columns, m) {
					columns = append(columns, m)
				}
				got[attack+" "+m], found = append(got[attack+" "+m], r), true
			}
			if found && made.Control != nil {
				control[attack] = append(control[attack], *made.Control.ASR)
			}
		}
	}
	table(out, attacks, columns, got, control)
	return nil
}

// job is a run of a method on the model of an attack and seed, with settings over
// the method's.
type job struct {
	attack, seed, method, dir string
	sets                      []string
}

// result is a finished run's, after it was run if need be.
func (o options) result(ctx context.Context, j job) (*runstore.Result, error) {
	if r, err := read(j.dir); err == nil || o.table {
		return r, err
	}
	method := settings[j.method]
	args := []string{"run", "-c", j.attack + ".yaml", "--force"}
	if profiles := strings.Trim(o.profile+","+method.profile, ","); profiles != "" {
		args = append(args, "--profile", profiles)
	}
	sets := []string{"seed=" + j.seed, "clean.count=" + o.clean, "attack.output=" + o.model(j.attack, j.seed), "output=" + j.dir}
	args = append(args, batch.Arguments(slices.Concat(sets, method.sets, j.sets, o.sets)...)...)
	if err := batch.Run(ctx, o.ulrl, args...); err != nil {
		return nil, fmt.Errorf("%s: %w", j.dir, err)
	}
	return read(j.dir)
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
// the means and worst over the attacks; beside them ASR of the same triggers on
// models that never had a backdoor.
func table(out io.Writer, attacks, columns []string, got map[string][]*runstore.Result, control map[string][]float64) {
	fmt.Fprintf(out, "| attack | seeds | ACC, ASR before | ASR on a clean model | %s |\n", strings.Join(columns, " | "))
	fmt.Fprintln(out, strings.Repeat("|---", 4+len(columns))+"|")
	whole := map[string][]*runstore.Result{}
	var controls []float64
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
			controls = append(controls, control[attack]...)
			fmt.Fprintf(out, "| %s | %d | %.3f, %.3f | %s | %s |\n", attack, len(first), mean(first, accBefore), mean(first, asrBefore),
				share(control[attack], mean), strings.Join(cells, " | "))
		}
	}
	var means, worst, seconds []string
	for _, m := range columns {
		runs := whole[m]
		means = append(means, cell(runs))
		worst = append(worst, fmt.Sprintf("%.3f", most(runs, asrAfter)))
		seconds = append(seconds, fmt.Sprintf("%.0f s", median(runs, func(r *runstore.Result) float64 {
			return r.Seconds["unlearn"] + r.Seconds["suspect"] + r.Seconds["relearn"]
		})))
	}
	fmt.Fprintf(out, "| **mean** | | | %s | %s |\n| **highest ASR** | | | %s | %s |\n| **defence alone** | | | | %s |\n",
		share(controls, mean), strings.Join(means, " | "), share(controls, most), strings.Join(worst, " | "), strings.Join(seconds, " | "))
}

// share is what a function makes of shares, as text.
func share(all []float64, of func([]float64, func(float64) float64) float64) string {
	if len(all) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3f", of(all, func(v float64) float64 { return v }))
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

func accBefore(r *runstore.Result) float64 { return *r.Before.ACC }
func asrBefore(r *runstore.Result) float64 { return *r.Before.ASR }
func asrAfter(r *runstore.Result) float64  { return *r.After.ASR }

func mean[T any](all []T, of func(T) float64) float64 {
	sum := 0.0
	for _, one := range all {
		sum += of(one)
	}
	return sum / float64(len(all))
}

func median[T any](all []T, of func(T) float64) float64 {
	values := make([]float64, len(all))
	for i, one := range all {
		values[i] = of(one)
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func most[T any](all []T, of func(T) float64) float64 {
	top := math.Inf(-1)
	for _, one := range all {
		top = max(top, of(one))
	}
	return top
}
