package defense

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/sbinet/npyio"

	"ulrl/pipeline/config"
	"ulrl/pipeline/model"
	"ulrl/pipeline/testenv"
	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// trace is what reference/ulrl-trace/trace.json holds of the authors' run.
type trace struct {
	BatchSize int `json:"batch_size"`
	Unlearn   struct {
		LR          float64 `json:"lr"`
		Momentum    float64 `json:"momentum"`
		WeightDecay float64 `json:"weight_decay"`
		Milestones  []int   `json:"milestones"`
		Gamma       float64 `json:"gamma"`
		Clip        float64 `json:"clip_grad_norm"`
		MaxEpochs   int     `json:"max_epochs"`
		Stop        float64 `json:"accuracy_threshold"`
		Epochs      []struct {
			LR       float64   `json:"lr"`
			Losses   []float64 `json:"batch_losses"`
			Accuracy float64   `json:"train_accuracy"`
		} `json:"epochs"`
	} `json:"unlearn"`
	Suspicious struct {
		Layer     string    `json:"layer"`
		Change    []float64 `json:"row_l1_change"`
		Median    float64   `json:"median"`
		MAD       float64   `json:"mad"`
		Z         []float64 `json:"z"`
		Threshold float64   `json:"threshold"`
		Max       int       `json:"max"`
		Beyond    []int     `json:"indices_before_cap"`
		Selected  []int     `json:"indices"`
	} `json:"suspicious"`
	Relearn struct {
		LR          float64 `json:"lr"`
		Momentum    float64 `json:"momentum"`
		WeightDecay float64 `json:"weight_decay"`
		Alpha       float64 `json:"alpha"`
		EpochsTotal int     `json:"epochs_total"`
		Epochs      []struct {
			LR     float64   `json:"lr"`
			Losses []float64 `json:"batch_losses"`
		} `json:"epochs"`
		Final struct {
			Accuracy float64            `json:"clean_accuracy_on_samples"`
			Cosine   []float64          `json:"cosine_to_original"`
			Logits   [][]float64        `json:"logits_first_4"`
			Norms    map[string]float64 `json:"param_l2"`
		} `json:"final"`
	} `json:"relearn"`
}

// traced serves the trace's images in order, in float64.
type traced struct {
	images, labels *torch.Tensor
	batch, n       int
}

func (d traced) Batches() int { return (d.n + d.batch - 1) / d.batch }
func (d traced) Batch(s *torch.Scope, _, i int) (*torch.Tensor, *torch.Tensor) {
	size := min(d.batch, d.n-i*d.batch)
	return d.images.In(s).Narrow(0, i*d.batch, size), d.labels.In(s).Narrow(0, i*d.batch, size)
}

type silent struct{}

func (silent) Batch(string)            {}
func (silent) Epoch(train.Epoch) error { return nil }

// TestConformance runs the pipeline's own functions on the model and data of
// the authors' published steps and compares every number they traced: within
// 1e-6 relative, and 1e-4 in unlearning's last epoch, where losses explode.
func TestConformance(t *testing.T) {
	dir := testenv.Shared(t, "reference", "ulrl-trace")
	var want trace
	readJSON(t, filepath.Join(dir, "trace.json"), &want)
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	c := loadConformance(t, dev, keep, dir, want.BatchSize)
	ctx := context.Background()

	unlearned, err := Unlearn(ctx, dev, c.victim, c.data, config.Unlearn{
		Epochs: want.Unlearn.MaxEpochs, LR: want.Unlearn.LR, Momentum: want.Unlearn.Momentum,
		WeightDecay: want.Unlearn.WeightDecay, Milestones: want.Unlearn.Milestones, Gamma: want.Unlearn.Gamma,
		ClipNorm: want.Unlearn.Clip, StopAccuracy: want.Unlearn.Stop,
	}, silent{})
	if err != nil {
		t.Fatal(err)
	}
	if len(unlearned) != len(want.Unlearn.Epochs) {
		t.Fatalf("unlearning took %d epochs, the authors' %d", len(unlearned), len(want.Unlearn.Epochs))
	}
	for i, e := range want.Unlearn.Epochs {
		tolerance := 1e-6
		if i == len(unlearned)-1 {
			tolerance = 1e-4
		}
		near(t, "unlearn losses", unlearned[i].Batches, e.Losses, tolerance)
		near(t, "unlearn accuracy, lr", []float64{unlearned[i].Accuracy, unlearned[i].LR}, []float64{e.Accuracy, e.LR}, 1e-12)
	}

	layers, err := model.Match(c.layers, []string{"head"}, 10)
	if err != nil || layers[0].Name != want.Suspicious.Layer {
		t.Fatalf("the head is %v (%v), want %s", layers, err, want.Suspicious.Layer)
	}
	scores, err := Score(ctx, dev, c.original, c.victim, layers)
	if err != nil {
		t.Fatal(err)
	}
	sel := Select(scores[0], config.Suspicious{Rule: "mad", Threshold: want.Suspicious.Threshold, Max: want.Suspicious.Max, Order: "index"})
	// The scores inherit the tolerance of unlearning's last epoch.
	near(t, "scores", sel.Change, want.Suspicious.Change, 1e-4)
	near(t, "median, MAD", []float64{sel.Median, sel.MAD}, []float64{want.Suspicious.Median, want.Suspicious.MAD}, 1e-4)
	near(t, "z", sel.Z, want.Suspicious.Z, 1e-4)
	if !reflect.DeepEqual(sel.Beyond, want.Suspicious.Beyond) || !reflect.DeepEqual(sel.Selected, want.Suspicious.Selected) {
		t.Errorf("selected %v of %v, the authors %v of %v", sel.Selected, sel.Beyond, want.Suspicious.Selected, want.Suspicious.Beyond)
	}

	r := want.Relearn
	remedy := Remedy{
		Model: c.original, Layers: layers, Selections: []Selection{sel},
		Fresh: func(model.Layer, []int) []float64 { return c.fresh },
	}
	relearned, err := Relearn(ctx, dev, remedy, c.data,
		config.Relearn{Epochs: r.EpochsTotal, LR: r.LR, Momentum: r.Momentum, WeightDecay: r.WeightDecay, Alpha: r.Alpha}, silent{})
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range r.Epochs {
		near(t, "relearn losses", relearned[i].Totals, e.Losses, 1e-6)
		near(t, "relearn lr", []float64{relearned[i].LR}, []float64{e.LR}, 1e-12)
	}
	c.checkFinal(t, dev, want, layers[0])
}

