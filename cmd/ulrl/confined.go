package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"ulrl/pipeline"
	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/progress"
	"ulrl/pipeline/runstore"
	"ulrl/pipeline/sandbox"
	"ulrl/pipeline/worker"
)

// confinement is how the commands that run models are kept apart from the system.
type confinement struct {
	Trust bool          // not at all
	Stall time.Duration // without progress, after which a worker is ended
	Time  time.Duration // that a worker may take
}

// envTrust is --trust-model for whole shells and sweeps.
const envTrust = "ULRL_TRUST_MODEL"

// registerConfinement adds the flags to a command that runs models.
func (a *app) registerConfinement(cmd *cobra.Command) {
	a.registerTrust(cmd)
	f := cmd.Flags()
	a.confined.Stall = 30 * time.Minute
	f.Var((*limit)(&a.confined.Stall), "stall-limit", "stop after `TIME` without progress")
	f.Var((*limit)(&a.confined.Time), "time-limit", "stop after `TIME` in all; 0: never")
}

// limit is a flag's time, which is not below 0.
type limit time.Duration

func (l *limit) String() string {
	if *l == 0 {
		return "0"
	}
	return time.Duration(*l).String()
}

func (l *limit) Type() string { return "duration" }

// Set reads what time.ParseDuration does.
func (l *limit) Set(text string) error {
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return errors.New("wanted a time such as 90s or 2h, or 0")
	}
	*l = limit(v)
	return nil
}

func (a *app) registerTrust(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.confined.Trust, "trust-model", a.getenv(envTrust) == "1", "run the model without the sandbox")
}

// jobArgs are the arguments of the engine's functions, on their way to a worker.
type jobArgs struct {
	Config  string         `json:"config,omitempty"` // YAML, resolved
	Force   bool           `json:"force,omitempty"`
	Make    makeOptions    `json:"make"`
	Inspect inspectOptions `json:"inspect"`
	Import  importOptions  `json:"import"`
	Path    string         `json:"path,omitempty"`   // of a model
	Record  string         `json:"record,omitempty"` // of BackdoorBench
	Dir     string         `json:"dir,omitempty"`    // to fill
}

// The jobs of workers.
const (
	jobRun     = "run"
	jobAttack  = "attack"
	jobExport  = "export"
	jobEval    = "eval"
	jobInspect = "inspect"
	jobImport  = "import"
	jobDefense = "defense"
)

// workerArgs make this program a worker.
var workerArgs = []string{"confined-worker"}

// workers is an engine whose functions run in confined processes.
type workers struct{ confinement }

// confine gives local with all that touches models done by workers.
func confine(c confinement, local engine) engine {
	w := workers{c}
	local.run, local.attack, local.export, local.eval = w.run, w.attack, w.export, w.eval
	local.inspect, local.imports, local.defense = w.inspect, w.imports, w.defense
	return local
}

// do has a worker do a job; result is nil where nothing came of it.
func (w workers) do(ctx context.Context, env environment, job string, c *config.Config, args jobArgs, rights sandbox.Rights, result any) error {
	if has := sandbox.Supported(); !has.Enough() {
		return fault.Misuse("%w: it has %s; run the model in a container or virtual machine, with --trust-model", sandbox.ErrUnsupported, has)
	}
	if c != nil {
		text, err := c.YAML()
		if err != nil {
			return err
		}
		args.Config = string(text)
	}
	packed, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("encode the job: %w", err)
	}
	process := worker.Worker{Args: workerArgs, Log: env.Log, Sink: env.Progress, Stall: w.Stall, Time: w.Time}
	return process.Do(ctx, worker.Request{
		Job: job, Args: packed, Rights: rights, Command: env.Command, Debug: debugging(env.Log),
	}, result)
}

func debugging(log logrus.FieldLogger) bool {
	l, ok := log.(*logrus.Logger)
	return ok && l.IsLevelEnabled(logrus.DebugLevel)
}

// into makes the folder that a job alone writes to, which must be there before the
// worker is confined, and removes it again where nothing came of it.
func into(dir string, do func() error) error {
	undo, err := runstore.MakeDirs(dir)
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		undo()
		return err
	}
	return nil
}

// intoModels does so for an attack, and makes the folder of clean models where it needs one.
// That one stays whatever comes of the job: other trainings may be confined to it by then. do
// gets the folders that are written to.
func intoModels(a config.Attack, control bool, do func(write ...string) error) error {
	return into(a.Output, func() error {
		if !control && !a.NeedsCleanModel() {
			return do(a.Output)
		}
		if _, err := runstore.MakeDirs(a.CleanModel.Dir); err != nil {
			return err
		}
		return do(a.Output, a.CleanModel.Dir)
	})
}

