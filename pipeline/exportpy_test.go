package pipeline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ulrl/pipeline/runstore"
	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

const torchvisionNets = `
import torch, torchvision
from torch import nn

def vgg():
    net = torchvision.models.vgg11_bn(num_classes=10)
    net.avgpool, net.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(512, 10)
    return net

def grey():
    blocks = torchvision.models.resnet.BasicBlock
    net = torchvision.models.ResNet(blocks, [1, 1, 1, 1], num_classes=3)
    net.conv1, net.layer3, net.layer4 = nn.Conv2d(1, 64, 3, 2, 1, bias=False), nn.Identity(), nn.Identity()
    net.fc = nn.Linear(128, 3)
    return net

def vit():
    net = torchvision.models.VisionTransformer(32, 8, 2, 2, 32, 64, dropout=0.1, num_classes=10)
    nn.init.normal_(net.heads.head.weight)  # torchvision's is zero, which hides dropout
    return net
`

func TestExportOfTorchvisionModels(t *testing.T) {
	e := newExporter(t, "torchvision")
	e.write("nets.py", torchvisionNets)
	const reacts = "switching between training and evaluation has effect"
	cases := []struct{ model, head string }{
		{"torchvision.models:resnet18", "fc"},
		{"nets.py:vgg", "classifier"},
		{"torchvision.models:mobilenet_v3_large", "classifier.3"},
		{"nets.py:vit", "heads.head"},
	}
	if testing.Short() {
		cases = cases[:1] // Python's torch makes them; ours only loads them
	}
	var lines [][]string
	for i, c := range cases {
		line := []string{c.model, "-o", fmt.Sprintf("%d.pt", i), "--shape", "3,32,32"}
		if !strings.HasPrefix(c.model, "nets.py") {
			line = append(line, "--arg", "num_classes=10")
		}
		lines = append(lines, line)
	}
	results := e.export(lines...)
	for i, c := range cases {
		in, text := e.inspect(fmt.Sprintf("%d.pt", i), 3, 32, 32), results[i].Out
		if in.Head != c.head || in.Classes != 10 || in.TrainEval != reacts || len(in.Warnings) > 0 {
			t.Errorf("%s: inspect says: head %q, %d classes, %s, warnings %q", c.model, in.Head, in.Classes, in.TrainEval, in.Warnings)
		}
		if !strings.Contains(text, c.head+", 10 classes") || !strings.Contains(text, "logits as in Python") || !strings.Contains(text, fmt.Sprintf("ulrl inspect %d.pt", i)) {
			t.Errorf("%s: the script says:\n%s", c.model, text)
		}
	}
}

