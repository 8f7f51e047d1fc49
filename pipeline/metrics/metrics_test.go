package metrics

import (
	"math"
	"testing"
)

func scores(acc, asr float64) Scores { return Scores{ACC: &acc, ASR: &asr} }

func TestDER(t *testing.T) {
	cases := []struct {
		name          string
		before, after Scores
		want          float64
	}{
		{"perfect", scores(0.9, 1), scores(0.9, 0), 1},
		{"nothing changed", scores(0.9, 1), scores(0.9, 1), 0.5},
		{"all accuracy lost, backdoor kept", scores(0.9, 1), scores(0, 1), 0.05},
		{"gains do not count", scores(0.8, 0.1), scores(0.9, 0.5), 0.5},
		{"usual", scores(0.91, 0.99), scores(0.89, 0.01), (0.98 - 0.02 + 1) / 2},
	}
	for _, c := range cases {
		if got := DER(c.before, c.after); got == nil || math.Abs(*got-c.want) > 1e-12 {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
	if DER(Scores{}, scores(1, 1)) != nil {
		t.Error("a DER without an ASR")
	}
}

func TestClasses(t *testing.T) {
	c := make(Classes, 3)
	c.Add([]int64{0, 1, 1, 0}, []int64{0, 0, 1, 9})
	got := c.Shares()
	if got[0] == nil || *got[0] != 0.5 || got[1] == nil || *got[1] != 1 || got[2] != nil {
		t.Errorf("got %v", got)
	}
}

func TestCount(t *testing.T) {
	var c Count
	if c.Share() != nil {
		t.Error("a share of nothing")
	}
	c.Add([]int64{1, 2, 3}, []int64{1, 0, 3})
	c.Add([]int64{4}, []int64{5})
	if got := c.Share(); got == nil || *got != 0.5 {
		t.Errorf("got %v", got)
	}
}
