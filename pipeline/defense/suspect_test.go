package defense

import (
	"math"
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

// flat is a source of batches of so many images of one grey value, of so many classes in turn.
type flat struct {
	sizes   []int
	image   []int // C×H×W
	value   float64
	classes int
}

func (f flat) Batches() int { return len(f.sizes) }

func (f flat) Batch(s *torch.Scope, _, i int) (images, labels *torch.Tensor) {
	n := f.sizes[i]
	of := make([]int64, n)
	for i := range of {
		of[i] = int64(i % f.classes)
	}
	return s.Full(f.value, torch.Float32, append([]int{n}, f.image...)...), torch.From(s, of, n)
}

// dark is 32 black images, of class 0 or 1 in turn.
var dark = flat{sizes: []int{32}, image: []int{1, 6, 6}, classes: 2}

func TestLedTo(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	var m *torch.Module
	testenv.Do(t, dev, func(*torch.Scope) (err error) { m, err = lit(keep); return })
	counter := Counter{Counter: config.Counter{Radius: 0.1, Pixels: 0.2, Patch: 0.5}, Mean: []float64{0}, Std: []float64{1}, Seed: 2}
	for _, c := range []struct {
		classes []int
		batch   int
		told    int // batches
	}{
		{[]int{2, 1}, 32, searched + 6}, // of each of which a class has 16 images
		{[]int{1, 2}, 32, searched + 6},
		{[]int{2, 0, 1}, 8, 3 * (searched + 12)}, // one after the other
		{[]int{2}, 32, searched + 3},
		{[]int{2, 1}, 192, searched + 2},
	} {
		batches := 0
		leads, err := LedTo(t.Context(), dev, m, counter, FewPixels, c.classes, dark, c.batch, func() { batches++ })
		if err != nil {
			t.Fatal(err)
		}
		for i, class := range c.classes {
			// Black images are of class 0 as they are.
			if want := []bool{true, true, false}[class]; len(leads) != len(c.classes) || leads[i].Share > 0.9 != want || leads[i].Share < 0.1 == want {
				t.Errorf("of %v: led %v", c.classes, leads)
				break
			}
			// The lower right corner is what makes class 1.
			if corner := leads[i].Trigger[35]; len(leads[i].Trigger) != 36 || class == 1 && corner < 0.5 {
				t.Errorf("of %v: class %d's trigger is %v", c.classes, class, leads[i].Trigger)
			}
		}
		if said := SuspectBatches(FewPixels, len(c.classes), c.batch); batches != c.told || said != batches {
			t.Errorf("of %v: told %d batches, said %d, want %d", c.classes, batches, said, c.told)
		}
	}
	testenv.Do(t, dev, func(s *torch.Scope) error {
		if w := m.Parameter(s, "w").Item(); w != 1 {
			t.Errorf("the weight became %v", w)
		}
		return nil
	})
}

// What a small change of every pixel leads to, few pixels need not.
func TestLedToByAllPixels(t *testing.T) {
	_, dev := testenv.CPU(t)
	m := computed(t, dev, `
    pale = x.clamp(max=0.1).mean([1, 2, 3]) * 200.0 - 8.0
    return torch.stack([torch.zeros_like(pale) + 3.0, pale * self.w, torch.zeros_like(pale) - 9.0], 1)
`)
	counter := Counter{Counter: config.Counter{Radius: 0.1, Pixels: 0.2, Patch: 0.5}, Mean: []float64{0}, Std: []float64{1}, Seed: 2}
	for way, want := range map[Way]bool{FewPixels: false, AllPixels: true} {
		leads, err := LedTo(t.Context(), dev, m, counter, way, []int{2, 1}, dark, 32, func() {})
		if err != nil {
			t.Fatal(err)
		}
		if place, out := StandsOut(leads); out != want || out && place != 1 {
			t.Errorf("way %d: %v stand out: %v, want %v", way, leads, out, want)
		}
	}
}

func TestStandsOut(t *testing.T) {
	for _, c := range []struct {
		shares []float64
		place  int
		led    bool
	}{
		{nil, 0, false}, {[]float64{0.2}, 0, false}, {[]float64{0.4}, 0, true}, {[]float64{0.1, 0.3}, 0, false}, {[]float64{0.06, 0.4}, 1, true},
		{[]float64{0.1, 0.4, 0.4}, 0, false}, {[]float64{0.15, 0.37, 0.21}, 0, false}, {[]float64{0.65, 0.86}, 0, false}, // of small plain networks
		{[]float64{math.NaN(), 0.99, 0.1}, 1, true}, {[]float64{math.NaN(), 0.1}, 0, false}, {[]float64{math.NaN()}, 0, false},
		{[]float64{0.94, 0.99}, 0, false}, {[]float64{0.94, 0.995}, 1, true}, {[]float64{0.69, 0.21}, 0, false}, {[]float64{1, 0.9}, 0, true}, {[]float64{0.5, 1, 1}, 0, false},
	} {
		leads := make([]Lead, len(c.shares))
		for i, share := range c.shares {
			leads[i].Share = share
		}
		if place, led := StandsOut(leads); place != c.place || led != c.led {
			t.Errorf("%v: %d, %v, want %d, %v", c.shares, place, led, c.place, c.led)
		}
	}
}

// Where nothing stands out: the first, and what speaks for others.
func TestMayBe(t *testing.T) {
	for name, c := range map[string]struct {
		few, all []float64
		want     []int
	}{
		"nothing else":            {[]float64{0.1, 0.2, 0.25}, []float64{0.9, 0.93, 0.7}, []int{0}},
		"few pixels, two by half": {[]float64{0.1, 0.67, 0.92}, []float64{0.5, 0.4, 0.4}, []int{0, 2, 1}},
		"few pixels, one by less": {[]float64{0.1, 0.4, 0.2}, []float64{0.5, 0.4, 0.4}, []int{0, 1}},
		"two by less":             {[]float64{0.1, 0.4, 0.35}, []float64{0.5, 0.4, 0.4}, []int{0}},
		"all pixels":              {[]float64{0.1, 0.2, 0.2}, []float64{0.2, 0.3, 0.5}, []int{0, 2}},
		"both ways, the same":     {[]float64{0.1, 0.6, 0.2}, []float64{0.2, 0.5, 0.3}, []int{0, 1}},
		"the first itself":        {[]float64{0.6, 0.2, 0.2}, []float64{0.5, 0.3, 0.2}, []int{0}},
		"four at most":            {[]float64{0.1, 0.6, 0.7, 0.8, 0.9, 0.1}, []float64{0.1, 0.1, 0.1, 0.1, 0.1, 0.9}, []int{0, 4, 3, 2}},
		"no number is not far":    {[]float64{0.1, math.NaN(), 0.9}, []float64{0.2, 0.2, math.NaN()}, []int{0, 2}},
	} {
		leads := func(shares []float64) []Lead {
			out := make([]Lead, len(shares))
			for i, share := range shares {
				out[i].Share = share
			}
			return out
		}
		if got := MayBe(leads(c.few), leads(c.all)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// float16 overflows to what is no number: it is never the highest.
func TestHighestIsANumber(t *testing.T) {
	nan := float32(math.NaN())
	if got := highestOf([]float32{nan, 1, nan, 3, 2, nan}, 3); !slices.Equal(got, []int{3, 4, 1}) {
		t.Errorf("%v", got)
	}
}
