package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"ulrl/pipeline"
	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/fetch"
	"ulrl/pipeline/metrics"
	"ulrl/pipeline/runstore"
)

// asCommand turns the test binary into ulrl over the fake engine, for tests that
// need a process of its own; its value is the time that a step takes.
const asCommand = "TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	pace := os.Getenv(asCommand)
	if pace == "" {
		os.Exit(m.Run())
	}
	step, err := time.ParseDuration(pace)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	a := newApp(os.Stdout, os.Stderr, os.Environ(), fakeEngine(step))
	os.Exit(a.main(interruptible(context.Background(), signals, a.console, os.Exit), os.Args[1:]))
}

// fakeEngine stands in for package pipeline. The run's name says how it ends.
func fakeEngine(step time.Duration) engine {
	return engine{
		open: openLibrary,
		run: func(ctx context.Context, c *config.Config, env environment, _ bool) (*runstore.Result, error) {
			return fakeRun(ctx, c, env, step)
		},
		attack:  fakeAttack,
		export:  fakeExport,
		eval:    fakeEval,
		inspect: fakeInspect,
		doctor:  fakeDoctor,
		data:    fakeData,
		fetch:   fakeFetch,
	}
}

func fakeRun(ctx context.Context, c *config.Config, env environment, step time.Duration) (*runstore.Result, error) {
	r := fakeResult(c.Name)
	if c.Name == "misuse" {
		return nil, fault.Misuse("mine.pt: the file ends too early")
	}
	for _, p := range []struct {
		name  string
		steps int
	}{{"evaluate", 40}, {"unlearn", 100}, {"load", 0}, {"relearn", 100}} {
		env.Progress.Start(p.name, p.steps)
		for i := range max(p.steps, 20) {
			if ctx.Err() != nil {
				env.Progress.End()
				r.Status = runstore.StatusInterrupted
				return r, fmt.Errorf("%s, epoch %d: %w", p.name, 1+i/5, ctx.Err())
			}
			if c.Name == "stubborn" { // a batch that takes for ever
				env.Log.Warn("a batch that takes for ever")
				time.Sleep(time.Hour)
			}
			time.Sleep(step)
			env.Progress.Step(fmt.Sprintf("epoch %d/20 loss %.2f acc %.3f", 1+i/5, 0.1*float64(i), 0.9))
			if i == 50 {
				env.Log.Warnf("halfway through %s", p.name)
				env.Log.WithField("lr", 0.01).Debug("a step")
			}
		}
		env.Progress.End()
	}
	if c.Name == "nan" {
		r.Status = runstore.StatusFailed
		return r, fmt.Errorf("relearn, epoch 3: the loss became NaN; lower relearn.lr")
	}
	return r, nil
}

func share(f float64) *float64 { return &f }

// fakeResult has what its name asks for, by words: "many", "none", "blind" (no
// trigger), "cleanonly".
func fakeResult(name string) *runstore.Result {
	on := "test"
	if strings.Contains(name, "cleanonly") {
		on = onCleanSamples
	}
	r := &runstore.Result{
		Name: name, Status: runstore.StatusComplete,
		Before:     metrics.Scores{ACC: share(0.9081), ASR: share(0.99301), RA: share(0.0058), CleanImages: 10000, TriggeredImages: 9000, MeasuredOn: on},
		After:      metrics.Scores{ACC: share(0.8852), ASR: share(0.0002), RA: share(0.861), CleanImages: 10000, TriggeredImages: 9000, MeasuredOn: on},
		DER:        share(0.985),
		Suspicious: []runstore.Neuron{{Layer: "linear", Index: 0, Score: 12.3456, Z: share(27.14)}},
		Layers:     []runstore.Layer{{Name: "linear", Rows: 10, Rule: "mad"}},
		Seconds:    map[string]float64{"total": 58.31, "load": 0.42, "unlearn": 3.2, "relearn": 21.7, "evaluate": 12.4, "score": 0.01},
		Files:      map[string]string{"model": "cleaned.pt", "report": "report.html", "result": "result.json", "neurons": "neurons.csv", "events": "events.jsonl"},
	}
	if strings.Contains(name, "blind") {
		r.Before.ASR, r.Before.RA, r.After.ASR, r.After.RA, r.DER = nil, nil, nil, nil, nil
	}
	if strings.Contains(name, "none") {
		r.Suspicious = nil
		r.Warnings = []string{"train mode has no effect on this model: it was made by tracing, so BatchNorm statistics stayed as they were and unlearning may be weak"}
	}
	if strings.Contains(name, "many") {
		r.Suspicious = nil
		for i := range 25 {
			r.Suspicious = append(r.Suspicious, runstore.Neuron{Layer: "layer4.1.conv2\x1b[31m", Index: 20 * i, Score: 3.21 / float64(i+1)})
		}
		r.Layers[0].Note = "MAD is 0, so z is undefined: rule ratio was applied"
	}
	return r
}

