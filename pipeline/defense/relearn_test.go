package defense

import (
	"fmt"
	"math"
	"testing"

	"ulrl/pipeline/config"
	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// one is a source of the same sample in each epoch: (1, 2) of class 0.
type one struct{}

func (one) Batches() int { return 1 }

func (one) Batch(s *torch.Scope, _, _ int) (images, labels *torch.Tensor) {
	return torch.From(s, []float64{1, 2}, 1, 2), torch.From(s, []int64{0}, 1)
}

// matrix is the weights of the classes, and what is done to them below.
type matrix [4]float64

// slope is that of the cross-entropy on the sample.
func (w matrix) slope() matrix {
	p := 1 / (1 + math.Exp(w[2]+2*w[3]-w[0]-2*w[1]))
	return matrix{p - 1, 2 * (p - 1), 1 - p, 2 * (1 - p)}
}

func (w matrix) plus(g matrix, by float64) matrix {
	for i := range w {
		w[i] += by * g[i]
	}
	return w
}

func (w matrix) length() float64 { return math.Sqrt(w[0]*w[0] + w[1]*w[1] + w[2]*w[2] + w[3]*w[3]) }

// climbed is w + rho·w²·g / ‖|w|·g‖.
func (w matrix) climbed(g matrix, rho float64) matrix {
	var wg, wwg matrix
	for i := range w {
		wg[i], wwg[i] = w[i]*g[i], w[i]*w[i]*g[i]
	}
	return w.plus(wwg, rho/wg.length())
}

// Each step goes down by the slope that lies where the step before leads, rho
// upwards, and a share of the way back to the start, both less each epoch, from where
// it was; with a stride its length is a share of the weights'. In the end weights and
// statistics, here a buffer that begins as zeros, are taken a share of the way back.
func TestRelearningLooksElsewhere(t *testing.T) {
	for _, o := range []config.Relearn{{Rho: 0.8}, {Rho: 0.8, Stride: 0.1}, {Lookback: 0.6}, {Rho: 0.8, Lookback: 0.6, Stride: 0.1}, {Rho: 0.8, Back: 0.25}, {Rho: 0.8, Lookback: 0.6, Stride: 0.1, Back: 0.25}} {
		o.Epochs, o.LR = 2, 0.5
		t.Run(fmt.Sprint(o.Rho, o.Stride, o.Lookback, o.Back), func(t *testing.T) { relearnsElsewhere(t, o) })
	}
}

func relearnsElsewhere(t *testing.T, o config.Relearn) {
	start, stride := matrix{1, -2, 3, 0.5}, o.Stride
	length := func(g, w matrix) matrix {
		if stride > 0 {
			return matrix{}.plus(g, stride*w.length()/g.length())
		}
		return g
	}
	g := length(start.slope(), start)
	second := start.plus(g, -0.5)
	// The ways up and back and the learning rate are halved along a cosine.
	above := second.climbed(g, o.Rho/2).plus(start.plus(second, -1), o.Lookback/2)
	want := second.plus(length(above.slope(), second), -0.25)
	want = want.plus(start.plus(want, -1), o.Back)
	seen := above.plus(above, -o.Back)

	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	var m *torch.Module
	testenv.Do(t, dev, func(*torch.Scope) (err error) {
		b := torch.NewBuilder(keep)
		m, err = b.Finish(b.Part("Watched").
			Parameter("weight", torch.From(keep, start[:], 2, 2)).
			Buffer("seen", torch.From(keep, make([]float64, 4), 2, 2)).
			Buffer("steps", torch.From(keep, []int64{0}, 1)).
			Define("def forward(self, x):\n    self.seen.copy_(self.weight.detach())\n    self.steps.add_(1)\n    return torch.linear(x, self.weight)\n"))
		return err
	})
	if _, err := Relearn(t.Context(), dev, Remedy{Model: m}, one{}, o, silent{}); err != nil {
		t.Fatal(err)
	}
	testenv.Do(t, dev, func(s *torch.Scope) error {
		for _, c := range []struct {
			what string
			at   *torch.Tensor
			want matrix
		}{{"seen in the last step", m.Buffer(s, "seen"), seen}, {"in the end", m.Parameter(s, "weight").Detach(), want}} {
			got := torch.Values[float64](c.at)
			for i := range got {
				if math.Abs(got[i]-c.want[i]) > 1e-9 {
					t.Errorf("%s: %v, want %v", c.what, got, c.want)
					break
				}
			}
		}
		if steps := torch.Values[int64](m.Buffer(s, "steps")); steps[0] != 2 {
			t.Errorf("counted %d steps of two", steps[0])
		}
		return nil
	})
}

// lights is a source of four black images of 6×6.
type lights struct{}

func (lights) Batches() int { return 1 }

func (lights) Batch(s *torch.Scope, _, _ int) (images, labels *torch.Tensor) {
	return s.Full(0, torch.Float32, 4, 1, 6, 6), torch.From(s, []int64{0, 1, 0, 1}, 4)
}

// A model that takes four images and not the eight that they become with triggers is
// told of as any failure, and only these eight fail.
func TestRelearningTellsOfABatchThatIsTooLarge(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	var m *torch.Module
	testenv.Do(t, dev, func(*torch.Scope) (err error) {
		b := torch.NewBuilder(keep)
		m, err = b.Finish(b.Part("Small").Parameter("w", torch.From(keep, make([]float32, 72), 2, 36)).
			Define("def forward(self, x):\n    assert x.size(0) <= 4\n    return torch.linear(x.flatten(1), self.w)\n"))
		return err
	})
	counter := config.Counter{Weight: 1, Radius: 0.1, Pixels: 0.1, SampleRadius: 0.1, Share: 0.75, Steps: 1, SampleSteps: 1}
	o := config.Relearn{Epochs: 1, LR: 0.1, Counter: counter}
	for _, c := range []struct {
		against *Counter
		fails   bool
	}{{nil, false}, {&Counter{Counter: counter, Classes: []Suspect{{Class: 1}}, Mean: []float64{0}, Std: []float64{1}}, true}} {
		if _, err := Relearn(t.Context(), dev, Remedy{Model: m, Counter: c.against}, lights{}, o, silent{}); (err != nil) != c.fails {
			t.Errorf("with triggers %v: %v", c.against != nil, err)
		}
	}
}
