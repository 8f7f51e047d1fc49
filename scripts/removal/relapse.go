package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ulrl/pipeline"
	"ulrl/pipeline/runstore"
	"ulrl/scripts/internal/batch"
)

// How a cleaned model is tuned, to see whether its backdoor was hidden and not
// removed (arXiv 2410.09838): plainly, on clean samples of which some carry the
// trigger.
const (
	relapseEpochs = "10"
	relapseEvery  = "2"  // epochs between measurements
	relapseDraw   = 1000 // added to the seed: other samples than it was cleaned on
)

// innocent is the column of the model that never had a backdoor: what a few
// poisoned samples do by themselves.
const innocent = "never backdoored"

// relapses prints how much of the backdoors comes back: a row for each attack and
// method, a column for each number of poisoned samples.
func (o options) relapses(ctx context.Context, out io.Writer, attacks []string) error {
	counts := batch.List(o.relapse)
	if len(counts) == 0 {
		return fmt.Errorf("-relapse: %q names no number of poisoned samples", o.relapse)
	}
	columns := o.columns()
	if o.innocent != "" {
		if _, err := os.Stat(o.innocent); err != nil {
			return fmt.Errorf("-innocent: %w", err)
		}
		columns = append(columns, innocent)
	}
	fmt.Fprintf(out, "| attack | model | ASR cleaned | %s |\n", strings.Join(counts, " poisoned | ")+" poisoned")
	fmt.Fprintln(out, strings.Repeat("|---", 3+len(counts))+"|")
	whole := map[string][]tuning{} // by column and count
	for _, attack := range attacks {
		for _, column := range columns {
			var cells []string
			var first []tuning
			for _, count := range counts {
				tunings, err := o.tunings(ctx, attack, column, count)
				if err != nil {
					return err
				}
				if len(first) == 0 {
					first = tunings
				}
				whole[column+count] = append(whole[column+count], tunings...)
				cells = append(cells, tuningCell(tunings))
			}
			if len(first) > 0 {
				fmt.Fprintf(out, "| %s | %s | %.3f | %s |\n", attack, column, mean(first, tuning.before), strings.Join(cells, " | "))
			}
		}
	}
	for _, column := range columns {
		var cells []string
		for _, count := range counts {
			cells = append(cells, tuningCell(whole[column+count]))
		}
		if all := whole[column+counts[0]]; len(all) > 0 {
			fmt.Fprintf(out, "| **mean** | %s | %.3f | %s |\n", column, mean(all, tuning.before), strings.Join(cells, " | "))
		}
	}
	return nil
}

// tuning is a cleaned model's fine-tuning.
type tuning struct {
	result   *runstore.Result
	measures []runstore.MeasureEvent
}

func (t tuning) before() float64 { return *t.result.Before.ASR }
func (t tuning) first() float64  { return *t.measures[0].Scores.ASR }
func (t tuning) last() float64   { return *t.result.After.ASR }

// tunings are those of one attack over the seeds, after they were run if need be;
// where there is no cleaned model there is none.
func (o options) tunings(ctx context.Context, attack, column, count string) ([]tuning, error) {
	var found []tuning
	for _, seed := range batch.List(o.seeds) {
		cleaned := filepath.Join(o.dir(column, attack, seed), runstore.FileCleaned)
		if column == innocent {
			cleaned = o.innocent
		}
		if _, err := os.Stat(cleaned); err != nil {
			continue
		}
		if _, err := pipeline.ReadAttack(o.model(attack, seed)); errors.Is(err, fs.ErrNotExist) {
			continue // its trigger is needed
		} else if err != nil {
			return nil, err
		}
		draw, err := strconv.Atoi(seed)
		if err != nil {
			return nil, fmt.Errorf("-seeds: %w", err)
		}
		j := job{attack: attack, seed: seed, method: "ft", dir: filepath.Join(o.out, o.clean, "relapse", strings.ReplaceAll(column, " ", "-"), attack+"-"+seed+"-"+count)}
		j.sets = []string{"model.path=" + cleaned, "clean.poisoned=" + count,
			"clean.balanced=true", // clean-label attacks poison images of one class alone
			"seed=" + strconv.Itoa(draw+relapseDraw), "relearn.epochs=" + relapseEpochs, "relearn.eval_every=" + relapseEvery}
		t := tuning{}
		if t.result, err = o.result(ctx, j); errors.Is(err, fs.ErrNotExist) {
			continue // -table, and not done
		} else if err != nil {
			return nil, err
		}
		if t.measures, err = runstore.ReadMeasures(j.dir); err != nil {
			return nil, err
		}
		found = append(found, t)
	}
	return found, nil
}

// tuningCell is ASR at the first measurement and at the end.
func tuningCell(tunings []tuning) string {
	if len(tunings) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.3f, %.3f", mean(tunings, tuning.first), mean(tunings, tuning.last))
}