type conformance struct {
	victim, original *torch.Module
	data             traced
	fresh            []float64
	layers           []model.Layer
}

func loadConformance(t *testing.T, dev *torch.Device, keep *torch.Scope, dir string, batch int) conformance {
	t.Helper()
	archive, err := os.ReadFile(filepath.Join(dir, "backdoored.pt"))
	if err != nil {
		t.Fatal(err)
	}
	images := readNPY[float32](t, filepath.Join(dir, "images.npy"))
	labels := readNPY[int64](t, filepath.Join(dir, "labels.npy"))
	c := conformance{fresh: readNPY[float64](t, filepath.Join(dir, "reinit_rows.npy"))}
	testenv.Do(t, dev, func(s *torch.Scope) error {
		if c.original, err = keep.LoadModule(archive); err != nil {
			return err
		}
		if err = c.original.To(torch.Float64); err != nil {
			return err
		}
		if c.victim, err = c.original.CopyTo(keep); err != nil {
			return err
		}
		n := len(labels)
		c.data = traced{
			images: torch.From(s, images, n, 1, 28, 28).To(torch.Float64).MoveTo(keep),
			labels: torch.From(s, labels, n).MoveTo(keep), batch: batch, n: n,
		}
		c.layers, err = model.Layers(s, c.original)
		return err
	})
	return c
}

func (c conformance) checkFinal(t *testing.T, dev *torch.Device, want trace, head model.Layer) {
	t.Helper()
	final := want.Relearn.Final
	testenv.Do(t, dev, func(s *torch.Scope) error {
		if err := c.original.Train(false); err != nil {
			return err
		}
		s.NoGrad(func() {
			logits := c.original.Forward(c.data.images.In(s))
			near(t, "final logits", torch.Values[float64](logits.Narrow(0, 0, 4)), slices.Concat(final.Logits...), 1e-6)
			right := logits.ArgMaxDim(1).Eq(c.data.labels.In(s)).Sum().Item()
			near(t, "final accuracy", []float64{right / float64(c.data.n)}, []float64{final.Accuracy}, 1e-12)
			for name, norm := range final.Norms {
				var value *torch.Tensor
				if names, _ := c.original.Parameters(); slices.Contains(names, name) {
					value = c.original.Parameter(s, name)
				} else {
					value = c.original.Buffer(s, name)
				}
				near(t, name, []float64{value.Norm().Item()}, []float64{norm}, 1e-6)
			}
		})
		return s.Err()
	})
}

// near compares relative to the larger of the two, and to 1 below it only for
// zeros.
func near(t *testing.T, what string, got, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", what, len(got), len(want))
		return
	}
	for i := range got {
		scale := math.Max(math.Abs(got[i]), math.Abs(want[i]))
		if !(math.Abs(got[i]-want[i]) <= tolerance*scale) { // NaN fails too
			t.Errorf("%s[%d]: got %.12g, want %.12g (relative %.2g, allowed %g)", what, i, got[i], want[i], math.Abs(got[i]-want[i])/scale, tolerance)
		}
	}
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatal(err)
	}
}

func readNPY[T any](t *testing.T, path string) []T {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var values []T
	if err := npyio.Read(f, &values); err != nil {
		t.Fatal(err)
	}
	return values
}
