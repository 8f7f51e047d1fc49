package defense

import (
	"math"
	"slices"
	"testing"

	"ulrl/pipeline/config"
	"ulrl/pipeline/testenv"
)

// Of the places at which patches lead to a class all are found that no held one covers.
func TestPatches(t *testing.T) {
	_, dev := testenv.CPU(t)
	m := computed(t, dev, `
    one = x[:, :, 20:23, 17:20].mean([1, 2, 3])
    other = x[:, :, 2:5, 26:29].mean([1, 2, 3])
    like = torch.relu(one - 0.05) + torch.relu(other - 0.05)
    none = torch.zeros_like(like) * self.w
    return torch.stack([none + 2.0, like * 40.0 - 4.0, none - 3.0], 1)
`)
	counter := Counter{Counter: config.Counter{Radius: 0.1, Pixels: 0.01, Patch: 0.2}, Mean: []float64{0, 0, 0}, Std: []float64{1, 1, 1}, Seed: 2}
	near := func(top, left int) func(Lead) bool {
		return func(l Lead) bool {
			return l.Way == Patch && math.Abs(float64(l.Spot.Top-top)) <= 2 && math.Abs(float64(l.Spot.Left-left)) <= 2
		}
	}
	for name, c := range map[string]struct {
		class      int
		held       []Lead
		one, other bool
	}{
		"both":              {1, nil, true, true},
		"few pixels held":   {1, []Lead{{Way: FewPixels}}, true, true},
		"one of them held":  {1, []Lead{{Way: Patch, Spot: Spot{19, 16, 5, 5}}}, false, true},
		"to no other class": {2, nil, false, false},
		"all held":          {1, []Lead{{Way: Patch, Spot: Spot{0, 0, 32, 32}}}, false, false},
	} {
		batches := 0
		found, err := Patches(t.Context(), dev, m, counter, c.class, c.held, flat{sizes: []int{48, 24}, image: []int{3, 32, 32}, value: 0.1, classes: 2}, 48, func() { batches++ })
		if err != nil {
			t.Fatal(err)
		}
		if said := PatchesBatches(48); said != batches {
			t.Errorf("%s: %d batches, said %d", name, batches, said)
		}
		if one, other := slices.ContainsFunc(found, near(20, 17)), slices.ContainsFunc(found, near(2, 26)); one != c.one || other != c.other {
			t.Errorf("%s: %v", name, found)
		}
		if len(found) > 0 && !c.one && !c.other {
			t.Errorf("%s: %d found", name, len(found))
		}
		for i, a := range found {
			if !a.ByHalf() || i > 0 && a.Share > found[i-1].Share {
				t.Errorf("%s: %v at %v, the %d-th", name, a.Share, a.Spot, i)
			}
			for _, b := range append(found[:i:i], c.held...) {
				if a.Spot.overlaps(b.Spot) {
					t.Errorf("%s: %v overlaps %v", name, a.Spot, b.Spot)
				}
			}
		}
	}
}

// Where patches lead to a class everywhere some are found.
func TestPatchesEverywhere(t *testing.T) {
	_, dev := testenv.CPU(t)
	m := computed(t, dev, `
    like = torch.relu(x.mean([1, 2, 3]) - 0.1) * self.w
    none = torch.zeros_like(like)
    return torch.stack([none + 2.0, like * 2000.0, none - 3.0], 1)
`)
	counter := Counter{Counter: config.Counter{Radius: 0.1, Pixels: 0.01, Patch: 0.2}, Mean: []float64{0}, Std: []float64{1}, Seed: 2}
	found, err := Patches(t.Context(), dev, m, counter, 1, nil, flat{sizes: []int{64}, image: []int{1, 20, 20}, value: 0.1, classes: 2}, 64, func() {})
	if err != nil || len(found) != mostPatches {
		t.Errorf("%d found, %v", len(found), err)
	}
}

// Of small batches, which are many, fewer patches are looked at.
func TestSearchedPatches(t *testing.T) {
	for batch, want := range map[int][2]int{128: {2, 16}, 64: {2, 16}, 63: {1, 8}, 24: {1, 6}, 8: {1, 4}, 1: {1, 4}} {
		if images, patches := searchedPatches(batch); images != want[0] || patches != want[1] {
			t.Errorf("batches of %d: %d images, %d patches, want %v", batch, images, patches, want)
		}
	}
}
