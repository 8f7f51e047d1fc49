package defense

import (
	"slices"
	"testing"

	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// A quarter of the way back: weights and floating-point buffers once each, whatever their
// names; what counts, and what has another shape now, stays.
func TestTakeBack(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	model := func(weight, mean float64, seen []float32, steps int64, on bool) (m *torch.Module) {
		testenv.Do(t, dev, func(s *torch.Scope) (err error) {
			b := torch.NewBuilder(keep)
			shared := b.Part("Shared").Parameter("weight", s.Full(weight, torch.Float64, 2)).Define("def forward(self, x):\n    return x\n")
			m, err = b.Finish(b.Part("Any").Child("one", shared).Child("two", shared).
				Buffer("mean", s.Full(mean, torch.Float32, 1)).
				Buffer("seen", torch.From(s, seen, len(seen))).
				Buffer("steps", s.Full(float64(steps), torch.Int64, 1)).
				Buffer("on", s.Full(map[bool]float64{true: 1}[on], torch.Bool, 1)).
				Define("def forward(self, x):\n    return x\n"))
			return err
		})
		return m
	}
	m, before := model(9, 3, []float32{1, 2}, 8, true), model(1, -1, []float32{5}, 4, false)
	testenv.Do(t, dev, func(s *torch.Scope) error {
		s.NoGrad(func() { m.Parameter(s, "two.weight").CopyFrom(s.Full(5, torch.Float64, 2)) })
		if got := torch.Values[float64](m.Parameter(s, "one.weight").Detach()); got[0] != 5 {
			t.Fatalf("the weight has one name: %v", got)
		}
		return s.Err()
	})
	if err := takeBack(t.Context(), dev, m, before, 0.25); err != nil {
		t.Fatal(err)
	}
	testenv.Do(t, dev, func(s *torch.Scope) error {
		if got := torch.Values[float64](m.Parameter(s, "one.weight").Detach()); got[0] != 4 {
			t.Errorf("weight %v, want 4", got)
		}
		if got := torch.Values[float32](m.Buffer(s, "mean")); got[0] != 2 {
			t.Errorf("mean %v, want 2", got)
		}
		if got := torch.Values[float32](m.Buffer(s, "seen")); !slices.Equal(got, []float32{1, 2}) {
			t.Errorf("seen %v", got)
		}
		if got := torch.Values[int64](m.Buffer(s, "steps")); got[0] != 8 {
			t.Errorf("steps %v", got)
		}
		if got := torch.Values[bool](m.Buffer(s, "on")); !got[0] {
			t.Errorf("on %v", got)
		}
		return nil
	})
}
