package defense

import (
	"math"
	"testing"

	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// uneven is a source of four samples, 0, 0, 0 and 4, of which the last is another class.
type uneven struct{}

func (uneven) Batches() int { return 1 }

func (uneven) Batch(s *torch.Scope, _, _ int) (images, labels *torch.Tensor) {
	return torch.From(s, []float32{0, 0, 0, 4}, 4, 1), torch.From(s, []int64{0, 0, 0, 1}, 4)
}

// Statistics far off what the samples are become theirs; those that serve better than the
// samples' own mean of 1 would, or hardly worse, stay to the bit.
func TestSettle(t *testing.T) {
	_, dev := testenv.CPU(t)
	for _, c := range []struct {
		mean, want float64
		anew       bool
	}{{50, 1 + 49*math.Pow(0.9, settling), true}, {2, 2, false}, {0.95, float64(float32(0.95)), false}} {
		keep := dev.NewScope()
		defer keep.Close()
		var m *torch.Module
		testenv.Do(t, dev, func(s *torch.Scope) (err error) {
			b := torch.NewBuilder(keep)
			m, err = b.Finish(b.Part("Split").Parameter("w", s.Full(1, torch.Float32, 1)).
				Buffer("mean", s.Full(c.mean, torch.Float32, 1)).
				Define("def forward(self, x):\n    if self.training:\n        self.mean.copy_(self.mean * 0.9 + x.mean() * 0.1)\n" +
					"    z = (self.mean - x) * self.w\n    return torch.cat([z, -z], 1)\n"))
			return err
		})
		anew, err := Settle(t.Context(), dev, m, uneven{})
		if err != nil {
			t.Fatal(err)
		}
		testenv.Do(t, dev, func(s *torch.Scope) error {
			got := float64(torch.Values[float32](m.Buffer(s, "mean"))[0])
			if anew != c.anew || math.Abs(got-c.want) > 1e-4 || !c.anew && got != c.want {
				t.Errorf("from %v: %v, new %v; want %v, %v", c.mean, got, anew, c.want, c.anew)
			}
			return s.Err()
		})
	}
}
