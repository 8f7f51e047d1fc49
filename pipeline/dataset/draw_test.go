package dataset

import (
	"math"
	"slices"
	"testing"
)

func TestDraw(t *testing.T) {
	tests := []struct {
		name     string
		n        int
		classes  int
		o        DrawOptions
		want     int
		perClass [2]int // least and most, when balanced
	}{
		{"count", 100, 10, DrawOptions{Count: 30, Seed: 1}, 30, [2]int{}},
		{"all", 100, 10, DrawOptions{Count: 100}, 100, [2]int{}},
		{"ratio", 100, 10, DrawOptions{Ratio: 0.05}, 5, [2]int{}},
		{"ratio inexact in binary", 100, 10, DrawOptions{Ratio: 0.29}, 29, [2]int{}},
		{"ratio rounds down", 199, 10, DrawOptions{Ratio: 0.01}, 1, [2]int{}},
		{"ratio 1", 57, 10, DrawOptions{Ratio: 1}, 57, [2]int{}},
		{"balanced", 100, 10, DrawOptions{Count: 30, Balanced: true}, 30, [2]int{3, 3}},
		{"balanced with remainder", 100, 10, DrawOptions{Count: 37, Balanced: true}, 37, [2]int{3, 4}},
		{"balanced by ratio", 100, 10, DrawOptions{Ratio: 0.2, Balanced: true}, 20, [2]int{2, 2}},
		{"balanced, fewer than classes", 100, 10, DrawOptions{Count: 4, Balanced: true}, 4, [2]int{0, 1}},
		{"remainder only where there are enough", 95, 10, DrawOptions{Count: 94, Balanced: true}, 94, [2]int{9, 10}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := numbered(tt.n, tt.classes)
			got, err := Draw(s, tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != tt.want || !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Fatalf("drew %v; want %d, sorted, each once", got, tt.want)
			}
			if got[0] < 0 || got[len(got)-1] >= tt.n {
				t.Errorf("drew beyond the set: %v", got)
			}
			again, err := Draw(s, tt.o)
			if err != nil || !slices.Equal(got, again) {
				t.Errorf("the same seed drew %v, then %v (%v)", got, again, err)
			}
			if counts := s.Subset(got).CountByClass(); tt.o.Balanced &&
				(slices.Min(counts) != tt.perClass[0] || slices.Max(counts) != tt.perClass[1]) {
				t.Errorf("drew %v per class, want %v", counts, tt.perClass)
			}
		})
	}
}

func TestDrawSeed(t *testing.T) {
	s := numbered(100, 10)
	for _, balanced := range []bool{false, true} {
		seen := map[int]bool{}
		draws := map[[3]int]bool{}
		for seed := range uint64(200) {
			got, err := Draw(s, DrawOptions{Count: 3, Balanced: balanced, Seed: seed})
			if err != nil {
				t.Fatal(err)
			}
			draws[[3]int(got)] = true
			for _, i := range got {
				seen[i] = true
			}
		}
		if len(draws) < 190 || len(seen) < 95 {
			t.Errorf("balanced %v: 200 seeds gave %d draws of %d images", balanced, len(draws), len(seen))
		}
	}
}

// A run must draw the same samples years later: published results hang on it.
func TestDrawStaysTheSame(t *testing.T) {
	s := numbered(100, 10)
	for _, tt := range []struct {
		o    DrawOptions
		want []int
	}{
		{DrawOptions{Count: 6, Seed: 42}, []int{6, 17, 28, 30, 83, 99}},
		{DrawOptions{Count: 6, Seed: 42, Balanced: true}, []int{30, 35, 44, 68, 72, 99}},
	} {
		got, err := Draw(s, tt.o)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("Draw(%+v) = %#v, %v; want %v", tt.o, got, err, tt.want)
		}
	}
}

func TestDrawErrors(t *testing.T) {
	hole := numbered(10, 5)
	hole.Classes = append(hole.Classes, "empty")
	foreign := numbered(10, 5)
	foreign.Labels[3] = 5
	uneven := numbered(12, 5)
	tests := []struct {
		name string
		s    *Set
		o    DrawOptions
		want []string
	}{
		{"empty set", &Set{Name: "nil"}, DrawOptions{Count: 1}, []string{"nil is empty"}},
		{"neither", uneven, DrawOptions{}, []string{"exactly one"}},
		{"both", uneven, DrawOptions{Count: 1, Ratio: 0.5}, []string{"exactly one", "0.5"}},
		{"negative count", uneven, DrawOptions{Count: -1}, []string{"-1"}},
		{"negative ratio", uneven, DrawOptions{Ratio: -0.1}, []string{"-0.1", "between 0 and 1"}},
		{"ratio above 1", uneven, DrawOptions{Ratio: 1.5}, []string{"1.5", "between 0 and 1"}},
		{"ratio not a number", uneven, DrawOptions{Ratio: math.NaN()}, []string{"NaN"}},
		{"too many", uneven, DrawOptions{Count: 13}, []string{"13", "numbered has 12"}},
		{"empty draw", numbered(50, 5), DrawOptions{Ratio: 0.01}, []string{"empty clean draw", "0.01", "50 images", "0.02 or more", "count"}},
		{"class without samples", hole, DrawOptions{Count: 5, Balanced: true}, []string{`class "empty" has no samples`}},
		{"foreign label", foreign, DrawOptions{Count: 5, Balanced: true}, []string{"label 5 of image 3", "5 classes"}},
		{"no classes", &Set{Labels: []int64{0}}, DrawOptions{Count: 1, Balanced: true}, []string{"0 classes"}},
		{"balanced beyond the smallest class", lopsided(8, 2), DrawOptions{Count: 9, Balanced: true}, []string{`class "b"`, "only 2 samples", "4 or less"}},
		{"remainder for too few classes", lopsided(8, 2, 2), DrawOptions{Count: 8, Balanced: true}, []string{"only 2 samples", "6 or less"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Draw(tt.s, tt.o)
			wantMisuse(t, err, tt.want...)
		})
	}
}

// lopsided has counts[i] images of class i.
func lopsided(counts ...int) *Set {
	s := numbered(0, len(counts))
	for class, n := range counts {
		s.Labels = append(s.Labels, slices.Repeat([]int64{int64(class)}, n)...)
	}
	s.Images = make([]uint8, 2*len(s.Labels))
	return s
}
