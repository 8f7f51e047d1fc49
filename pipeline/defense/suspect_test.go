package defense

import (
	"slices"
	"testing"

	"ulrl/pipeline/config"
	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

func TestSuspects(t *testing.T) {
	for _, c := range []struct {
		change []float64
		most   int
		want   []int
	}{{[]float64{1, 3, 2}, 1, []int{1}}, {[]float64{1, 3, 2}, 2, []int{1, 2}}, {[]float64{2, 2}, 9, []int{0, 1}}, {[]float64{0, 0, 0.1}, 2, []int{2, 0}}} {
		if got := Suspects(Scores{Change: c.change}, c.most); !slices.Equal(got, c.want) {
			t.Errorf("%v: classes %v, want %v", c.change, got, c.want)
		}
	}
}

// dark is 32 black images of 6×6, of class 0 or 1 in turn.
type dark struct{}

func (dark) Batches() int { return 1 }

func (dark) Batch(s *torch.Scope, _, _ int) (images, labels *torch.Tensor) {
	of := make([]int64, 32)
	for i := range of {
		of[i] = int64(i % 2)
	}
	return s.Full(0, torch.Float32, 32, 1, 6, 6), torch.From(s, of, 32)
}

func TestFindSuspect(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	var m *torch.Module
	testenv.Do(t, dev, func(*torch.Scope) (err error) { m, err = lit(keep); return })
	counter := Counter{Counter: config.Counter{Radius: 0.1, Pixels: 0.2, Patch: 0.5}, Mean: []float64{0}, Std: []float64{1}, Seed: 2}
	for _, c := range []struct {
		classes []int
		want    int
		far     bool
		tried   int
	}{{[]int{2, 1}, 1, true, 2}, {[]int{1, 2}, 1, true, 1}, {[]int{2}, 2, false, 1}} {
		batches := 0
		found, err := FindSuspect(t.Context(), dev, m, counter, c.classes, dark{}, func() { batches++ })
		if err != nil {
			t.Fatal(err)
		}
		if found.Class != c.want || (found.Led > 0.9) != c.far || !c.far && found.Led != 0 || batches != SuspectBatches*c.tried {
			t.Errorf("of %v: %+v after %d batches", c.classes, found, batches)
		}
	}
	testenv.Do(t, dev, func(s *torch.Scope) error {
		if w := m.Parameter(s, "w").Item(); w != 1 {
			t.Errorf("the weight became %v", w)
		}
		return nil
	})
}