func TestExportedModelIsCleaned(t *testing.T) {
	e := newExporter(t, "torchvision")
	e.write("nets.py", torchvisionNets)
	e.export([]string{"nets.py:grey", "-o", "mine.pt", "--shape", "1,12,12"})
	result, err := Run(context.Background(), e.config("attack.name=none", "model.path="+e.path("mine.pt"), "unlearn.epochs=4", "relearn.epochs=10", "relearn.lr=0.02", "relearn.distill=0"), e.env, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if result.Status != runstore.StatusComplete || len(result.Layers) != 1 || result.Layers[0].Name != "fc" {
		t.Errorf("status %q, layers %+v", result.Status, result.Layers)
	}
	// The weights were random: what it knows now, it learned here, and by
	// statistics of these images.
	if *result.Before.ACC > 0.7 || *result.After.ACC < 0.9 {
		t.Errorf("accuracy %v before, %v after", *result.Before.ACC, *result.After.ACC)
	}
	if reflect.DeepEqual(e.buffer("mine.pt", "bn1.running_mean"), e.buffer(filepath.Join("run", "cleaned.pt"), "bn1.running_mean")) {
		t.Error("BatchNorm's statistics did not move")
	}
}

func TestExportFindsTheStateDict(t *testing.T) {
	testenv.AnyLibtorch(t)
	e := newSmallExporter(t, `
import argparse, numpy, torch
from pkg.net import Small
net = Small()
net.fc.bias.data = torch.tensor([1.0, 2.0, 3.0])
state = net.state_dict()
parallel = torch.nn.DataParallel(net).state_dict()
put = lambda prefix, of=state: {prefix + k: v for k, v in of.items()}
torch.save(state, "plain.pth")
torch.save(state, "legacy.pth", _use_new_zipfile_serialization=False)
torch.save({"epoch": 3, "optimizer": {"lr": 0.1}, "state_dict": parallel}, "parallel.pth")
torch.save({"model_state_dict": put("_orig_mod.")}, "compiled.pth")
torch.save({"net": put("module._orig_mod.")}, "both.pth")
torch.save({k.replace("body.", "body._orig_mod."): v for k, v in state.items()}, "part.pth")
torch.save({"state_dict": put("model.")}, "lightning.pth")
torch.save({"runs": {"best": state}, "state_dict": {k: v * 0 for k, v in state.items()}}, "nested.pth")
# As BackdoorBench has it: the weights beside what its data sets were made of.
torch.save({"model_name": "small", "num_classes": 3, "model": state, "img_size": [12, 12, 3], "args": argparse.Namespace(lr=0.1),
            "bd_train": {"poison_indicator": numpy.zeros(9), "original_index_array": numpy.arange(9),
                         "bd_data_container": {"data_dict": {numpy.int64(3): {"path": "3.png", "other_info": [0, numpy.int64(1)]}}}}}, "attack_result.pt")
`, "numpy")
	files := strings.Fields("plain.pth legacy.pth parallel.pth compiled.pth both.pth part.pth lightning.pth attack_result.pt nested.pth")
	var lines [][]string
	for _, name := range files {
		lines = append(lines, []string{"pkg/net.py:Small", "--weights", name, "-o", name + ".out", "--shape", "3,12,12"})
	}
	lines[len(lines)-1] = append(lines[len(lines)-1], "--key", "runs.best")
	e.export(lines...)
	for _, name := range files {
		bias := e.values(name+".out", func(s *torch.Scope, m *torch.Module) *torch.Tensor { return m.Parameter(s, "fc.bias") })
		if !reflect.DeepEqual(bias, []float32{1, 2, 3}) {
			t.Errorf("%s: the bias of fc is %v", name, bias)
		}
	}
}

func TestExportRefusesWeights(t *testing.T) {
	testenv.AnyLibtorch(t)
	e := newSmallExporter(t, `
import os, pickle, tarfile, torch
from pkg.net import Small
class Evil:
    def __reduce__(self):
        return os.system, ("touch executed",)
state = Small().state_dict()
evil = {"model": state, "more": Evil()}
torch.save(evil, "evil.pt")
torch.save(evil, "evil-legacy.pt", _use_new_zipfile_serialization=False)
pickle.dump(evil, open("evil.pkl", "wb"))
with tarfile.open("evil-tar.pt", "w") as tar:
    tar.add("evil.pkl", "pickle")
torch.save(Small(), "pickled.pt")
torch.jit.script(Small()).save("script.pt")
torch.save({"epoch": 3, "lr": 0.1}, "none.pt")
torch.save(Small(7).state_dict(), "seven.pt")
torch.save({k: v for k, v in state.items() if k != "fc.bias"}, "lacks.pt")
torch.save({**state, "extra.weight": torch.ones(1)}, "more.pt")
open("text.pt", "w").write("hello")
open("cut.pt", "wb").write(open("more.pt", "rb").read()[:400])
`)
	cases := []struct{ file, want string }{
		{"evil.pt", "it calls posix.system"},
		{"evil-legacy.pt", "posix.system"},
		{"evil.pkl", "refused"},
		{"evil-tar.pt", "cannot be read safely"},
		{"pickled.pt", "it calls pkg.net.Small"},
		{"script.pt", "TorchScript already"},
		{"none.pt", "no state dict found in the keys epoch, lr"},
		{"seven.pt", "fc.weight is 7×4 in the file and 3×4 in the model"},
		{"lacks.pt", "the file lacks fc.bias"},
		{"more.pt", "the model has no extra.weight"},
		{"text.pt", "text.pt"},
		{"cut.pt", "cut.pt"},
		{"absent.pt", "no such file"},
	}
	var lines [][]string
	for _, c := range cases {
		lines = append(lines, []string{"pkg/net.py:Small", "--weights", c.file, "-o", "out.pt"})
	}
	results := e.refused(lines...)
	for i, c := range cases {
		if text := results[i].Err; !strings.Contains(text, c.want) || strings.Count(text, "\n") != 1 {
			t.Errorf("%s: %s", c.file, text)
		}
	}
	// The same files are dangerous indeed.
	e.run([]string{"pkg/net.py:Small", "--weights", "evil.pt", "--trust-pickle", "-o", "out.pt"})
	if _, err := os.Stat(e.path("executed")); err != nil {
		t.Error("evil.pt is harmless: the refusals prove nothing")
	}
}

// Each class has one line that TorchScript does not take, marked with its name.
const refusedNets = `
import functools
import torch
from torch import nn
import torch.nn.functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 2)
    def features(self, x):
        return x.mean((2, 3))

class Kwargs(Net):
    def forward(self, x, **kwargs):  # Kwargs
        return self.fc(self.features(x))

class Default(Net):
    def forward(self, x, scale=2):  # Default
        return self.fc(self.features(x)) * scale

class Branch(Net):
    def forward(self, x):
        x = self.features(x)
        if x.sum() < 1e9:  # Branch
            y = self.fc(x)
        return y

class Lambda(Net):
    def __init__(self):
        super().__init__()
        self.act = lambda x: x.relu()  # Lambda

    def forward(self, x):
        return self.fc(self.act(self.features(x)))

class Partial(Net):
    def __init__(self):
        super().__init__()
        self.act = functools.partial(F.leaky_relu, negative_slope=0.1)  # Partial

    def forward(self, x):
        return self.fc(self.act(self.features(x)))

class PythonList(Net):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(3, 3)]  # PythonList

    def forward(self, x):
        x = self.features(x)
        for layer in self.layers:
            x = layer(x)
        return self.fc(x)

class Text(Net):
    def forward(self, x):
        assert x.dim() == 4, f"{x.shape!r}"  # Text
        return self.fc(self.features(x))

class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 3, 1), Text())

    def forward(self, x):
        return self.net(x)
`

func TestExportNamesTheLineThatCannotBeScripted(t *testing.T) {
	testenv.AnyLibtorch(t)
	e := newExporter(t)
	e.write("nets.py", refusedNets)
	line := func(mark string) int {
		before, _, _ := strings.Cut(refusedNets, "# "+mark+"\n")
		return strings.Count(before, "\n") + 1
	}
	cases := []struct{ class, mark, hint string }{
		{"Kwargs", "Kwargs", "write the arguments out"},
		{"Default", "Default", "scale: int = 2"},
		{"Branch", "Branch", "before the if"},
		{"Lambda", "Lambda", "small nn.Module"},
		{"Partial", "Partial", "functools.partial"},
		{"PythonList", "PythonList", "nn.ModuleList"},
		{"Inner", "Text", "part:   net.1 (Text)"},
	}
	var lines [][]string
	for _, c := range cases {
		lines = append(lines, []string{"nets.py:" + c.class, "-o", "out.pt", "--shape", "3,12,12"})
	}
	results := e.refused(lines...)
	for i, c := range cases {
		place, text := fmt.Sprintf("nets.py, line %d:", line(c.mark)), results[i].Err
		if !strings.Contains(text, place) || !strings.Contains(text, c.hint) {
			t.Errorf("%s: wanted %s and %q in: %s", c.class, place, c.hint, text)
		}
	}
}

func TestExportTracesOnlyWhereAsked(t *testing.T) {
	testenv.AnyLibtorch(t)
	e := newSmallExporter(t, "")
	// As a process of its own, as users have it.
	code, stdout, stderr := e.python(e.script, "pkg.net:Small", "--trace", "-o", "traced.pt", "--shape", "3,12,12")
	if code != 0 || !strings.Contains(stdout, "TRACED in evaluation mode") || !strings.Contains(stderr, "cannot be trained") {
		t.Errorf("exit code %d, the script says:\n%s%s", code, stdout, stderr)
	}
	if in := e.inspect("traced.pt", 3, 12, 12); !strings.HasPrefix(in.TrainEval, "no effect, though") || in.Head != "fc" {
		t.Errorf("inspect says: %s, head %q", in.TrainEval, in.Head)
	}
	results := e.export([]string{"pkg.net:Small", "--trace=train", "-o", "training.pt", "--shape", "3,12,12"})
	if !strings.Contains(results[0].Out, "TRACED in training mode") {
		t.Errorf("the script says:\n%s", results[0].Out)
	}
}

func TestExportMisuse(t *testing.T) {
	testenv.AnyLibtorch(t)
	e := newSmallExporter(t, `
open("broken.py", "w").write("def make():\n    raise ValueError('oh')\n")
open("pair.py", "w").write("from pkg.net import Small\nclass Pair(Small):\n    def forward(self, x):\n        y = super().forward(x)\n        return y, y\n")
open("there.pt", "w").write("mine")
`)
	cases := []struct{ args, want string }{
		{"", "required"},
		{"pkg.net -o out.pt", "module:function"},
		{"pkg.net:Smal -o out.pt", "did you mean Small"},
		{"pkg.nets:Small -o out.pt", "no such module"},
		{"absent.py:Small -o out.pt", "no such file"},
		{"pkg.net:torch -o out.pt", "not a function or class"},
		{"broken.py:make -o out.pt", "ValueError: oh (broken.py, line 2)"},
		{"pkg.net:Small --arg class=1 -o out.pt", "unexpected keyword argument 'class'"},
		{"pkg.net:Small --arg classes -o out.pt", "KEY=VALUE"},
		{"pkg.net:Small --shape 3,12 -o out.pt", "channels,height,width"},
		{"pkg.net:Small --shape 1,12,12 -o out.pt", "does not take images of 1×12×12"},
		{"pair.py:Pair -o out.pt", "returns a tuple"},
		{"pkg.net:Small -o absent/out.pt", "the folder"},
		{"pkg.net:Small -o there.pt", "--force"},
	}
	var lines [][]string
	for _, c := range cases {
		lines = append(lines, strings.Fields(c.args))
	}
	results := e.refused(lines...)
	for i, c := range cases {
		if text := results[i].Err; !strings.Contains(text, c.want) || strings.Count(text, "\n") != 1 {
			t.Errorf("%q: %s", c.args, text)
		}
	}
}
