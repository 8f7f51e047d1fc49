package model

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/gate"
	"ulrl/pipeline/gate/gatetest"
	"ulrl/pipeline/testenv"
	"ulrl/pipeline/zoo"
	torch "ulrl/torchbridge"
)

func writeFile(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.pt")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// load is what every command does with a file.
func load(t *testing.T, dev *torch.Device, data []byte) error {
	t.Helper()
	f, err := ReadFile(writeFile(t, data))
	if err != nil {
		return err
	}
	return dev.Do(context.Background(), func(s *torch.Scope) error {
		_, err := f.Load(s)
		return err
	})
}

// No hostile file is loaded, and none writes anything.
func TestHostileFilesAreRefused(t *testing.T) {
	_, dev := testenv.CPU(t)
	canary := filepath.Join(t.TempDir(), "canary")
	for _, h := range gatetest.Corpus(t, canary) {
		err := load(t, dev, h.Data)
		if err == nil || !fault.IsMisuse(err) || !strings.Contains(err.Error(), h.Want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, wanted %s", h.Name, err, h.Want)
		}
	}
	if _, err := os.Stat(canary); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
}

// Those that are said to write do so where nothing stops them: the corpus is of
// files that libtorch takes.
func TestHostileFilesAreReal(t *testing.T) {
	_, dev := testenv.CPU(t)
	dir := t.TempDir()
	canary := filepath.Join(dir, "canary")
	for _, h := range gatetest.Corpus(t, canary) {
		if !h.Writes {
			continue
		}
		err := dev.Do(context.Background(), func(s *torch.Scope) error {
			m, err := s.LoadModule(h.Data)
			if err != nil {
				return err
			}
			m.Forward(s.Full(1, torch.Float32, 1, 1, 2, 2))
			return s.Err()
		})
		if removed := os.Remove(canary); removed != nil {
			t.Errorf("%s: it wrote nothing (%v)", h.Name, err)
		}
	}
}

// passes wants an archive to pass, and what is loaded instead of it to compute the same.
func passes(t *testing.T, dev *torch.Device, data []byte, shape ...int) {
	t.Helper()
	f, err := ReadFile(writeFile(t, data))
	if err != nil {
		t.Fatal(err)
	}
	testenv.Do(t, dev, func(s *torch.Scope) error {
		checked, err := f.Load(s)
		if err != nil {
			return err
		}
		plain, err := s.LoadModule(data)
		if err != nil {
			return err
		}
		if err := errors.Join(checked.Train(false), plain.Train(false)); err != nil {
			return err
		}
		s.NoGrad(func() {
			values := make([]float32, product(shape))
			for i := range values {
				values[i] = float32(i%17) / 17
			}
			x := torch.From(s, values, shape...)
			if a, b := torch.Values[float32](checked.Forward(x)), torch.Values[float32](plain.Forward(x)); len(a) == 0 || !slices.Equal(a, b) {
				t.Error("packed anew it computes something else")
			}
		})
		return s.Err()
	})
}

func product(shape []int) int {
	n := 1
	for _, extent := range shape {
		n *= extent
	}
	return n
}

func saved(t *testing.T, dev *torch.Device, build func(s *torch.Scope) (*torch.Module, error)) []byte {
	t.Helper()
	var data []byte
	testenv.Do(t, dev, func(s *torch.Scope) error {
		m, err := build(s)
		if err == nil {
			data, err = m.Save()
		}
		return err
	})
	return data
}

func TestZooPasses(t *testing.T) {
	_, dev := testenv.CPU(t)
	widths := map[string]int{"vit_b_16": 64, "mobilenet_v3_large": 8, "efficientnet_b0": 0, "efficientnet_b3": 0, "convnext_tiny": 8}
	for _, name := range zoo.Names() {
		t.Run(name, func(t *testing.T) {
			width, known := widths[name]
			if !known {
				width = 4
			}
			passes(t, dev, saved(t, dev, func(s *torch.Scope) (*torch.Module, error) {
				return zoo.New(s, zoo.Spec{Name: name, Width: width, Channels: 3, Classes: 10})
			}), 1, 3, 32, 32)
		})
	}
}

// What torchvision's classifiers are once scripted.
func TestTorchvisionPasses(t *testing.T) {
	_, dev := testenv.CPU(t)
	python := testenv.Python(t, "torch", "torchvision")
	for _, name := range []string{"resnet18", "vgg19_bn", "vit_b_16", "densenet121", "mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0", "convnext_tiny"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "scripted.pt")
			// VGG's three linear layers are half a gigabyte and nothing that others lack.
			out, err := exec.Command(python, "-c", `
import sys, torch, torchvision
m = getattr(torchvision.models, sys.argv[1])(weights=None)
if sys.argv[1].startswith("vgg"): m.classifier = torch.nn.Sequential(torch.nn.Linear(25088, 10), torch.nn.ReLU(True), torch.nn.Dropout())
torch.jit.script(m).save(sys.argv[2])`, name, path).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			passes(t, dev, data, 1, 3, 224, 224)
		})
	}
}

