package zoo

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/model"
	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// The published definition, trained elsewhere: with its weights ours gives its
// logits.
func TestPreActResNet18EqualsThePublishedOne(t *testing.T) {
	path := filepath.Join(testenv.Shared(t, "reference", "ulrl-trace"), "backdoored.pt")
	archive, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, dev := testenv.CPU(t)
	testenv.Do(t, dev, func(s *torch.Scope) error {
		theirs, err := s.LoadModule(archive)
		if err != nil {
			return err
		}
		ours, err := New(s, Spec{Name: "preactresnet18", Width: 16, Channels: 1, Classes: 10})
		if err != nil {
			return err
		}
		if err := ours.Train(false); err != nil {
			return err
		}
		if err := theirs.Train(false); err != nil {
			return err
		}
		mine, _ := ours.Parameters()
		published, _ := theirs.Parameters()
		// There the shortcut is the convolution itself, not a sequence of one.
		same := strings.ReplaceAll(strings.Join(published, " "), "shortcut.", "shortcut.0.")
		if strings.Join(mine, " ") != same {
			t.Errorf("parameters\n%v\nwant\n%v", mine, same)
		}
		for i, name := range published {
			ours.Parameter(s, mine[i]).CopyFrom(theirs.Parameter(s, name))
		}
		buffers, _ := ours.Buffers()
		for _, name := range buffers {
			ours.Buffer(s, name).CopyFrom(theirs.Buffer(s, name))
		}
		images := make([]float32, 4*28*28)
		for i := range images {
			images[i] = float32(i%97)/48 - 1
		}
		x := torch.From(s, images, 4, 1, 28, 28)
		s.NoGrad(func() {
			worst := ours.Forward(x).Sub(theirs.Forward(x)).Abs().Sum().Item()
			if worst > 1e-5 {
				t.Errorf("the logits differ by %g in sum", worst)
			}
		})
		return s.Err()
	})
}

// Small ones of every network: sizes, the head, what training mode does.
func TestEveryNetwork(t *testing.T) {
	widths := map[string]int{"vit_b_16": 64, "mobilenet_v3_large": 8, "efficientnet_b0": 0, "efficientnet_b3": 0}
	heads := map[string]string{
		"preactresnet18": "linear", "vgg16": "classifier.6", "vgg16_bn": "classifier.6", "vgg19": "classifier.6", "vgg19_bn": "classifier.6",
		"vit_b_16": "1.heads.head", "resnet18": "fc", "resnet34": "fc", "resnet50": "fc", "convnext_tiny": "classifier.2",
		"mobilenet_v3_large": "classifier.3", "efficientnet_b0": "classifier.1", "efficientnet_b3": "classifier.1",
		"densenet121": "classifier", "densenet161": "classifier",
	}
	lib, dev := testenv.CPU(t)
	if err := lib.Seed(1); err != nil { // of dropout and stochastic depth
		t.Fatal(err)
	}
	for i, name := range Names() {
		width, ok := widths[name]
		if !ok {
			width = 4
		}
		spec := Spec{Name: name, Width: width, Channels: 1 + i%2*2, Classes: 43, Seed: 1}
		t.Run(name, func(t *testing.T) {
			testenv.Do(t, dev, func(s *torch.Scope) error { return checkNetwork(t, s, spec, heads[name]) })
		})
	}
}

func checkNetwork(t *testing.T, s *torch.Scope, spec Spec, headName string) error {
	m, err := New(s, spec)
	if err != nil {
		return err
	}
	images := make([]float32, 4*spec.Channels*32*40)
	for i := range images {
		images[i] = float32(i%97)/48 - 1
	}
	x := torch.From(s, images, 4, spec.Channels, 32, 40)
	if got := m.Forward(x).Shape(); !slices.Equal(got, []int{4, spec.Classes}) {
		t.Errorf("output %v", got)
	}
	buffers, err := m.Buffers()
	if err != nil {
		return err
	}
	for _, name := range buffers {
		if strings.HasSuffix(name, "num_batches_tracked") && m.Buffer(s, name).Item() != 1 {
			t.Errorf("%s is %v after one batch", name, m.Buffer(s, name).Item())
		}
	}
	reacts, err := model.Reacts(s, m, x)
	norm := len(buffers) > 0
	if err != nil || reacts.HasBatchNorm != norm || reacts.Frozen() || reacts.Reacts != (spec.Name != "vit_b_16") {
		t.Errorf("%+v %v", reacts, err)
	}
	layers, err := model.Layers(s, m)
	head, ok := model.Head(layers, spec.Classes)
	if err != nil || !ok || head.Name != headName || head.Bias != headName+".bias" {
		t.Errorf("head %+v %v", head, err)
	}
	return s.Err()
}

