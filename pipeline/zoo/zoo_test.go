package zoo

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

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

func TestSizesSeedAndModes(t *testing.T) {
	_, dev := testenv.CPU(t)
	testenv.Do(t, dev, func(s *torch.Scope) error {
		for _, c := range []struct{ width, channels, classes, size int }{{8, 3, 10, 32}, {4, 1, 43, 28}, {2, 3, 200, 64}} {
			m, err := New(s, Spec{Name: "preactresnet18", Width: c.width, Channels: c.channels, Classes: c.classes, Seed: 1})
			if err != nil {
				return err
			}
			x := s.Full(0.5, torch.Float32, 2, c.channels, c.size, c.size)
			if got := m.Forward(x).Shape(); !reflect.DeepEqual(got, []int{2, c.classes}) {
				t.Errorf("%+v: output %v", c, got)
			}
			if got := m.Buffer(s, "layer1.0.bn1.num_batches_tracked").Item(); got != 1 {
				t.Errorf("%+v: %v batches tracked", c, got)
			}
			reacts, err := model.Reacts(s, m, x)
			if err != nil || !reacts.Reacts || !reacts.HasBatchNorm || reacts.Frozen() {
				t.Errorf("%+v: %+v %v", c, reacts, err)
			}
			layers, err := model.Layers(s, m)
			if head, ok := model.Head(layers, c.classes); err != nil || !ok || head.Name != "linear" || head.Bias != "linear.bias" {
				t.Errorf("%+v: head %+v", c, head)
			}
		}
		first := func(seed uint64) []float32 {
			m, err := New(s, Spec{Name: "preactresnet18", Width: 4, Channels: 1, Classes: 10, Seed: seed})
			if err != nil {
				t.Error(err)
				return nil
			}
			return torch.Values[float32](m.Parameter(s, "linear.weight"))
		}
		if a, b, c := first(1), first(1), first(2); !reflect.DeepEqual(a, b) || reflect.DeepEqual(a, c) {
			t.Error("weights do not follow the seed")
		}
		_, err := New(s, Spec{Name: "lenet"})
		if err == nil || !strings.Contains(err.Error(), `no network named "lenet"`) {
			t.Errorf("got %v", err)
		}
		return s.Err()
	})
}