// Members of every kind that Python's exporter writes, and code that makes objects.
func TestUnusualMembersPass(t *testing.T) {
	_, dev := testenv.CPU(t)
	python := testenv.Python(t, "torch")
	dir := t.TempDir()
	script, path := filepath.Join(dir, "net.py"), filepath.Join(dir, "scripted.pt")
	const source = `
import sys, torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.layers = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])
        self.named = nn.ModuleDict({"a b": nn.Linear(8, 8)})
        self.act = nn.PReLU()
        self.register_buffer("part", torch.zeros(6)[1:5:2])
        self.scales = {"x": 1}
        self.shares = [1.0, 2.0]
        self.mixed = (1, "two", None)
        self.pairs = [(1, 2), (3, 4)]
        self.none = None
        self.text = "one\nré"
        self.device = torch.device("cpu")

    def forward(self, x):
        with torch.no_grad():
            mean = x.mean()
        x = self.conv(x).mean([2, 3])
        for layer in self.layers:
            x = layer(x)
        for _, layer in self.named.items():
            x = self.act(layer(x))
        assert x.dim() == 2, f"the shape {x.shape} is odd"
        both = {"x": x * self.scales["x"], "y": x + self.shares[1] + mean + self.part.sum()}
        return torch.stack([both["x"], both["y"]], 0).sum(0)[..., :4]

torch.jit.script(Net()).save(sys.argv[1])
`
	if err := os.WriteFile(script, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(python, script, path).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	passes(t, dev, data, 2, 3, 8, 8)
}

// Operators of code that forward does not reach are judged as well.
func TestOperatorsOfAllCode(t *testing.T) {
	_, dev := testenv.CPU(t)
	for source, want := range map[string]string{
		"def forward(self, x):\n    return x\ndef other(self, x: Tensor):\n    return x.to_sparse()\n":                                   "aten::to_sparse",
		"def forward(self, x):\n    return self.other(x)\ndef other(self, x: Tensor):\n    return torch.relu(x)\n":                       "",
		"def forward(self, x):\n    if x.dim() > 1:\n        for i in range(3):\n            x = torch.resize_as_(x, x)\n    return x\n": "aten::resize_as_",
	} {
		testenv.Do(t, dev, func(s *torch.Scope) error {
			b := torch.NewBuilder(s)
			m, err := b.Finish(b.Part("Net").Define(source))
			if err != nil {
				return err
			}
			names, err := m.Operators()
			if err != nil {
				return err
			}
			if err := gate.Operators(names); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v", source, err)
			}
			return nil
		})
	}
}

func TestMemoryIsNotTheFilesFault(t *testing.T) {
	f := &File{Path: "m.pt"}
	for _, c := range []struct {
		code   torch.Code
		misuse bool
	}{{torch.CodeTorch, true}, {torch.CodeMemory, false}} {
		err := f.refused("libtorch cannot load it", &torch.Error{Code: c.code, Reason: "why"})
		if fault.IsMisuse(err) != c.misuse || err.Error() != "model m.pt: libtorch cannot load it: why" {
			t.Errorf("code %v: misuse %v, %v", c.code, fault.IsMisuse(err), err)
		}
	}
}

// A confined process may leave such a file for one that is not.
func TestAFileThatMemoryDoesNotHoldIsNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "model.pt")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 8<<40); err != nil {
		testenv.Skip(t, "no such file can be made here: %v", err)
	}
	if _, err := ReadFile(path); !fault.IsMisuse(err) || !strings.Contains(err.Error(), "it has 8192.0 GiB, and ") {
		t.Errorf("got %v", err)
	}
}
