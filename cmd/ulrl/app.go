package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/sirupsen/logrus"
	"golang.org/x/term"

	"ulrl/pipeline/config"
)

// app is what the commands share. The flags in it are those of the root
// command, and --json, which many commands have.
type app struct {
	stdout  io.Writer // results
	width   int       // of stdout, in columns
	console *console  // stderr: logs, bars, errors
	environ []string  // as os.Environ gives it
	engine  engine
	confine func(confinement, engine) engine // nil: models run in this process

	args    []string // as typed, without the program's name
	started bool     // a command's own work has begun
	logging logOptions
	json    bool
	log     *logrus.Logger

	confined confinement
}

// newApp makes an app that writes results to stdout, all else to stderr.
func newApp(stdout, stderr io.Writer, environ []string, e engine) *app {
	return &app{
		stdout:  unbroken{stdout},
		width:   columns(stdout),
		console: newConsole(stderr),
		environ: environ,
		engine:  e,
		log:     &logrus.Logger{Out: io.Discard, Formatter: &logrus.TextFormatter{}, Hooks: logrus.LevelHooks{}},
	}
}

// main runs the command that args name and returns the exit code.
func (a *app) main(ctx context.Context, args []string) int {
	a.args = args
	root := newRootCommand(a)
	root.SetArgs(args)
	return a.report(root.ExecuteContext(ctx))
}

// getenv is the value of an environment variable, "" where it is not set.
func (a *app) getenv(name string) string {
	for _, entry := range a.environ {
		if key, value, _ := strings.Cut(entry, "="); key == name {
			return value
		}
	}
	return ""
}

// load reads a config with the environment and sets above it.
func (a *app) load(path string, o layerOptions) (*config.Config, error) {
	return config.Load(path, a.layers(o))
}

// base is the built-in base config with the layers of o: what is used where no
// config is named, whatever lies in the working folder.
func (a *app) base(o layerOptions) (*config.Config, error) { return config.Default(a.layers(o)) }

func (a *app) layers(o layerOptions) config.Options {
	return config.Options{Profile: o.Profile, Sets: o.Sets, Env: a.environ}
}

// job gathers what a command that runs models needs of package pipeline: the
// engine, in a process of its own unless the model is trusted. The tracker is
// closed before anything is printed.
func (a *app) job() (engine, environment, *tracker, error) {
	if a.confine == nil || a.confined.Trust {
		env, t, err := a.torch()
		return a.engine, env, t, err
	}
	env, t := a.env()
	return a.confine(a.confined, a.engine), env, t, nil
}

// torch opens the C library in this process.
func (a *app) torch() (environment, *tracker, error) {
	lib, err := a.engine.open(a.log)
	if err != nil {
		return environment{}, nil, err
	}
	env, t := a.env()
	env.Lib = lib
	return env, t, nil
}

func (a *app) env() (environment, *tracker) {
	t := a.tracker()
	return environment{
		Log:      a.log,
		Progress: t,
		Version:  buildVersion().String(),
		Command:  append([]string{"ulrl"}, a.args...),
	}, t
}

// show prints a result: value as JSON with --json, else what render writes.
func (a *app) show(value any, render func(w io.Writer)) error {
	var text strings.Builder
	if a.json {
		enc := json.NewEncoder(&text)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(value); err != nil {
			return fmt.Errorf("write the result as JSON: %w", err)
		}
	} else {
		render(&text)
	}
	if _, err := io.WriteString(a.stdout, text.String()); err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	return nil
}

// showFailed shows what work that ended with err has found.
func (a *app) showFailed(err error, value any, render func(w io.Writer)) error {
	if a.json {
		return &reported{err, value} // one object for both
	}
	if e := a.show(value, render); e != nil {
		return e
	}
	return err
}

// unbroken takes what is written to a pipe that nobody reads any more as
// written: that the reader has left is no fault of the run.
type unbroken struct{ io.Writer }

func (u unbroken) Write(p []byte) (int, error) {
	n, err := u.Writer.Write(p)
	if errors.Is(err, syscall.EPIPE) {
		return len(p), nil
	}
	return n, err
}

const (
	narrow = 80  // columns where there is no terminal
	wide   = 110 // more than this is hard to read
)

// columns is how wide text on w may be.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 20 {
			return min(n, wide)
		}
	}
	return narrow
}
