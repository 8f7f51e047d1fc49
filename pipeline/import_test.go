package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ulrl/pipeline/backdoorbench"
	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/runstore"
	"ulrl/pipeline/testenv"
	"ulrl/pipeline/zoo"
	torch "ulrl/torchbridge"
)

// record makes one of a full PreActResNet18 with random weights, by Python.
func (f *fixture) record(prefix string) (dir, model string) {
	f.t.Helper()
	interpreter := testenv.Python(f.t, "torch", "numpy", "PIL")
	model = f.path("original.pt")
	testenv.Do(f.t, f.dev, func(s *torch.Scope) error {
		m, err := zoo.New(s, zoo.Spec{Name: "preactresnet18", Width: 64, Channels: 3, Classes: 10, Seed: 3})
		if err != nil {
			return err
		}
		archive, err := saveForUsers(s, m)
		if err != nil {
			return err
		}
		return os.WriteFile(model, archive, 0o644)
	})
	dir = f.path("record", "badnet_0_1")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		f.t.Fatal(err)
	}
	script := filepath.Join(testenv.Root(f.t), "pipeline", "testdata", "record.py")
	if out, err := exec.Command(interpreter, script, model, dir, prefix).CombinedOutput(); err != nil {
		f.t.Fatalf("%v: %s", err, out)
	}
	return dir, model
}

// colourImages writes ten classes of random 32×32 images, n of each in dir/train
// and dir/test.
func colourImages(t *testing.T, dir string, n int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, 6))
	for _, split := range []string{"train", "test"} {
		set := &dataset.Set{C: 3, H: 32, W: 32, Images: make([]uint8, 10*n*3*32*32)}
		for i := range set.Images {
			set.Images[i] = uint8(rng.IntN(256))
		}
		for class := range 10 {
			set.Classes = append(set.Classes, fmt.Sprint(class))
			for range n {
				set.Labels = append(set.Labels, int64(class))
			}
		}
		if err := runstore.NewFolder(filepath.Join(dir, split), func(at string) error { return dataset.FillFolder(context.Background(), set, at) }); err != nil {
			t.Fatal(err)
		}
	}
}

func (f *fixture) logits(s *torch.Scope, path string, x *torch.Tensor) ([]float32, error) {
	archive, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := s.LoadModule(archive)
	if err != nil {
		return nil, err
	}
	if err := m.Train(false); err != nil {
		return nil, err
	}
	var out []float32
	s.NoGrad(func() { out = torch.Values[float32](m.Forward(x)) })
	return out, s.Err()
}

// imports is Import into the folder that it is for.
func (f *fixture) imports(record string, o ImportOptions) (result *ImportResult, err error) {
	err = runstore.NewFolder(ImportFolder(record, o), func(partial string) (err error) {
		result, err = Import(context.Background(), f.env, record, o, partial)
		return err
	})
	return result, err
}

