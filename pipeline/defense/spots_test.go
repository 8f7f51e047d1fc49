package defense

import (
	"math"
	"slices"
	"testing"

	"ulrl/pipeline/config"
	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// A model that a patch of three pixels' side in one place leads to class 1, if what it shows
// is right: bright but for its dark middle.
func TestLedToByPatch(t *testing.T) {
	_, dev := testenv.CPU(t)
	m := computed(t, dev, `
    there = x[:, :, 20:23, 17:20].mean([1])
    like = (there.mean([1, 2]) - there[:, 1, 1] * 2.0 / 9.0) * self.w
    none = torch.zeros_like(like)
    return torch.stack([none + 2.0, like * 20.0 - 9.0, none - 3.0], 1)
`)
	counter := Counter{Counter: config.Counter{Radius: 0.1, Pixels: 0.01, Patch: 0.2}, Mean: []float64{0, 0, 0}, Std: []float64{1, 1, 1}, Seed: 2}
	for _, classes := range [][]int{{2, 1}, {1}} { // all, and as it is looked for anew
		batches := 0
		leads, err := LedTo(t.Context(), dev, m, counter, Patch, classes, flat{sizes: []int{32, 8}, image: []int{3, 32, 32}, value: 0.1, classes: 2}, 48, func() { batches++ })
		if err != nil {
			t.Fatal(err)
		}
		if said := SuspectBatches(Patch, len(classes), 48); said != batches {
			t.Errorf("%d batches, said %d", batches, said)
		}
		if place, out := StandsOut(leads); !out || classes[place] != 1 {
			t.Fatalf("of %v: %v stand out", classes, leads)
		}
		led := leads[slices.Index(classes, 1)]
		if led.Way != Patch || led.Spot.Height != 3 || led.Spot.Width != 3 || math.Abs(float64(led.Spot.Top-20)) > 2 || math.Abs(float64(led.Spot.Left-17)) > 2 {
			t.Errorf("class 1 is led to at %v", led.Spot)
		}
		changed := 0
		for i, v := range led.Trigger[:32*32] {
			if v == 0 {
				continue
			}
			changed++
			if y, x := i/32-led.Spot.Top, i%32-led.Spot.Left; y < 0 || y > 2 || x < 0 || x > 2 {
				t.Errorf("pixel %d, %d is changed by a patch at %v", i/32, i%32, led.Spot)
			}
		}
		if changed == 0 || len(led.Trigger) != 3*32*32 {
			t.Errorf("%d pixels of %d are changed", changed, len(led.Trigger))
		}
	}
}

// Every place is tried for every class, on an image of another one; an odd one is filled up.
func TestTried(t *testing.T) {
	classes, labels := []int{4, 7, 0}, []int64{4, 4, 7, 1}
	places := map[int]map[Spot]int{}
	for b := range 4 {
		from, count := slice(b, 4, spotPlaces*spotPlaces*len(classes))
		try := tried(labels, []int{4, 1, 20, 41}, from, count, classes)
		if n := count + count%2; len(try.images) != n || len(try.mask) != n*20*41 || !slices.Equal(try.shape, []int{n, 1, 20, 41}) {
			t.Fatalf("%d tries of %d: %v", len(try.images), count, try.shape)
		}
		for i := range count {
			class, sp := int(try.wanted[i]), try.spots[i]
			if labels[try.images[i]] == int64(class) {
				t.Errorf("class %d's is tried on an image of its own", class)
			}
			if places[class] == nil {
				places[class] = map[Spot]int{}
			}
			places[class][sp]++
			sum := float32(0)
			for _, v := range try.mask[i*20*41:][:20*41] {
				sum += v
			}
			if last := try.mask[(i*20+sp.Top+1)*41+sp.Left+3]; sp.Height != 2 || sp.Width != 4 || sum != 8 || last != 1 {
				t.Errorf("the mask of %v has %v pixels", sp, sum)
			}
		}
	}
	for _, class := range classes {
		if len(places[class]) != spotPlaces*spotPlaces {
			t.Errorf("%d places for class %d", len(places[class]), class)
		}
		if places[class][Spot{0, 0, 2, 4}] != 1 || places[class][Spot{18, 37, 2, 4}] != 1 {
			t.Errorf("class %d: the corners: %v", class, places[class])
		}
	}
	// Images smaller than a patch are one.
	for _, sides := range [][]int{{1, 1}, {1, 30}, {2, 3}} {
		try := tried(labels, []int{4, 1, sides[0], sides[1]}, 0, 2*spotPlaces*spotPlaces, []int{0, 1})
		for _, sp := range try.spots {
			if sp.Height != min(2, sides[0]) || sp.Top < 0 || sp.Left < 0 || sp.Top+sp.Height > sides[0] || sp.Left+sp.Width > sides[1] {
				t.Fatalf("of %v: %v", sides, sp)
			}
		}
	}
	// Nothing but images of the class: there is no other to take.
	if try := tried([]int64{4, 4}, []int{2, 1, 20, 41}, 0, 1, classes); len(try.images) != 2 || try.spots[0] != try.spots[1] {
		t.Errorf("%+v", try.images)
	}
}

// What a spot begins with lies at its place, and what it does not change it never will.
func TestSpot(t *testing.T) {
	_, dev := testenv.CPU(t)
	testenv.Do(t, dev, func(s *torch.Scope) error {
		p := spot{common{}, Spot{1, 2, 2, 2}, []float32{1, -0.5, 0, 0.25, 1, 1, 1, 1}}
		delta := p.begins(s, nil, 1, []int{2, 3, 4})
		if got, want := torch.Values[float32](delta), []float32{0, 0, 0, 0, 0, 0, 1, -0.5, 0, 0, 0, 0.25, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 1}; !slices.Equal(got, want) {
			t.Errorf("begins %v", got)
		}
		moved := torch.Values[float32](p.moved(delta, s.Full(-3, torch.Float32, 2, 3, 4)).Narrow(0, 0, 1))
		for i, want := range []float32{0, 0, 0, 0, 0, 0, 1 - spotMove, -0.5 - spotMove, 0, 0, 0, 0.25 - spotMove} {
			if math.Abs(float64(moved[i]-want)) > 1e-6 {
				t.Errorf("value %d: %v, want %v", i, moved[i], want)
			}
		}
		try := tries{shape: []int{1, 1, 3, 4}, spots: []Spot{p.Spot}}
		if got := try.cut(torch.Values[float32](delta), 0); !slices.Equal(got, p.found) {
			t.Errorf("cut out %v", got)
		}
		return nil
	})
}

// Each of more candidates than a batch has images is tried on some.
func TestSpotRounds(t *testing.T) {
	for _, c := range []struct{ candidates, batch int }{{80, 128}, {80, 64}, {80, 9}, {8, 2}, {8, 128}} {
		all := 0
		for _, together := range spotRounds(c.candidates, c.batch) {
			if all += together.candidates; 2*together.candidates > c.batch || together.candidates*spotImages > together.batches*c.batch {
				t.Errorf("%+v: %+v", c, together)
			}
		}
		if all != c.candidates {
			t.Errorf("%+v: %d in all", c, all)
		}
	}
}

// What few pixels and a patch did is held as it is, and the sparse trigger begins with the first.
func TestOpponentHoldsFewAndPatch(t *testing.T) {
	few, patch := []float32{1, 0, 0, 1}, []float32{0, 1, 0, 0}
	o := opponent{Counter: Counter{Counter: config.Counter{Radius: 0.1, Pixels: 0.2}}}
	kinds := o.kinds(Suspect{Led: []Lead{{Way: FewPixels, Trigger: few}, {Way: Patch, Trigger: patch}}})
	if len(kinds) != 4 {
		t.Fatalf("%d kinds", len(kinds))
	}
	if begins := kinds[1].(sparse).found; !slices.Equal(begins, few) {
		t.Errorf("the sparse trigger begins with %v", begins)
	}
	for i, want := range [][]float32{few, patch} {
		if held, ok := kinds[2+i].(known); !ok || !slices.Equal(held.found, want) {
			t.Errorf("held: %#v, want %v", kinds[2+i], want)
		}
	}
}