func fakeAttack(_ context.Context, c *config.Config, _ environment, _ makeOptions) (*attackResult, error) {
	return &attackResult{Dir: c.Attack.Output, Scores: fakeResult("").Before, Seconds: 128}, nil
}

func fakeExport(context.Context, *config.Config, environment, string) (*exportResult, error) {
	return &exportResult{Images: 10000}, nil
}

func fakeEval(_ context.Context, c *config.Config, _ environment, model string) (*evalResult, error) {
	if model == "" {
		model = c.ModelPath()
	}
	return &evalResult{Model: model, Scores: fakeResult("").Before, Seconds: 4.2}, nil
}

func fakeInspect(_ context.Context, path string, _ environment, _ inspectOptions) (*inspection, error) {
	in := &inspection{
		Path: path, SHA256: strings.Repeat("0123456789abcdef", 4), Bytes: 1234567, Parameters: 701466,
		Head: "linear", Classes: 10, Input: "N×1×28×28",
		TrainEval: "train mode changes the output: BatchNorm and dropout react.",
		Operators: []string{"aten::add_", "aten::batch_norm", "aten::conv2d", "aten::adaptive_avg_pool2d", "aten::linear", "aten::relu", "aten::flatten"},
		Gate:      pipeline.Verdict{Records: 24, Dropped: []string{"code/__torch__.py.debug_pkl", "extra/notes", ".data/serialization_id"}},
		Warnings:  []string{"the code writes files: aten::save"},
	}
	for i := range 4 {
		in.Layers = append(in.Layers, layerInfo{Name: fmt.Sprintf("layer%d.0.conv1", i+1), Class: "Conv2d", Shape: []int{16 << i, 16, 3, 3}, Parameters: 2304 << (2 * i)})
	}
	in.Layers = append(in.Layers, layerInfo{Name: "linear", Class: "Linear", Shape: []int{10, 128}, Parameters: 1290, Scored: true})
	return in, nil
}

func fakeDoctor(_ context.Context, _ environment, c *config.Config) (*diagnosis, error) {
	d := &diagnosis{OK: true, Checks: []check{
		{Name: "libtorch", Value: "1.13.0", OK: true},
		{Name: "devices", Value: "cpu", OK: true},
	}}
	if c.Name == "badnets" {
		d.OK = false
		d.Checks = append(d.Checks, check{Name: "data set", Value: c.Data.Dir + ": not found", Advice: "apt-get install dataset-fashion-mnist"})
	}
	return d, nil
}

func fakeData(_ context.Context, c *config.Config, o dataOptions) (*dataInfo, error) {
	d := &dataInfo{Set: c.Data.Kind + " " + c.Data.Train + " " + c.Data.Test, Channels: 3, Height: 32, Width: 48, Train: 50000, Mean: []float64{0.5, 0.25, 1}, Std: []float64{0.1, 0.2, 0.3}, Sheet: o.Sheet}
	d.Classes = []pipeline.ClassInfo{{Name: "n01", Title: "gold\x1bfish", Train: 5000}, {Name: "n02", Train: 45000}}
	if !o.ByContent {
		d.Normalisation = &pipeline.NormalisationInfo{Mean: []float64{0}, Std: []float64{1}, From: "data.name x"}
		d.Test, d.Classes[0].Title = 10000, ""
	}
	return d, nil
}

// fakeFetch finds sets from nowhere there already.
func fakeFetch(_ context.Context, set fetch.Set, o fetch.Options) (*fetch.Result, error) {
	o.Progress.Start("fetch", 2)
	o.Progress.Step("a.zip")
	o.Progress.Step("a.zip")
	o.Progress.End()
	return &fetch.Result{Set: set.Name, Directory: o.Dir + "/" + set.Name, Already: o.From == "nowhere", Bytes: 3 << 20}, nil
}

// outcome is what a command did.
type outcome struct {
	exit           int
	stdout, stderr string
}

// ulrl runs a command in this process over the fake engine.
func ulrl(t *testing.T, args ...string) outcome {
	t.Helper()
	var stdout, stderr strings.Builder
	a := newApp(&stdout, &stderr, nil, fakeEngine(0))
	exit := a.main(t.Context(), args)
	return outcome{exit, stdout.String(), stderr.String()}
}
