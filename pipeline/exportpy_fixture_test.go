package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ulrl/pipeline/model"
	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// exporter runs scripts/export_torchscript.py in a folder of its own.
type exporter struct {
	*fixture
	interpreter, script, modules string
}

func newExporter(t *testing.T, modules ...string) *exporter {
	t.Helper()
	modules = append(modules, "torch")
	e := &exporter{interpreter: testenv.Python(t, modules...), modules: strings.Join(modules, " "), fixture: newFixture(t)}
	e.script = filepath.Join(testenv.Root(t), "scripts", "export_torchscript.py")
	return e
}

// python runs a program or script and returns its exit code and output.
func (e *exporter) python(args ...string) (code int, stdout, stderr string) {
	e.t.Helper()
	cmd := exec.Command(e.interpreter, args...)
	cmd.Dir = e.path()
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		e.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func (e *exporter) write(name, text string) {
	e.t.Helper()
	if err := os.WriteFile(e.path(name), []byte(text), 0o644); err != nil {
		e.t.Fatal(err)
	}
}

// forks runs the script once for each command line of sys.argv[2:], a fork for
// each: PyTorch is imported once, which takes longer than all else.
const forks = `
import json, os, runpy, sys, tempfile, traceback
script, modules, lines = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
for module in modules.split():
    __import__(module)

def child(args):
    sys.argv = [script, *args]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as end:
        return end.code
    except BaseException:
        traceback.print_exc()
    return 1

results = []
for args in lines:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        pid = os.fork()
        if pid == 0:
            os.dup2(out.fileno(), 1), os.dup2(err.fileno(), 2)
            code = child(args)
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        out.seek(0), err.seek(0)
        results.append({"code": code, "out": out.read(), "err": err.read()})
print(json.dumps(results))
`

type said struct {
	Code     int
	Out, Err string
}

// run runs the script for each command line.
func (e *exporter) run(lines ...[]string) []said {
	e.t.Helper()
	text, err := json.Marshal(lines)
	if err != nil {
		e.t.Fatal(err)
	}
	code, stdout, stderr := e.python("-c", forks, e.script, e.modules, string(text))
	var results []said
	if err := json.Unmarshal([]byte(stdout), &results); code != 0 || err != nil || len(results) != len(lines) {
		e.t.Fatalf("exit code %d, %v: %s", code, err, stderr)
	}
	return results
}

// export must succeed for each command line.
func (e *exporter) export(lines ...[]string) []said {
	e.t.Helper()
	results := e.run(lines...)
	for i, r := range results {
		if r.Code != 0 {
			e.t.Fatalf("%q: exit code %d: %s", lines[i], r.Code, r.Err)
		}
	}
	return results
}

// refused must be misuse for each, told without a traceback, and write nothing.
func (e *exporter) refused(lines ...[]string) []said {
	e.t.Helper()
	before := e.names()
	results := e.run(lines...)
	for i, r := range results {
		if r.Code != 2 || r.Out != "" || strings.Contains(r.Err, "Traceback") {
			e.t.Errorf("%q: exit code %d, %s%s", lines[i], r.Code, r.Out, r.Err)
		}
	}
	if after := e.names(); after != before {
		e.t.Errorf("left behind: %s, before: %s", after, before)
	}
	return results
}

func (e *exporter) inspect(name string, shape ...int) *Inspection {
	e.t.Helper()
	in, err := Inspect(context.Background(), e.path(name), e.env, InspectOptions{Shape: shape})
	if err != nil {
		e.t.Fatal(err)
	}
	return in
}

// values reads a tensor of a model file.
func (e *exporter) values(name string, get func(s *torch.Scope, m *torch.Module) *torch.Tensor) []float32 {
	e.t.Helper()
	file, err := model.ReadFile(e.path(name))
	if err != nil {
		e.t.Fatal(err)
	}
	var out []float32
	testenv.Do(e.t, e.dev, func(s *torch.Scope) error {
		m, err := file.Load(s)
		if err != nil {
			return err
		}
		out = torch.Values[float32](get(s, m))
		return s.Err()
	})
	return out
}

func (e *exporter) buffer(file, name string) []float32 {
	return e.values(file, func(s *torch.Scope, m *torch.Module) *torch.Tensor { return m.Buffer(s, name) })
}

// The model of the tests below, in a package of its own with a relative import.
const smallNet = `
import torch
from torch import nn
from .parts import body

class Small(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.body = body()
        self.fc = nn.Linear(4, classes)
    def forward(self, x):
        return self.fc(self.body(x).mean((2, 3)))
`

const smallParts = `
from torch import nn

def body():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
`

func newSmallExporter(t *testing.T, program string, modules ...string) *exporter {
	t.Helper()
	e := newExporter(t, modules...)
	if err := os.Mkdir(e.path("pkg"), 0o755); err != nil {
		t.Fatal(err)
	}
	e.write("pkg/__init__.py", "")
	e.write("pkg/net.py", smallNet)
	e.write("pkg/parts.py", smallParts)
	if code, _, stderr := e.python("-c", program); code != 0 {
		t.Fatal(stderr)
	}
	return e
}