func (w workers) run(ctx context.Context, c *config.Config, env environment, force bool) (*runstore.Result, error) {
	var result *runstore.Result
	err := into(c.Output, func() error {
		return w.do(ctx, env, jobRun, c, jobArgs{Force: force}, pipeline.Rights(c, c.Output), &result)
	})
	if err != nil {
		return result, err
	}
	// What a worker leaves is as little to be trusted as what it was given.
	if err := pipeline.CheckModel(filepath.Join(c.Output, runstore.FileCleaned)); err != nil {
		err = fmt.Errorf("the cleaned model is not one: %w", err)
		if disowned := runstore.Disown(c.Output, runstore.FileCleaned, err); disowned != nil {
			err = fmt.Errorf("%w; it stays, for %w", err, disowned)
		}
		return result, err
	}
	return result, nil
}

func (w workers) attack(ctx context.Context, c *config.Config, env environment, o makeOptions) (*attackResult, error) {
	var result *attackResult
	err := intoModels(c.Attack, o.Control, func(write ...string) error {
		return w.do(ctx, env, jobAttack, c, jobArgs{Make: o}, pipeline.Rights(c, write...), &result)
	})
	if err == nil {
		result.Dir = c.Attack.Output
	}
	return result, err
}

func (w workers) export(ctx context.Context, c *config.Config, env environment, partial string) (*exportResult, error) {
	var result *exportResult
	err := w.do(ctx, env, jobExport, c, jobArgs{Dir: partial}, pipeline.Rights(c, partial), &result)
	return result, err
}

func (w workers) eval(ctx context.Context, c *config.Config, env environment, model string) (*evalResult, error) {
	var result *evalResult
	rights := pipeline.Rights(c)
	if model != "" {
		rights.Read = append(rights.Read, model)
	}
	err := w.do(ctx, env, jobEval, c, jobArgs{Path: model}, rights, &result)
	return result, err
}

func (w workers) inspect(ctx context.Context, path string, env environment, o inspectOptions) (*inspection, error) {
	var result *inspection
	err := w.do(ctx, env, jobInspect, nil, jobArgs{Path: path, Inspect: o}, pipeline.FileRights([]string{path}), &result)
	return result, err
}

func (w workers) imports(ctx context.Context, env environment, record string, o importOptions, partial string) (*importResult, error) {
	var result *importResult
	err := w.do(ctx, env, jobImport, nil, jobArgs{Record: record, Import: o, Dir: partial}, pipeline.FileRights([]string{record}, partial), &result)
	return result, err
}

func (w workers) defense(ctx context.Context, env environment, model, record string) ([]byte, error) {
	var result []byte
	err := w.do(ctx, env, jobDefense, nil, jobArgs{Path: model, Record: record}, pipeline.FileRights([]string{model, record}), &result)
	return result, err
}

// serve is a worker: it loads libtorch, confines itself and does one job.
func serve(local engine) error {
	out := os.NewFile(worker.Output, "messages")
	return worker.Serve(os.Stdin, out, func(ctx context.Context, r worker.Request, log *logrus.Logger, sink progress.Sink) (any, error) {
		var args jobArgs
		if err := json.Unmarshal(r.Args, &args); err != nil {
			return nil, fmt.Errorf("read the job: %w", err)
		}
		var c *config.Config
		if args.Config != "" {
			var err error
			if c, err = config.Parse("the worker's config", args.Config); err != nil {
				return nil, err
			}
		}
		lib, err := local.open(log)
		if err != nil {
			return nil, err
		}
		by, err := pipeline.Confine(r.Rights)
		if err != nil {
			return nil, err
		}
		env := environment{Lib: lib, Log: log, Progress: sink, Version: buildVersion().String(), Command: r.Command, Sandbox: by}
		return local.job(ctx, env, r.Job, c, args)
	})
}

// job does a worker's job by this engine's functions.
func (e engine) job(ctx context.Context, env environment, job string, c *config.Config, args jobArgs) (any, error) {
	switch job {
	case jobRun:
		return filled(e.run(ctx, c, env, args.Force))
	case jobAttack:
		return filled(e.attack(ctx, c, env, args.Make))
	case jobExport:
		return filled(e.export(ctx, c, env, args.Dir))
	case jobEval:
		return filled(e.eval(ctx, c, env, args.Path))
	case jobInspect:
		return filled(e.inspect(ctx, args.Path, env, args.Inspect))
	case jobImport:
		return filled(e.imports(ctx, env, args.Record, args.Import, args.Dir))
	case jobDefense:
		return e.defense(ctx, env, args.Path, args.Record)
	}
	return nil, fmt.Errorf("a worker has no job %q", job)
}

// filled is a result without the type that makes a nil pointer look like one.
func filled[T any](result *T, err error) (any, error) {
	if result == nil {
		return nil, err
	}
	return result, err
}