// A record goes in, is cleaned, and comes out as BackdoorBench reads it.
func TestRecordRoundTrip(t *testing.T) {
	f := newFixture(t)
	record, original := f.record("module.")
	ctx := context.Background()
	result, err := f.imports(record, ImportOptions{Dir: f.path("imported"), Data: f.path("colour")})
	if err != nil {
		t.Fatal(err)
	}
	if result.Network != "preactresnet18" || result.Triggered != 12 || result.Target != 0 || len(result.Warnings) != 0 {
		t.Errorf("%+v", result)
	}
	testenv.Do(t, f.dev, func(s *torch.Scope) error {
		x := s.Full(0.3, torch.Float32, 2, 3, 32, 32)
		a, err := f.logits(s, original, x)
		if err != nil {
			return err
		}
		b, err := f.logits(s, f.path("imported", config.BackdooredFile), x)
		if err == nil && fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("the imported model's logits are %v, the original's %v", b, a)
		}
		return err
	})
	if text, err := os.ReadFile(f.path("imported", FileImport)); err != nil || !bytes.Contains(text, []byte(`"checksum"`)) || runstore.CheckSeal(text) != nil {
		t.Errorf("%s: %s, %v", FileImport, text, err)
	}
	colourImages(t, f.path("colour"), 2)
	c, err := config.Load(f.path("imported", FileImportConfig), config.Options{Sets: []string{
		"data.kind=folder", "device=cpu", "output=" + f.path("run"), "clean.ratio=0.8", "unlearn.epochs=1", "relearn.epochs=1", "unlearn.batch_size=8", "relearn.batch_size=8",
		"relearn.counter.weight=0", // which of a network as wide as published takes minutes
	}})
	if err != nil {
		t.Fatal(err)
	}
	run, err := Run(ctx, c, f.env, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if run.Before.TriggeredImages != 12 || run.Before.ASR == nil || run.After.RA == nil || run.Before.CleanImages != 20 {
		t.Errorf("before %+v, after %+v", run.Before, run.After)
	}
	cleaned := f.path("run", runstore.FileCleaned)
	text, err := ExportDefense(ctx, f.env, cleaned, record)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(record, "defense", "ulrl", "defense_result.pt")
	if DefenseFile(record) != file {
		t.Error(DefenseFile(record))
	}
	if err := WriteDefense(file, text); err != nil {
		t.Fatal(err)
	}
	program := `
import sys, torch
got = torch.load(sys.argv[1], weights_only=True)
attack = torch.load(sys.argv[2])
want = torch.jit.load(sys.argv[3]).state_dict()
assert list(got) == ["model_name", "num_classes", "model"] and got["model_name"] == "preactresnet18" and got["num_classes"] == 10
assert list(got["model"]) == [name[len("module."):] for name in attack["model"]]
for name, value in want.items():
    assert torch.equal(got["model"][name], value), name
assert not torch.equal(got["model"]["linear.weight"], attack["model"]["module.linear.weight"])
`
	interpreter := testenv.Python(t, "torch", "numpy")
	if out, err := exec.Command(interpreter, "-c", program, file, filepath.Join(record, "attack_result.pt"), cleaned).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	// Writing the defence needs the weights alone.
	if err := os.RemoveAll(filepath.Join(record, "bd_test_dataset")); err != nil {
		t.Fatal(err)
	}
	if _, err := ExportDefense(ctx, f.env, cleaned, record); err != nil {
		t.Error(err)
	}
	if _, err := f.imports(record, ImportOptions{Dir: f.path("imported")}); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Error(err)
	}
	if _, err := ExportDefense(ctx, f.env, f.save("other.pt", linearClassifier), record); err == nil || !strings.Contains(err.Error(), "was not cleaned from this record") {
		t.Error(err)
	}
}

func linearClassifier(b *torch.Builder, s *torch.Scope) *torch.Part {
	return b.Part("Linear").Parameter("weight", s.Full(0.1, torch.Float32, 10, 3*32*32)).
		Define("def forward(self, x):\n    return torch.linear(torch.flatten(x, 1), self.weight)\n")
}

// variants are copies of a record's file, each changed by a Python statement on
// the record r and its test images data.
func variants(t *testing.T, interpreter, file string, changes map[string]string) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	program := "import os, sys, torch\nfile, dir = sys.argv[1:]\nclass Evil:\n    def __reduce__(self):\n        return os.system, ('false',)\n"
	for name, change := range changes {
		program += fmt.Sprintf("r = torch.load(file)\ndata = r['bd_test']['bd_data_container']['data_dict']\n%s\ntorch.save(r, dir + '/%s')\n", change, name)
	}
	if out, err := exec.Command(interpreter, "-c", program, file, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out := map[string][]byte{}
	for name := range changes {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		out[name] = data
	}
	return out
}

