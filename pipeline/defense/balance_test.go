package defense

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"ulrl/pipeline/model"
	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// The fitted logits are where the convex function is lowest that their shares and the
// prior make, for few classes and many, with classes that no sample has; but for the
// suspicious one's where that may go no further.
func TestBalanceOfLogits(t *testing.T) {
	for name, c := range map[string]struct {
		classes      int
		labels       []int64
		lost         float64 // of the suspicious class's logits
		floor, least float64 // what is left of its labels' share at least; 0: the prior holds it back
	}{
		"all":                  {10, drawn(600, 10), 1, 1, 1},
		"some":                 {10, drawn(600, 10), 1, 0.9, 0.9},
		"it has more":          {10, drawn(600, 10), -3, 0.5, 1},
		"more classes":         {1000, drawn(500, 1000), 1, 1, 0},
		"none of it left":      {10, drawn(600, 10), 30, 1, 0},
		"two":                  {2, drawn(50, 2), 1, 1, 1},
		"of one class alone":   {3, []int64{1, 1, 1, 1, 1, 1, 1, 1}, 1, 1, 0},
		"as relearning has it": {10, drawn(600, 10), 0.3, 0.1, 0.1},
	} {
		const class = 1
		o := guesses(c.labels, c.classes, class, c.lost)
		by, err := o.balance(t.Context(), []int{class}, c.floor)
		if err != nil {
			t.Fatal(err)
		}
		before, _ := o.shares(make([]float64, c.classes))
		after, _ := o.shares(by)
		wanted := o.wanted(before, []int{class}, c.floor)
		for k, b := range by {
			bound := k == class && b == highest
			if slope := wanted[k] - after[k] - b/float64(len(o.labels)); math.Abs(slope) > 1e-6 && !(bound && slope > 0) {
				t.Errorf("%s: class %d raised by %v has a share of %v, wanted %v", name, k, b, after[k], wanted[k])
			}
		}
		if all := o.wanted(make([]float64, c.classes), []int{class}, 1)[class]; after[class] < 0.97*c.least*all {
			t.Errorf("%s: the class is left %v of %v", name, after[class], all)
		}
	}
}

// Fitting can be interrupted: of many classes it takes a while.
func TestBalanceEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if by, err := guesses(drawn(50, 2), 2, 1, 1).balance(ctx, []int{1}, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", by, err)
	}
}

// drawn are so many labels.
func drawn(n, classes int) []int64 {
	rng := rand.New(rand.NewPCG(1, 2))
	labels := make([]int64, n)
	for i := range labels {
		labels[i] = rng.Int64N(int64(classes))
	}
	return labels
}

// guesses are logits of a model that is right of most samples, less for one class.
func guesses(labels []int64, classes, class int, lost float64) outputs {
	rng := rand.New(rand.NewPCG(3, 4))
	o := outputs{labels: labels}
	for _, label := range labels {
		for k := range classes {
			logit := 2 * rng.NormFloat64()
			if k == int(label) {
				logit += 6
			}
			if k == class {
				logit -= lost
			}
			o.logits = append(o.logits, logit)
		}
	}
	return o
}

// The suspicious class's share stays where it is between the floor and all; the others'
// fill the rest in their labels' proportions.
func TestWantedShares(t *testing.T) {
	o := outputs{logits: make([]float64, 30), labels: []int64{0, 0, 0, 0, 0, 1, 1, 1, 2, 2}}
	for _, c := range []struct{ share, floor, its float64 }{
		{0.1, 0.5, 0.25}, {0.3, 0.5, 0.3}, {0.6, 0.5, 0.5}, {0.1, 1, 0.5},
	} {
		got := o.wanted([]float64{c.share, 0, 0}, []int{0}, c.floor)
		for k, want := range []float64{c.its, (1 - c.its) * 0.6, (1 - c.its) * 0.4} {
			if math.Abs(got[k]-want) > 1e-12 {
				t.Errorf("share %v, floor %v: class %d is to have %v, want %v", c.share, c.floor, k, got[k], want)
			}
		}
	}
	for k, got := range o.wanted([]float64{0.1, 0, 0.3}, []int{0, 2}, 0.5) {
		if want := []float64{0.25, 0.55, 0.2}[k]; math.Abs(got-want) > 1e-12 {
			t.Errorf("of two suspicious classes: class %d is to have %v, want %v", k, got, want)
		}
	}
}

// A model's biases are moved by what its logits need, and nothing else of it.
func TestBalance(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	var m *torch.Module
	weight, bias := []float32{0, 1, 0}, []float32{1, -2, 0}
	testenv.Do(t, dev, func(s *torch.Scope) (err error) {
		b := torch.NewBuilder(keep)
		m, err = b.Finish(b.Part("Head").Parameter("weight", torch.From(s, weight, 3, 1)).
			Parameter("bias", torch.From(s, bias, 3)).
			Define("def forward(self, x):\n    return torch.linear(x, self.weight, self.bias)\n"))
		return err
	})
	o := outputs{labels: []int64{0, 0, 0, 1}, logits: []float64{1, -2, 0, 1, -2, 0, 1, -2, 0, 1, 2, 0}} // uneven's
	by, err := o.balance(t.Context(), []int{1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	raised, err := Balance(t.Context(), dev, m, model.Layer{Weight: "weight", Bias: "bias"}, []Suspect{{Class: 1}}, 1, uneven{})
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(raised-by[1]) > 1e-6 || raised == 0 {
		t.Errorf("raised by %v, want %v", raised, by[1])
	}
	testenv.Do(t, dev, func(s *torch.Scope) error {
		for i, v := range torch.Values[float32](m.Parameter(s, "bias")) {
			if want := float64(bias[i]) + by[i]; math.Abs(float64(v)-want) > 1e-6 {
				t.Errorf("bias %d is %v, want %v", i, v, want)
			}
		}
		for i, v := range torch.Values[float32](m.Parameter(s, "weight")) {
			if v != weight[i] {
				t.Errorf("weight %d is %v, was %v", i, v, weight[i])
			}
		}
		return s.Err()
	})
}

// Where the biases are not what is added last, what the logits need is not theirs to
// give: they stay.
func TestBalanceOfScaledLogits(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	bias := []float32{0.1, -0.2, 0}
	var m *torch.Module
	testenv.Do(t, dev, func(s *torch.Scope) (err error) {
		b := torch.NewBuilder(keep)
		m, err = b.Finish(b.Part("Head").Parameter("weight", torch.From(s, []float32{0, 1, 0}, 3, 1)).
			Parameter("bias", torch.From(s, bias, 3)).
			Define("def forward(self, x):\n    return 14 * torch.linear(x, self.weight, self.bias)\n"))
		return err
	})
	raised, err := Balance(t.Context(), dev, m, model.Layer{Weight: "weight", Bias: "bias"}, []Suspect{{Class: 1}}, 1, uneven{})
	if err != nil || raised != 0 {
		t.Errorf("raised by %v, %v", raised, err)
	}
	testenv.Do(t, dev, func(s *torch.Scope) error {
		if got := torch.Values[float32](m.Parameter(s, "bias")); !slices.Equal(got, bias) {
			t.Errorf("the biases are %v", got)
		}
		return s.Err()
	})
}
