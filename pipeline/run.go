package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"ulrl/pipeline/attack"
	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/defense"
	"ulrl/pipeline/metrics"
	"ulrl/pipeline/model"
	"ulrl/pipeline/report"
	"ulrl/pipeline/runstore"
	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// RunOptions of Run.
type RunOptions struct {
	Force bool // start a finished run anew
}

// Run cleans the model that c names and writes the run directory c.Output. The
// result is nil where the run could not begin; else it says how it ended, also
// beside an error.
func Run(ctx context.Context, c *config.Config, env Env, o RunOptions) (*runstore.Result, error) {
	// Whatever can be wrong with the inputs is found before the directory is
	// touched: an earlier run in it stays.
	file, err := model.ReadFile(c.ModelPath())
	if err != nil {
		if _, statErr := os.Stat(c.ModelPath()); c.Model.Path == "" && errors.Is(statErr, fs.ErrNotExist) {
			err = fmt.Errorf("%w (make it with: ulrl attack, or name yours in model.path)", err)
		}
		return nil, err
	}
	dev, err := openDevice(env, c)
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	r := &run{c: c, env: env, dev: dev, file: file, keep: dev.NewScope(), began: time.Now()}
	defer r.keep.Close()
	if r.result, err = newResult(c, env, dev, file); err != nil {
		return nil, err
	}
	if err := r.load(ctx); err != nil {
		return nil, explain(err)
	}
	r.result.Seconds["load"] = time.Since(r.began).Seconds()
	if r.dir, err = runstore.Create(c.Output, runstore.Options{Force: o.Force}); err != nil {
		return nil, err
	}
	return r.finish(ctx, explain(r.steps(ctx)))
}

// run is one run under way.
type run struct {
	c      *config.Config
	env    Env
	dev    *torch.Device
	keep   *torch.Scope
	dir    *runstore.Run
	file   *model.File
	began  time.Time
	result *runstore.Result

	data     images
	clean    *dataset.Set
	original *torch.Module // becomes the cleaned one
	layers   []model.Layer
	head     *model.Layer // with relearn.counter, if the model has one
	gauge    *gauge
	ways     []defense.Way // by which what leads to the classes is looked for anew in the end
}

// steps are the run in its order.
func (r *run) steps(ctx context.Context) error {
	text, err := r.c.YAML()
	if err != nil {
		return err
	}
	if err := r.dir.WriteFile(runstore.FileConfig, text); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"evaluate before", func(ctx context.Context) (err error) {
			if r.result.Before, err = r.gauge.scores(ctx, "evaluate before", r.original); err == nil {
				r.warnOfMisfit()
			}
			return err
		}},
		{"", r.defend}, // its stages are phases of their own
		{"evaluate after", func(ctx context.Context) (err error) {
			r.result.After, err = r.gauge.scores(ctx, "evaluate after", r.original)
			r.result.DER = metrics.DER(r.result.Before, r.result.After)
			if err == nil { // else it is of a part of the images
				r.warnOfAccuracy()
				r.warnOfGain()
				r.warnOfClass()
			}
			return err
		}},
		{"write", r.write},
	} {
		run := func() error { return step.do(ctx) }
		if step.name != "" {
			run = func() error { return r.timed(step.name, func() error { return step.do(ctx) }) }
		}
		if err := run(); err != nil {
			return err
		}
	}
	return nil
}

// timed runs a phase and notes its beginning, end and seconds.
func (r *run) timed(name string, body func() error) error {
	if err := r.dir.Event(runstore.PhaseEvent{Kind: runstore.KindPhase, Phase: name, State: runstore.PhaseStart}); err != nil {
		return err
	}
	began := time.Now()
	err := body()
	seconds := time.Since(began).Seconds()
	r.result.Seconds[name] += seconds
	if err != nil {
		return err
	}
	return r.dir.Event(runstore.PhaseEvent{Kind: runstore.KindPhase, Phase: name, State: runstore.PhaseEnd, Seconds: seconds})
}

