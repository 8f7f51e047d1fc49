package main

import (
	"context"
	"errors"

	"github.com/sirupsen/logrus"

	"ulrl/pipeline"
	"ulrl/pipeline/config"
	"ulrl/pipeline/fetch"
	"ulrl/pipeline/runstore"
	"ulrl/pipeline/worker"
	"ulrl/torchbridge"
)

// What the commands know of package pipeline.
type (
	environment   = pipeline.Env
	attackResult  = pipeline.AttackResult
	evalResult    = pipeline.EvalResult
	inspection    = pipeline.Inspection
	makeOptions   = pipeline.AttackOptions
	exportResult  = pipeline.ExportResult
	importResult  = pipeline.ImportResult
	importOptions = pipeline.ImportOptions
	layerInfo     = pipeline.LayerInfo
	diagnosis     = pipeline.DoctorReport
	check         = pipeline.Check
	dataInfo      = pipeline.DataInfo
	classInfo     = pipeline.ClassInfo
	dataOptions   = pipeline.DataOptions
)

// engine is what the commands ask of package pipeline and of the torch library;
// tests put functions of their own in its place.
type engine struct {
	open    func(log logrus.FieldLogger) (*torchbridge.Library, error)
	run     func(ctx context.Context, c *config.Config, env environment, force bool) (*runstore.Result, error)
	attack  func(ctx context.Context, c *config.Config, env environment, o makeOptions) (*attackResult, error)
	export  func(ctx context.Context, c *config.Config, env environment, partial string) (*exportResult, error)
	eval    func(ctx context.Context, c *config.Config, env environment, model string) (*evalResult, error)
	inspect func(ctx context.Context, path string, env environment, o inspectOptions) (*inspection, error)
	imports func(ctx context.Context, env environment, record string, o importOptions, partial string) (*importResult, error)
	defense func(ctx context.Context, env environment, model, record string) ([]byte, error)
	doctor  func(ctx context.Context, env environment, c *config.Config) (*diagnosis, error)
	data    func(ctx context.Context, c *config.Config, o dataOptions) (*dataInfo, error)
	fetch   func(ctx context.Context, set fetch.Set, o fetch.Options) (*fetch.Result, error)
}

// torchEngine is the real one.
func torchEngine() engine {
	return engine{
		open: openLibrary,
		run: func(ctx context.Context, c *config.Config, env environment, force bool) (*runstore.Result, error) {
			return pipeline.Run(ctx, c, env, pipeline.RunOptions{Force: force})
		},
		attack: pipeline.Attack,
		eval:   pipeline.Eval,
		inspect: func(ctx context.Context, path string, env environment, o inspectOptions) (*inspection, error) {
			return pipeline.Inspect(ctx, path, env, pipeline.InspectOptions{Classes: o.Classes, Shape: o.Input})
		},
		export:  pipeline.ExportImages,
		imports: pipeline.Import,
		defense: pipeline.ExportDefense,
		doctor:  pipeline.Doctor,
		data:    pipeline.Data,
		fetch:   fetch.Fetch,
	}
}

func openLibrary(log logrus.FieldLogger) (*torchbridge.Library, error) {
	return torchbridge.Open(func(what string) { log.Warnf("torch memory was not freed: %s", what) })
}

// torchDetail is all that libtorch said of an error, for the debug log.
func torchDetail(err error) string {
	var d worker.Detailed
	if errors.As(err, &d) {
		return d.Details()
	}
	return ""
}
