package defense

import (
	"math"
	"testing"

	"ulrl/pipeline/model"
	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// A model whose second class has lost shares gets what is wanted, by its own bias alone and as
// far as that may go; one that has as much stays to the bit.
func TestRestore(t *testing.T) {
	_, dev := testenv.CPU(t)
	for _, c := range []struct{ wanted, want float64 }{
		{0.35, 0.35},
		{0.1, meanOf(0)},
		{0.999, meanOf(highest)},
	} {
		keep := dev.NewScope()
		defer keep.Close()
		var m *torch.Module
		testenv.Do(t, dev, func(s *torch.Scope) (err error) {
			b := torch.NewBuilder(keep)
			m, err = b.Finish(b.Part("Head").Parameter("weight", torch.From(s, []float32{0, 1, 0}, 3, 1)).
				Parameter("bias", torch.From(s, []float32{1, -2, 0}, 3)).
				Define("def forward(self, x):\n    return torch.linear(x, self.weight, self.bias)\n"))
			return err
		})
		head := model.Layer{Weight: "weight", Bias: "bias"}
		raised, err := Restore(t.Context(), dev, m, head, 1, c.wanted, uneven{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := MeanShare(t.Context(), dev, m, 1, uneven{})
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(got-c.want) > 1e-6 {
			t.Errorf("wanted %v: %v, want %v", c.wanted, got, c.want)
		}
		testenv.Do(t, dev, func(s *torch.Scope) error {
			for i, v := range torch.Values[float32](m.Parameter(s, "bias")) {
				was, by := []float64{1, -2, 0}[i], []float64{0, raised, 0}[i]
				if by == 0 && float64(v) != was || math.Abs(float64(v)-was-by) > 1e-6 {
					t.Errorf("wanted %v: bias %d is %v, was %v, raised by %v", c.wanted, i, v, was, by)
				}
			}
			return s.Err()
		})
	}
}

// meanOf is the second class's mean share for uneven's samples, raised by so much.
func meanOf(raised float64) float64 {
	share := func(x float64) float64 {
		z := math.Exp(x - 2 + raised)
		return z / (math.E + z + 1)
	}
	return (3*share(0) + share(4)) / 4
}