// load reads the data, draws the clean samples and loads the model.
func (r *run) load(ctx context.Context) error {
	r.env.Progress.Start("load", 0)
	defer r.env.Progress.End()
	var err error
	if r.data, err = readImages(ctx, r.c, true); err != nil {
		return err
	}
	drawn, err := dataset.Draw(r.data.train, dataset.DrawOptions{
		Count: r.c.Clean.Count, Ratio: r.c.Clean.Ratio, Balanced: r.c.Clean.Balanced, Seed: r.c.Seed,
	})
	if err != nil {
		return err
	}
	r.clean = r.data.train.Subset(drawn)
	r.result.Clean = runstore.Clean{Count: len(drawn), Of: r.data.train.Len(), Drawn: drawn}
	for class, n := range r.clean.CountByClass() {
		if n == 0 {
			r.warn(fmt.Sprintf("no clean sample of class %d (%s): relearning cannot keep its accuracy; draw more, or set clean.balanced", class, r.clean.Classes[class]))
		}
	}
	if r.gauge, err = newGauge(ctx, r.env, r.dev, r.c, r.data, r.clean); err != nil {
		return err
	}
	if r.gauge.trigger, err = openTrigger(ctx, r.env, r.dev, r.keep, r.c, r.clean, r.data.normalise); err != nil {
		return err
	}
	if err := r.poison(ctx); err != nil {
		return fmt.Errorf("clean.poisoned %d: %w", r.c.Clean.Poisoned, err)
	}
	r.data.train = nil // free its memory
	return r.dev.Do(ctx, r.loadModel)
}

// poison puts the attack's trigger and label on some of the clean samples, where
// the config asks for that.
func (r *run) poison(ctx context.Context) error {
	if r.c.Clean.Poisoned == 0 {
		return nil
	}
	chosen, err := attack.Choose(r.clean, r.c.Attack, r.c.Clean.Poisoned, r.c.Seed)
	if err != nil {
		return err
	}
	if r.clean, err = attack.Poison(ctx, r.dev, r.gauge.trigger, r.clean, chosen, r.c.Attack, r.data.normalise); err != nil {
		return err
	}
	for _, i := range chosen {
		r.result.Clean.Poisoned = append(r.result.Clean.Poisoned, r.result.Clean.Drawn[i])
	}
	r.warn(fmt.Sprintf("%d of the %d clean samples carry the trigger (clean.poisoned)", len(chosen), r.clean.Len()))
	return nil
}

// write leaves the cleaned model and the neurons' scores.
func (r *run) write(ctx context.Context) error {
	var archive []byte
	err := r.dev.Do(ctx, func(s *torch.Scope) (err error) { archive, err = saveForUsers(s, r.original); return })
	if err != nil {
		return err
	}
	if err := r.dir.WriteFile(runstore.FileCleaned, archive); err != nil {
		return err
	}
	r.result.Files["model"] = runstore.FileCleaned
	if err := r.dir.WriteNeurons(r.result.Layers); err != nil {
		return err
	}
	r.result.Files["neurons"] = runstore.FileNeurons
	return nil
}

// saveForUsers gives the module in the form that loads anywhere: on the CPU, in
// evaluation mode and plain memory order. It writes a copy, which nothing else
// holds: who holds a tensor shows in the archive's bytes.
func saveForUsers(s *torch.Scope, of *torch.Module) ([]byte, error) {
	m, err := of.CopyTo(s)
	if err != nil {
		return nil, err
	}
	if err := m.ToDevice("cpu"); err != nil {
		return nil, err
	}
	if err := m.ChannelsLast(false); err != nil {
		return nil, err
	}
	if err := m.Train(false); err != nil {
		return nil, err
	}
	return m.Save()
}