func TestSeed(t *testing.T) {
	_, dev := testenv.CPU(t)
	testenv.Do(t, dev, func(s *torch.Scope) error {
		first := func(name string, seed uint64) []float32 {
			m, err := New(s, Spec{Name: name, Width: 4, Channels: 1, Classes: 10, Seed: seed})
			if err != nil {
				t.Error(err)
				return nil
			}
			return torch.Values[float32](m.Parameter(s, "conv1.weight"))
		}
		for _, name := range []string{"preactresnet18", "resnet18"} {
			if a, b, c := first(name, 1), first(name, 1), first(name, 2); !slices.Equal(a, b) || slices.Equal(a, c) {
				t.Errorf("%s: weights do not follow the seed", name)
			}
		}
		return s.Err()
	})
}

// Models that were trained before must be made again from their seed.
func TestPreActResNet18StartsAsEver(t *testing.T) {
	_, dev := testenv.CPU(t)
	testenv.Do(t, dev, func(s *torch.Scope) error {
		m, err := New(s, Spec{Name: "preactresnet18", Width: 4, Channels: 1, Classes: 10, Seed: 1})
		if err != nil {
			return err
		}
		got := torch.Values[float32](m.Parameter(s, "linear.bias"))[:3]
		if want := []float32{-0.15170994, 0.08194102, -0.15135114}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		return s.Err()
	})
}

func TestSpecsThatCannotBeMade(t *testing.T) {
	_, dev := testenv.CPU(t)
	ok := Spec{Channels: 3, Classes: 10}
	for _, c := range []struct {
		change func(*Spec)
		want   string
	}{
		{func(s *Spec) { s.Name = "lenet" }, `no network named "lenet"; there is: preactresnet18, vgg16, `},
		{func(s *Spec) { s.Name, s.Width = "efficientnet_b3", 16 }, "efficientnet_b3 comes in its published width only: width 40, or 0, not 16"},
		{func(s *Spec) { s.Name, s.Width = "vit_b_16", 16 }, "vit_b_16 cannot have the width 16: a multiple of 64, or 0 for the published 768"},
		{func(s *Spec) { s.Name, s.Width = "resnet18", -64 }, "resnet18 cannot have the width -64"},
		{func(s *Spec) { s.Name, s.Width = "densenet121", 3 }, "densenet121 cannot have the width 3: a multiple of 2"},
		{func(s *Spec) { s.Name, s.Side = "vgg16", 28 }, "vgg16 takes images of at least 32×32 pixels, the smaller side of these has 28"},
		{func(s *Spec) { s.Name, s.Channels = "resnet18", 2 }, "resnet18 takes images of 1 or 3 channels, not 2"},
		{func(s *Spec) { s.Name, s.Classes = "resnet18", 1 }, "resnet18 tells at least 2 classes apart, not 1"},
	} {
		spec := ok
		c.change(&spec)
		err := dev.Do(context.Background(), func(s *torch.Scope) error {
			_, err := New(s, spec)
			return err
		})
		if !fault.IsMisuse(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %s", spec, err, c.want)
		}
	}
}

// The smallest side that check asks for is one that the network can take, and
// the next smaller one is not.
func TestSmallestImages(t *testing.T) {
	_, dev := testenv.CPU(t)
	for _, n := range networks() {
		if n.side == 1 {
			continue
		}
		for _, side := range []int{n.side, n.side - 1} {
			err := dev.Do(context.Background(), func(s *torch.Scope) error {
				m, err := New(s, Spec{Name: n.name, Width: 2, Channels: 1, Classes: 2})
				if err != nil {
					return err
				}
				m.Forward(s.Full(0.5, torch.Float32, 2, 1, side, side))
				return s.Err()
			})
			if (err == nil) != (side == n.side) {
				t.Errorf("%s on %d×%d: %v", n.name, side, side, err)
			}
		}
	}
}

// A config names every network that there is.
func TestConfigNamesThem(t *testing.T) {
	field, _ := reflect.TypeFor[config.Arch]().FieldByName("Name")
	if got, want := field.Tag.Get("validate"), "oneof="+strings.Join(Names(), " "); got != want {
		t.Errorf("config has %s, zoo %s", got, want)
	}
}
