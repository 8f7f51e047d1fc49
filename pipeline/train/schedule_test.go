package train

import (
	"math"
	"testing"
)

// The values were computed with PyTorch's schedulers.
func TestSchedules(t *testing.T) {
	cases := []struct {
		name string
		got  float64
		want float64
	}{
		{"multistep before", MultiStep(0.01, []int{10, 20}, 0.1, 9), 0.01},
		{"multistep at", MultiStep(0.01, []int{10, 20}, 0.1, 10), 0.001},
		{"multistep after both", MultiStep(0.01, []int{10, 20}, 0.1, 25), 0.0001},
		{"cosine start", Cosine(0.005, 0, 10), 0.005},
		{"cosine 1/10", Cosine(0.005, 1, 10), 0.0048776412907378846},
		{"cosine half", Cosine(0.005, 5, 10), 0.0025},
		{"cosine end", Cosine(0.005, 10, 10), 0},
		{"one cycle start", OneCycle(0.1, 0, 100), 0.004},
		{"one cycle peak", OneCycle(0.1, 29, 100), 0.1},
		{"one cycle last", OneCycle(0.1, 99, 100), 4e-7},
		{"one cycle of one step", OneCycle(0.1, 0, 1), 0.004},
	}
	for _, c := range cases {
		if math.Abs(c.got-c.want) > 1e-15 {
			t.Errorf("%s: got %.17g, want %.17g", c.name, c.got, c.want)
		}
	}
	for step := range 30 {
		if a, b := OneCycle(1, step, 30), OneCycle(1, step+1, 30); (step < 8) != (a < b) && step < 28 {
			t.Errorf("step %d: %g then %g", step, a, b)
		}
	}
}