// finish writes the report and result.json, whatever err says.
func (r *run) finish(ctx context.Context, err error) (*runstore.Result, error) {
	r.result.Seconds["total"] = time.Since(r.began).Seconds()
	status := runstore.StatusComplete
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		status = runstore.StatusInterrupted
	case err != nil:
		status = runstore.StatusFailed
	}
	r.result.Status = status
	if err != nil {
		r.result.Error = err.Error()
	}
	if status == runstore.StatusInterrupted {
		r.result.Error = "interrupted"
		if why := context.Cause(ctx); why != nil && !errors.Is(why, ctx.Err()) {
			r.result.Error += ": " + why.Error()
		}
	}
	if reportErr := r.report(); reportErr != nil {
		delete(r.result.Files, "report")
		if err == nil {
			status = runstore.StatusFailed
			err = reportErr
			r.result.Error = err.Error()
		} else {
			r.env.Log.WithError(reportErr).Warn("no report was written")
		}
	}
	if finishErr := r.dir.Finish(status, r.result); finishErr != nil {
		r.env.Log.WithError(finishErr).Warn("result.json does not say how the run ended")
		if err == nil {
			err = finishErr
			r.result.Status, r.result.Error = runstore.StatusFailed, err.Error()
		}
	}
	return r.result, err
}

func (r *run) report() error {
	epochs, err := runstore.ReadEpochs(r.c.Output)
	if err != nil {
		return err
	}
	r.result.Files["report"] = runstore.FileReport // which the page lists too, as one that is made anew does
	var page bytes.Buffer
	if err := report.HTML(&page, r.result, epochs); err != nil {
		return fmt.Errorf("make the report: %w", err)
	}
	return r.dir.WriteFile(runstore.FileReport, page.Bytes())
}

// runWatcher puts epochs into events.jsonl and, where asked, measures between.
type runWatcher struct {
	r   *run
	ctx context.Context
}

func (r *run) watcher(ctx context.Context) train.Watcher { return runWatcher{r, ctx} }

func (w runWatcher) Batch(note string) { w.r.env.Progress.Step(note) }

func (w runWatcher) Epoch(e train.Epoch) error {
	relearning := e.Phase == "relearn"
	if before := w.r.result.Attempts; relearning && before > 0 {
		e.Phase = fmt.Sprintf("relearn %d", before+1)
	}
	if err := w.r.dir.Event(epochEvent(e)); err != nil {
		return err
	}
	every := w.r.c.Relearn.EvalEvery
	if !relearning || every == 0 || e.Epoch%every != 0 {
		return nil
	}
	scores, err := w.r.gauge.scores(w.ctx, fmt.Sprintf("evaluate epoch %d", e.Epoch), w.r.original)
	if err != nil {
		return err
	}
	return w.r.dir.Event(runstore.MeasureEvent{Kind: runstore.KindMeasure, Phase: e.Phase, Epoch: e.Epoch, Scores: scores})
}

func epochEvent(e train.Epoch) runstore.EpochEvent {
	return runstore.EpochEvent{
		Kind: runstore.KindEpoch, Phase: e.Phase, Epoch: e.Epoch, LR: e.LR,
		Loss: e.Loss, Accuracy: e.Accuracy, Cosine: e.Cosine, Seconds: e.Seconds,
	}
}

func newResult(c *config.Config, env Env, dev *torch.Device, file *model.File) (*runstore.Result, error) {
	machine, err := thisMachine(dev)
	if err != nil {
		return nil, err
	}
	return &runstore.Result{
		Name: c.Name, Method: c.Defense.Method, Seed: c.Seed, Versions: versions(env), Machine: machine, Sandbox: env.Sandbox,
		Inputs: map[string]runstore.Input{
			"model":  {Path: file.Path, SHA256: file.SHA256},
			"config": {Path: runstore.FileConfig, SHA256: c.Hash()},
		},
		Suspicious: []runstore.Neuron{}, Layers: []runstore.Layer{}, Warnings: []string{},
		Seconds: map[string]float64{}, Files: map[string]string{"config": runstore.FileConfig, "events": runstore.FileEvents},
		Started: time.Now().Format(time.RFC3339), Command: env.Command,
	}, nil
}
