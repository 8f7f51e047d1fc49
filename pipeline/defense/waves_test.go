package defense

import (
	"math"
	"math/rand/v2"
	"testing"

	"ulrl/pipeline/config"
	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// A model that stripes, four across, lead to class 1, in any phase, the more the nearer to four
// they are.
func TestLedToByWaves(t *testing.T) {
	_, dev := testenv.CPU(t)
	m := computed(t, dev, `
    at = torch.arange(16, device=x.device) * (2.0 * 3.141592653589793 * 4.0 / 16.0)
    mean = x.mean([1, 2])
    strength = ((mean * at.cos()).mean(1) ** 2 + (mean * at.sin()).mean(1) ** 2).sqrt() * self.w
    none = torch.zeros_like(strength)
    return torch.stack([none + 2.0, strength * 800.0 - 8.0, none - 3.0], 1)
`)
	counter := Counter{Counter: config.Counter{Radius: 0.1, Wave: 0.1, Pixels: 0.2, Patch: 0.5}, Mean: []float64{0, 0, 0}, Std: []float64{1, 1, 1}, Seed: 2}
	batches := 0
	leads, err := LedTo(t.Context(), dev, m, counter, Waves, []int{2, 1}, flat{sizes: []int{16, 8}, image: []int{3, 16, 16}, value: 0.5, classes: 2}, 16, func() { batches++ })
	if err != nil {
		t.Fatal(err)
	}
	if want := gridDown*gridAcross*rides/16 + 2*foremost*measuredImages/16; batches != want || SuspectBatches(Waves, 2, 16) != want {
		t.Errorf("%d batches, said %d, want %d", batches, SuspectBatches(Waves, 2, 16), want)
	}
	if place, out := StandsOut(leads); !out || place != 1 {
		t.Fatalf("%v", leads)
	}
	if led := leads[1]; led.Way != Waves || led.Trigger != nil || math.Abs(math.Abs(led.Wave.Across)-4) > 1 || led.Wave.Down > 1 || led.Share < 0.9 {
		t.Errorf("class 1 is led to by %v, %.2f", led.Wave, led.Share)
	}
}

// Each image has a wave of its own, near the one that led, alike in all channels.
func TestWavesAreLikeTheOneThatLed(t *testing.T) {
	_, dev := testenv.CPU(t)
	testenv.Do(t, dev, func(s *torch.Scope) error {
		k := waves{unfitted{common{config.Counter{Wave: 0.2}}}, Wave{Down: 0, Across: -8}}
		delta := k.begins(s, rand.New(rand.NewPCG(1, 2)), 6, []int{3, 32, 64})
		got := torch.Values[float32](k.on(s.Full(0.5, torch.Float32, 6, 3, 32, 64), delta))
		seen := map[int]bool{}
		for i := range 6 {
			image := got[i*3*32*64:][:3*32*64]
			highest, crossings := float32(0), 0
			for p, v := range image[:32*64] {
				if image[32*64+p] != v || image[2*32*64+p] != v {
					t.Fatalf("image %d: channels differ at %d", i, p)
				}
				highest = max(highest, v-0.5)
				if p%64 > 0 && (v > 0.5) != (image[p-1] > 0.5) {
					crossings++
				}
			}
			// From three to five quarters of the height, up and down 7 to 9 times over a row.
			if perRow := float64(crossings) / 32; highest < 0.148 || highest > 0.2501 || perRow < 13 || perRow > 19 {
				t.Errorf("image %d: %.3f high, %.1f crossings in a row", i, highest, perRow)
			}
			seen[crossings] = true
		}
		if len(seen) < 3 {
			t.Errorf("the images' waves are alike: %v", seen)
		}
		return nil
	})
}

// A class that a wave told of has waves held against it beside the other triggers, and
// nothing that few pixels did.
func TestOpponentHoldsWaves(t *testing.T) {
	led := Lead{Way: Waves, Wave: &Wave{Across: 4}}
	o := opponent{Counter: Counter{Counter: config.Counter{Radius: 0.1, Wave: 0.1, Pixels: 0.2}}}
	kinds := o.kinds(Suspect{Class: 1, Led: []Lead{led}})
	if len(kinds) != 3 {
		t.Fatalf("%d kinds", len(kinds))
	}
	if w, ok := kinds[2].(waves); !ok || w.around != *led.Wave {
		t.Errorf("%#v", kinds[2])
	}
	if kinds := o.kinds(Suspect{Led: []Lead{{Way: AllPixels, Trigger: make([]float32, 4)}}}); len(kinds) != 2 || kinds[1].(sparse).found != nil {
		t.Errorf("a change of all pixels is no beginning for few: %#v", kinds)
	}
}

// A small batch takes no wave's images away, and waves are none that pixels cannot show.
func TestEveryWaveIsTried(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	m := computed(t, dev, "\n    return torch.zeros_like(x[:, 0, 0, :2]) * self.w\n") // of class 1 by a half
	batches := 0
	l := look{dev: dev, m: m, c: Counter{Counter: config.Counter{Wave: 0.1}, Mean: []float64{0}, Std: []float64{1}}, src: flat{sizes: []int{16, 2}, image: []int{1, 8, 12}, value: 0.5, classes: 1}, batch: 16, each: func() { batches++ }}
	o, err := newOpponent(l.c, m, keep)
	if err != nil {
		t.Fatal(err)
	}
	some := o.grid([]int{8, 12})
	for _, w := range some {
		if w.Down < 0 || w.Down > 4 || math.Abs(w.Across) > 6 {
			t.Errorf("of 8×12 pixels: %v", w)
		}
	}
	shares, err := l.ride(t.Context(), o, 0, 40, some[:100], []int{1})
	if err != nil {
		t.Fatal(err)
	}
	for i, share := range shares[0] {
		if math.Abs(share-0.5) > 1e-6 {
			t.Errorf("wave %d: %v", i, share)
		}
	}
	if batches != 40 {
		t.Errorf("%d batches", batches)
	}
}

// What is said of how long looking takes is so, for batches of any size.
func TestSuspectBatchesOfAnySize(t *testing.T) {
	_, dev := testenv.CPU(t)
	m := computed(t, dev, "\n    return x[:, 0, 0, :6] * self.w\n")
	counter := Counter{Counter: config.Counter{Radius: 0.1, Wave: 0.1, Pixels: 0.2, Patch: 0.5}, Mean: []float64{0}, Std: []float64{1}}
	for _, way := range []Way{FewPixels, Patch, Waves, AllPixels} {
		for _, batch := range []int{2, 8, 33, 128} {
			batches := 0
			src := flat{sizes: []int{batch}, image: []int{1, 6, 6}, classes: 1}
			if _, err := LedTo(t.Context(), dev, m, counter, way, []int{4, 1, 0}, src, batch, func() { batches++ }); err != nil {
				t.Fatal(err)
			}
			if said := SuspectBatches(way, 3, batch); said != batches {
				t.Errorf("way %d, %d images: %d batches, said %d", way, batch, batches, said)
			}
		}
	}
}