// What can be wrong with a record is said in a line and leaves nothing.
func TestBadRecords(t *testing.T) {
	testenv.AnyLibtorch(t)
	f := newFixture(t)
	record, _ := f.record("")
	interpreter := testenv.Python(t, "torch", "numpy", "PIL")
	images := filepath.Join(record, "bd_test_dataset")
	file := filepath.Join(record, "attack_result.pt")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	hurt := variants(t, interpreter, file, map[string]string{
		"another architecture": "r['model_name'] = 'vgg19_bn'", "an unknown one": "r['model_name'] = 'lenet'",
		"other classes": "r['num_classes'] = 43", "no record": "r = r['model']", "one without a weight": "del r['model']['linear.bias']",
		"a path outside": "data[0]['path'] = '..'", "a class beyond": "data[0]['other_info'] = [0, 10]",
		"an image twice":         "data[0]['path'] = data[3]['path']",
		"classes that are lists": "data[0]['other_info'] = [[0], [1]]",
		"hostile":                "r['model'] = Evil()",
	})
	edit := func(name string) func() error {
		return func() error { return os.WriteFile(file, hurt[name], 0o644) }
	}
	python := func(program string) func() error {
		return func() error {
			return exec.Command(interpreter, "-c", "import sys\nfrom PIL import Image\nd = sys.argv[1]\n"+program, images).Run()
		}
	}
	picture := filepath.Join(images, "1", "0.png")
	saved, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		harm func() error
		want string
	}{
		{"truncated", func() error { return os.WriteFile(file, whole[:len(whole)/2], 0o644) }, "truncated"},
		{"missing", func() error { return os.Remove(file) }, "attack_result.pt: no such file"},
		{"another architecture", edit("another architecture"), "vgg19_bn"},
		{"an unknown one", edit("an unknown one"), `no network named "lenet"`},
		{"other classes", edit("other classes"), "linear.weight"},
		{"no record", edit("no record"), "lacks model_name"},
		{"one without a weight", edit("one without a weight"), "linear.bias"},
		{"a path outside", edit("a path outside"), "test image 0"},
		{"a class beyond", edit("a class beyond"), "wanted numbers from 0 to 9"},
		{"an image twice", edit("an image twice"), "bd_test_dataset/1/3.png twice"},
		{"classes that are lists", edit("classes that are lists"), "has classes a list and a list, wanted numbers"},
		{"hostile", edit("hostile"), "posix.system, which is refused"},
		{"an image missing", func() error { return os.Remove(picture) }, "bd_test_dataset/1/0.png, which is not there"},
		{"another size", python("Image.new('RGB', (16, 16)).save(d + '/1/0.png')"), "16×16"},
		{"mixed sizes", python("Image.new('RGB', (16, 16)).save(d + '/2/1.png')"), "16×16"},
		{"no image", func() error { return os.WriteFile(picture, []byte("hello"), 0o644) }, "1/0.png: not a PNG"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.harm(); err != nil {
				t.Fatal(err)
			}
			_, err := f.imports(record, ImportOptions{Dir: f.path("out", "model")})
			if err == nil || !fault.IsMisuse(err) || !strings.Contains(err.Error(), c.want) || strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), ".partial-") {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if left, _ := os.ReadDir(f.path("out")); len(left) != 0 {
				t.Errorf("left %v", left)
			}
			for path, data := range map[string][]byte{file: whole, picture: saved} {
				if err := os.WriteFile(path, data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if c.name == "mixed sizes" {
				if err := os.WriteFile(filepath.Join(images, "2", "1.png"), saved, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	if err := os.WriteFile(filepath.Join(images, "1", "notes.txt"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	result, err := f.imports(record, ImportOptions{Dir: f.path("out", "model")})
	if err != nil || len(result.Warnings) != 1 || !strings.Contains(result.Warnings[0], "bd_test_dataset/1/notes.txt") {
		t.Errorf("%+v, %v", result, err)
	}
}

// The config of every data set that BackdoorBench has, and of another, is whole.
func TestImportedConfigs(t *testing.T) {
	for set, want := range map[string]string{
		"cifar10": "cifar10", "cifar100": "cifar100", "gtsrb": "gtsrb", "tiny": "tiny-imagenet", "mnist": "mnist", "celeba": "custom", "imagenet": "custom", "mine": "custom",
	} {
		r := &backdoorbench.Record{DataSet: set, Classes: 10, H: 64, W: 48, C: 3, Triggered: []dataset.Listed{{File: "a/1.png", Class: 1, Target: 2}}}
		if set == "mnist" {
			r.C = 1
		}
		im := &importing{r: r, o: ImportOptions{Dir: `models/a "b"`, Data: `C:\data`}, name: configName("ü"), result: &ImportResult{Target: 2}}
		path := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(path, im.config(), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load(path, config.Options{})
		if err != nil {
			t.Errorf("%s: %v", set, err)
			continue
		}
		if c.Name != "-" || c.Data.Name != want || c.Data.Dir != `C:\data` || c.Attack.Images != `models/a "b"/triggered` || c.Attack.Target != 2 {
			t.Errorf("%s: %+v", set, c)
		}
		if warned := len(im.result.Warnings) > 0; warned != (set == "mine") {
			t.Errorf("%s: warnings %q", set, im.result.Warnings)
		}
		if files := set != "mnist" && !strings.HasPrefix(set, "cifar"); files != (len(c.Data.Size) == 2) {
			t.Errorf("%s: size %v", set, c.Data.Size)
		}
		if _, err := dataset.NormalisationFor(c.Data.Name, c.Data.Mean, c.Data.Std, r.C); err != nil {
			t.Errorf("%s: %v", set, err)
		}
	}
}
