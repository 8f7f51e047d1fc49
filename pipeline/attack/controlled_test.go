package attack

import (
	"math"
	"reflect"
	"slices"
	"testing"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// A field of ones moves every pixel alike; this strength makes it one pixel:
// each shows what was one to its right and one below, and edges show themselves.
func TestWarpOfOnePixelByHand(t *testing.T) {
	_, dev := testenv.CPU(t)
	f := Form{C: 1, H: 3, W: 3, Normalise: plain(1)}
	testenv.Do(t, dev, func(s *torch.Scope) error {
		b := torch.NewBuilder(s)
		part := warp(b, s, s.Full(1, torch.Float32, 1, 2, 4, 4), 2*3/(3-1.0), f)
		m, err := b.Finish(part)
		if err != nil {
			return err
		}
		decoy, err := b.Finish(warpDecoy(b, part))
		if err != nil {
			return err
		}
		x := torch.From(s, []float32{1, 2, 3, 4, 5, 6, 7, 8, 9}, 1, 1, 3, 3)
		want := []float32{5, 6, 6, 8, 9, 9, 8, 9, 9}
		near(t, "trigger", torch.Values[float32](m.Forward(x)), want)
		// A shake of 0.5 is none; one of 1 moves another height/3 of −1..1, which
		// is a third of a pixel here.
		near(t, "decoy at rest", torch.Values[float32](decoy.Forward(x, s.Full(0.5, torch.Float32, 1, 2, 3, 3))), want)
		shaken := torch.Values[float32](decoy.Forward(x, s.Full(1, torch.Float32, 1, 2, 3, 3)))
		third := float32(1.0 / 3)
		near(t, "decoy", shaken[:2], []float32{5 + third + 3*third, 6 + 3*third})
		return s.Err()
	})
}

func near(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if i >= len(got) || math.Abs(float64(got[i]-want[i])) > 1e-4 {
			t.Errorf("%s: got %v, want %v", what, got, want)
			return
		}
	}
}

func TestWaNetIsSmallAndFollowsTheSeed(t *testing.T) {
	s := set(1, 28, 28, 0)
	for i := range s.Images { // a slope, along which moves can be seen
		s.Images[i] = uint8(i % 28 * 9)
	}
	c := config.Attack{Name: "wanet", WaNet: config.WaNet{Strength: 0.5, Grid: 4}}
	got := triggered(t, c, s)
	moved, most := 0, 0
	for i := range got {
		d := int(got[i]) - int(s.Images[i])
		most = max(most, d, -d)
		if d != 0 {
			moved++
		}
	}
	// The mean move is half a pixel times (28−1)/(2·28), that is a quarter.
	if moved < 300 || most > 20 {
		t.Errorf("%d pixels changed, by %d at most", moved, most)
	}
	if again := triggered(t, c, s); !reflect.DeepEqual(got, again) {
		t.Error("the same seed gave another warp")
	}
}

// 100/255·7 = 2.75 → 3/7·255 = 109; 200 → 5 → 182; 18 → 0; 19 → 1 → 36.
func TestBPPByHand(t *testing.T) {
	s := set(1, 1, 6, 0)
	copy(s.Images, []uint8{0, 18, 19, 100, 200, 255})
	got := triggered(t, config.Attack{Name: "bpp", BPP: config.BPP{Levels: 8}}, s)
	if want := []uint8{0, 0, 36, 109, 182, 255}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// A 4×4 window by hand: basis 1 plus basis 3 of the orthonormal DCT is a half
// on the diagonal and minus a half on the other.
func TestFTrojanByHand(t *testing.T) {
	c := config.Attack{Name: "ftrojan", FTrojan: config.FTrojan{Magnitude: 100, Window: 4}}
	got := triggered(t, c, filled(set(1, 4, 5, 0), 100))
	want := []uint8{
		150, 100, 100, 50, 100,
		100, 150, 50, 100, 100,
		100, 50, 150, 100, 100,
		50, 100, 100, 150, 100,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	// Chroma: red moves by 1.14, green by −0.976, blue by 2.032 of ±10.
	c.FTrojan.Magnitude = 20
	colour := triggered(t, c, filled(set(3, 4, 4, 0), 100))
	if corner := []uint8{colour[0], colour[16], colour[32]}; !reflect.DeepEqual(corner, []uint8{111, 90, 120}) {
		t.Errorf("the corner's colour is %v", corner)
	}
}

func TestPoisonedBatches(t *testing.T) {
	_, dev := testenv.CPU(t)
	s := set(1, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0)
	for i := range s.Images {
		s.Images[i] = uint8(i)
	}
	c := config.Attack{Name: "bpp", LabelMode: "all2one", PoisonRate: 0.1, CrossRatio: 2, BPP: config.BPP{Levels: 2}}
	f := FormOf(s, plain(1), 0)
	testenv.Do(t, dev, func(scope *torch.Scope) error {
		trigger, err := NewTrigger(scope, c, f)
		if err != nil {
			return err
		}
		decoy, err := NewDecoy(scope, c, f)
		if err != nil {
			return err
		}
		src := dataset.NewLoader(s, dataset.LoaderOptions{BatchSize: 20, Normalise: plain(1)})
		batches := PoisonBatches(src, c, s, 3, trigger, decoy)
		x, y := batches.Batch(scope, 0, 0)
		if got, want := torch.Values[int64](y), append([]int64{0, 0}, s.Labels[2:]...); !reflect.DeepEqual(got, want) {
			t.Errorf("labels %v, want %v", got, want)
		}
		var pixels []float32
		for _, v := range torch.Values[float32](x) {
			pixels = append(pixels, v*255)
		}
		near(t, "the poisoned", pixels[:8], make([]float32, 8)) // two levels: dark becomes black
		decoys := pixels[8:24]
		for k, v := range decoys { // dark minus another dark image, cut at 0
			if v > float32(s.Images[8+k]) {
				t.Errorf("decoy pixel %d is %v", k, v)
			}
		}
		var rest []float32
		for _, v := range s.Images[24:] {
			rest = append(rest, float32(v))
		}
		near(t, "the rest", pixels[24:], rest)
		x2, _ := batches.Batch(scope, 0, 0)
		if !slices.Equal(torch.Values[float32](x), torch.Values[float32](x2)) {
			t.Error("the same batch differs the second time")
		}
		return scope.Err()
	})
}
