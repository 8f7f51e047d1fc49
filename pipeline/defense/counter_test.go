package defense

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"ulrl/pipeline/config"
	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// The strength of a pixel is over its channels: (1,1) has 0.4+0.4, (0,1) 0.7.
func TestThinnedKeepsTheStrongestPixels(t *testing.T) {
	_, dev := testenv.CPU(t)
	testenv.Do(t, dev, func(s *torch.Scope) error {
		delta := torch.From(s, []float32{0.1, -0.7, 0.2, 0.4, 0.1, 0, 0.2, -0.4}, 2, 2, 2)
		got := torch.Values[float32](thinned(delta, 0.5))
		if want := []float32{0, -0.7, 0, 0.4, 0, 0, 0, -0.4}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		return nil
	})
}

// cornered is a model of two classes on 1×2×2 images: only the last pixel speaks
// for class 1, and 0.7 of the pixel range make it more likely.
func cornered(s *torch.Scope) (*torch.Module, error) {
	b := torch.NewBuilder(s)
	return b.Finish(b.Part("Cornered").
		Parameter("weight", torch.From(s, []float32{0, 0, 0, 0, 0, 0, 0, 10}, 2, 4)).
		Parameter("bias", torch.From(s, []float32{7, 0}, 2)).
		Define("def forward(self, x):\n    return torch.linear(x.flatten(1), self.weight, self.bias)\n"))
}

// computing is a model whose answers are what these lines of its forward(self, x) say;
// it has one parameter, self.w, which is 1.
func computing(s *torch.Scope, lines string) (*torch.Module, error) {
	b := torch.NewBuilder(s)
	return b.Finish(b.Part("Computing").Parameter("w", s.Full(1, torch.Float32, 1)).Define("def forward(self, x):" + lines))
}

// computed is computing's model on a scope of its own, for the whole test.
func computed(t *testing.T, dev *torch.Device, lines string) *torch.Module {
	t.Helper()
	keep := dev.NewScope()
	t.Cleanup(keep.Close)
	var m *torch.Module
	testenv.Do(t, dev, func(*torch.Scope) (err error) { m, err = computing(keep, lines); return })
	return m
}

func TestOpponentFindsTheTrigger(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	testenv.Do(t, dev, func(s *torch.Scope) error {
		m, err := cornered(s)
		if err != nil {
			return err
		}
		if err := m.RequireGrad(true); err != nil {
			return err
		}
		o, err := newOpponent(Counter{
			Counter: config.Counter{Weight: 1, Radius: 0.2, Pixels: 0.25, Steps: 8},
			Classes: []Suspect{{Class: 1}}, Mean: []float64{0.5}, Std: []float64{0.25}, Seed: 3,
		}, m, keep)
		if err != nil {
			return err
		}
		black := s.Full(-2, torch.Float32, 4, 1, 2, 2) // pixels of 0, normalised
		labels := torch.From(s, []int64{0, 0, 0, 1}, 4)
		got, err := o.images(s, black, labels)
		if err != nil {
			return err
		}
		pixels := torch.Values[float32](got.MulScalar(0.25).AddScalar(0.5))
		for i, want := range []float32{0.2, 0.2, 1, 1} { // the dense trigger on the first two, the sparse one on the rest
			if last := pixels[4*i+3]; math.Abs(float64(last-want)) > 1e-6 {
				t.Errorf("image %d: the last pixel is %v, want %v", i, last, want)
			}
		}
		for i, p := range pixels[8:] {
			if i%4 != 3 && p != 0 {
				t.Errorf("the sparse trigger changed pixel %d too: %v", i%4, p)
			}
		}
		// Images of class 1 do not count; of the others, −log(1 − p).
		logits := torch.From(s, []float32{0, 0, 0, float32(math.Log(3)), 9, 0, 0, 9}, 4, 2)
		want := (math.Log(2) + math.Log(4) + math.Log1p(math.Exp(-9))) / 3
		if loss := o.loss(logits, labels).Item(); math.Abs(loss-want) > 1e-4 {
			t.Errorf("loss %v, want %v", loss, want)
		}
		o.loss(m.Forward(got), labels).Backward()
		if g := m.Parameter(s, "weight").Grad(); g == nil || g.Abs().Max().Item() == 0 {
			t.Error("the model was left without gradients")
		}
		return nil
	})
}

// A model that takes an image for class 1 where its first and last pixel are
// alike: what leads there is another change for each image, and is not carried on.
func TestSampleTriggersAreEachImagesOwn(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	testenv.Do(t, dev, func(s *torch.Scope) error {
		m, err := computing(s, `
    alike = x[:, 0, 0, 0] * x[:, 0, 1, 1] * self.w
    return torch.stack([torch.zeros_like(alike), alike], 1)
`)
		if err != nil {
			return err
		}
		o, err := newOpponent(Counter{
			Counter: config.Counter{Weight: 1, Radius: 0.01, Pixels: 0.25, SampleRadius: 0.2, Steps: 1, SampleSteps: 4},
			Classes: []Suspect{{Class: 1}}, Mean: []float64{0.5}, Std: []float64{0.5}, Seed: 3,
		}, m, keep)
		if err != nil {
			return err
		}
		labels := s.Full(0, torch.Int64, 6)
		for _, first := range [][]float32{{0.6, -0.6}, {-0.6, 0.6}} { // of images 4 and 5, the last of which is grey
			values := make([]float32, 6*4)
			values[16], values[20] = first[0], first[1]
			got, err := o.images(s, torch.From(s, values, 6, 1, 2, 2), labels)
			if err != nil {
				return err
			}
			for i, sign := range []float32{first[0] / 0.6, first[1] / 0.6} {
				// Half of the range is 1, normalised: the radius is 0.4.
				if last := torch.Values[float32](got)[16+4*i+3]; math.Abs(float64(last-sign*0.4)) > 1e-5 {
					t.Errorf("image %d: the last pixel is %v, want %v", i, last, sign*0.4)
				}
			}
		}
		if share := o.triggers[2].labels(); share != 0 {
			t.Errorf("its labels weigh %v", share)
		}
		return nil
	})
}

// A model that takes an image for class 1 as its right half grows bright. Of images that
// are brighter to the left, moving pixels to the right leads there: a fifth of the way
// from the first column to the last, which is one column.
func TestBentTriggerMovesPixels(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	testenv.Do(t, dev, func(s *torch.Scope) error {
		m, err := computing(s, `
    right = x[:, :, :, 3:].mean([1, 2, 3]) * self.w
    return torch.stack([torch.zeros_like(right), right], 1)
`)
		if err != nil {
			return err
		}
		o, err := newOpponent(Counter{
			Counter: config.Counter{Weight: 1, Radius: 0.001, Bend: 0.2, Steps: 8},
			Classes: []Suspect{{Class: 1}}, Mean: []float64{0}, Std: []float64{1}, Seed: 3,
		}, m, keep)
		if err != nil {
			return err
		}
		values := make([]float32, 4*2*6*6) // 2 channels
		for i := range values {
			values[i] = 1 - float32(i%6)/5
		}
		got, err := o.images(s, torch.From(s, values, 4, 2, 6, 6), s.Full(0, torch.Int64, 4))
		if err != nil {
			return err
		}
		for i, v := range torch.Values[float32](got)[2*72:] { // the bent one's images
			if want := 1 - float32(i%6-1)/5; i%6 > 2 && math.Abs(float64(v-want)) > 0.05 || i%6 == 5 && math.Abs(float64(v-want)) > 1e-5 {
				t.Fatalf("column %d: %v, want %v", i%6, v, want)
			}
		}
		before := torch.Values[float32](o.triggers[1].delta.In(s))
		o.restart(s, []int{4, 2, 6, 6})
		if after := torch.Values[float32](o.triggers[1].delta.In(s)); !reflect.DeepEqual(before, after) {
			t.Errorf("it was not carried on: %v, before %v", after, before)
		}
		return nil
	})
}

// Nothing moved leaves the pixels where they are, in bfloat16's forward passes too.
func TestBentTriggerBeginsAtTheImage(t *testing.T) {
	_, dev := testenv.CPU(t)
	testenv.Do(t, dev, func(s *torch.Scope) error {
		m, err := bender(s)
		if err != nil {
			return err
		}
		values := make([]float32, 32*32)
		for i := range values {
			values[i] = float32(i*37%101) / 100
		}
		still := s.Full(0, torch.Float32, 1, 2, bendPoints, bendPoints)
		s.With(torch.BFloat16, func() {
			for i, v := range torch.Values[float32](bent{bend: m}.on(torch.From(s, values, 1, 1, 32, 32), still)) {
				if math.Abs(float64(v-values[i])) > 1e-4 {
					t.Fatalf("pixel %d is %v, want %v", i, v, values[i])
				}
			}
		})
		return nil
	})
}

func TestSoftCrossEntropyIsLeastForTheTeacherItself(t *testing.T) {
	_, dev := testenv.CPU(t)
	testenv.Do(t, dev, func(s *torch.Scope) error {
		m, err := cornered(s)
		if err != nil {
			return err
		}
		images := torch.From(s, []float32{0, 0, 0, 0.7}, 1, 1, 2, 2)
		wanted := m.Forward(images).LogSoftmax(1).Exp()
		own := softCrossEntropy(m.Forward(images), wanted).Item()
		if want := math.Log(2); math.Abs(own-want) > 1e-6 { // both classes are equally likely
			t.Errorf("its own: %v, want %v", own, want)
		}
		if other := softCrossEntropy(torch.From(s, []float32{1, 0}, 1, 2), wanted).Item(); other <= own {
			t.Errorf("another's %v is no more than its own %v", other, own)
		}
		return nil
	})
}

// lit is a model of 6×6 images that takes those for class 1 whose lower right corner
// is bright; never for class 2.
func lit(s *torch.Scope) (*torch.Module, error) {
	return computing(s, `
    lit = torch.relu(x[:, :, 4:, 4:].sum([1, 2, 3]) * 0.25 - 0.9) * 100.0
    return torch.stack([torch.zeros_like(lit) + 3.0, lit * self.w, torch.zeros_like(lit) - 9.0], 1)
`)
}

// scanning is an opponent that looks among patches for what leads 6×6 images to class 1.
func scanning(m *torch.Module, keep *torch.Scope) (*opponent, error) {
	return newOpponent(Counter{
		Counter: config.Counter{Weight: 1, Radius: 0.1, Pixels: 0.2, Patch: 0.5, Steps: 1},
		Classes: []Suspect{{Class: 1}}, Mean: []float64{0}, Std: []float64{1}, Seed: 1,
	}, m, keep)
}

// cornerOf is the lower right corner, 2×2, of its sparse trigger.
func cornerOf(s *torch.Scope, o *opponent) []float32 {
	return torch.Values[float32](o.triggers[1].delta.In(s).Narrow(1, 4, 2).Narrow(2, 4, 2).Reshape(4))
}

// A model that obeys a bright 2×2 corner alone, nearly without a slope elsewhere:
// only trying patches finds it.
func TestScanFindsACorner(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	testenv.Do(t, dev, func(s *torch.Scope) error {
		m, err := lit(s)
		if err != nil {
			return err
		}
		o, err := scanning(m, keep)
		if err != nil {
			return err
		}
		black, labels := s.Full(0, torch.Float32, 32, 1, 6, 6), s.Full(0, torch.Int64, 32)
		for range 20 {
			if _, err := o.images(s, black, labels); err != nil {
				return err
			}
		}
		corner := cornerOf(s, o)
		for _, v := range corner {
			if v < 0.9 {
				t.Errorf("the corner of the trigger is %v", corner)
				break
			}
		}
		return nil
	})
}

// Held against two classes, each's triggers find its own corner, also where something was
// found for one alone.
func TestTriggersOfTwoClasses(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	testenv.Do(t, dev, func(s *torch.Scope) error {
		m, err := computing(s, `
    first = torch.relu(x[:, 0, 4:, 4:].sum([1, 2]) * 0.25 - 0.9) * 100.0
    second = torch.relu(x[:, 0, :2, :2].sum([1, 2]) * 0.25 - 0.9) * 100.0
    return torch.stack([torch.zeros_like(first) + 3.0, first * self.w, second], 1)
`)
		if err != nil {
			return err
		}
		o, err := newOpponent(Counter{
			Counter: config.Counter{Weight: 1, Radius: 0.1, Pixels: 0.2, Patch: 0.5, Steps: 1},
			Classes: []Suspect{{Class: 1}, {Class: 2, Led: []Lead{{Trigger: make([]float32, 36)}}}}, Mean: []float64{0}, Std: []float64{1}, Seed: 1,
		}, m, keep)
		if err != nil {
			return err
		}
		const n = 64
		black, labels := s.Full(0, torch.Float32, n, 1, 6, 6), s.Full(0, torch.Int64, n)
		var images *torch.Tensor
		for range 20 {
			if images, err = o.images(s, black, labels); err != nil {
				return err
			}
		}
		taken := torch.Values[int64](m.Forward(images).ArgMaxDim(1))
		for i, class := range []int64{0, 1, 0, 2} { // the dense ones change too little
			from, count := o.part(i, n)
			for _, got := range taken[from : from+count] {
				if got != class {
					t.Errorf("trigger %d's images are taken for %v", i, taken[from:from+count])
					break
				}
			}
		}
		return nil
	})
}

// Half of the images are nearly class 1 as they are, and no patch brings them nearer; the
// others are far from it, and a bright corner brings them nearer, if not near. That counts.
func TestScanRanksByWhatPatchesChange(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	testenv.Do(t, dev, func(s *torch.Scope) error {
		m, err := computing(s, `
    near = torch.exp(-torch.square((x[:, 0, 0, 0] - 0.5) * 20.0)) * 11.5
    z = torch.maximum(near, x[:, 0, 4:, 4:].mean([1, 2]) * 6.0) - 12.0 * self.w
    return torch.stack([torch.zeros_like(z), z], 1)
`)
		if err != nil {
			return err
		}
		o, err := scanning(m, keep)
		if err != nil {
			return err
		}
		values := make([]float32, 32*36)
		for i := 0; i < len(values); i += 2 * 36 {
			values[i] = 0.5
		}
		images, labels := torch.From(s, values, 32, 1, 6, 6), s.Full(0, torch.Int64, 32)
		o.restart(s, images.Shape())
		for range 8 {
			o.scan(s, images, labels)
		}
		corner := cornerOf(s, o)
		for _, v := range corner {
			if v != 1 {
				t.Errorf("the corner of the trigger is %v", corner)
				break
			}
		}
		return nil
	})
}

// What the class search found is what the sparse trigger begins with.
func TestSparseTriggerBeginsWithWhatWasFound(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	testenv.Do(t, dev, func(s *torch.Scope) error {
		found := []float32{0, 0.5, -1, 0}
		o := opponent{keep: keep, rng: rand.New(rand.NewPCG(1, 1)), Counter: Counter{
			Counter: config.Counter{Radius: 0.1, Pixels: 0.5, Share: 1}, Classes: []Suspect{{Led: []Lead{{Trigger: found}}}}}}
		o.restart(s, []int{4, 1, 2, 2})
		if got := torch.Values[float32](o.triggers[1].delta.In(s)); !reflect.DeepEqual(got, found) {
			t.Errorf("it begins with %v", got)
		}
		return nil
	})
}

// A model that obeys two far corners together, which no patch lights: once forgotten,
// what was found is found again.
func TestScanTriesWhatWasFoundAgain(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	testenv.Do(t, dev, func(s *torch.Scope) error {
		m, err := computing(s, `
    z = x[:, 0, 0, 0] * x[:, 0, 5, 5] * 20.0 - 10.0 * self.w
    return torch.stack([torch.zeros_like(z), z], 1)
`)
		if err != nil {
			return err
		}
		o, err := scanning(m, keep)
		if err != nil {
			return err
		}
		found := make([]float32, 36)
		found[0], found[35] = 1, 1
		o.Classes[0].Led = []Lead{{Trigger: found}}
		black, labels := s.Full(0, torch.Float32, 32, 1, 6, 6), s.Full(0, torch.Int64, 32)
		o.restart(s, black.Shape())
		o.replace(&o.triggers[1], s.Full(0, torch.Float32, 1, 6, 6))
		o.scan(s, black, labels)
		if got := torch.Values[float32](o.triggers[1].delta.In(s).Reshape(-1)); !reflect.DeepEqual(got, found) {
			t.Errorf("the trigger is %v", got)
		}
		return nil
	})
}

func TestTriggeredImages(t *testing.T) {
	one := []Suspect{{}}
	four := opponent{Counter: Counter{Counter: config.Counter{Share: 0.67, Pixels: 0.1, SampleRadius: 0.1, Bend: 0.1}, Classes: one}}
	all := opponent{Counter: Counter{Counter: config.Counter{Share: 0.67, Pixels: 0.1, SampleRadius: 0.1}, Classes: one}}
	dense := opponent{Counter: Counter{Counter: config.Counter{Share: 0.01}, Classes: one}}
	three := opponent{Counter: Counter{Counter: all.Counter.Counter, Classes: make([]Suspect, 3)}}
	for _, c := range []struct {
		o           opponent
		batch, want int
	}{{four, 2, 2}, {four, 4, 4}, {four, 5, 5}, {four, 128, 86}, {all, 1, 1}, {all, 2, 2}, {all, 3, 3}, {all, 4, 4}, {all, 100, 68}, {all, 125, 85}, {all, 128, 86}, {three, 128, 86}, {three, 12, 10}, {three, 8, 8}, {dense, 128, 2}, {dense, 127, 1}, {dense, 1, 1}} {
		if got := c.o.triggered(c.batch); got != c.want {
			t.Errorf("%d of %d images, want %d (share %v)", got, c.batch, c.want, c.o.Share)
		}
	}
}

// Each image's own have three images for two of any other kind, and each kind has one
// where there are as many.
func TestPartsOfABatch(t *testing.T) {
	o := opponent{Counter: Counter{Counter: config.Counter{Pixels: 0.1, SampleRadius: 0.1, Bend: 0.1}}}
	for _, kind := range o.kinds(Suspect{}) {
		o.triggers = append(o.triggers, trigger{kind: kind})
	}
	for n, want := range map[int][]int{4: {1, 1, 1, 1}, 5: {1, 1, 2, 1}, 100: {22, 22, 34, 22}} {
		at := 0
		for i, count := range want {
			if from, got := o.part(i, n); from != at || got != count {
				t.Errorf("trigger %d of %d images: %d from %d on, want %d from %d on", i, n, got, from, count, at)
			}
			at += count
		}
	}
}

// Of small batches, too, each of many triggers has images.
func TestPartsOfManyTriggers(t *testing.T) {
	led := slices.Repeat([]Lead{{Way: Patch, Trigger: []float32{1}}}, 5)
	o := opponent{Counter: Counter{Counter: config.Counter{Pixels: 0.1, SampleRadius: 0.1, Bend: 0.1}}}
	for _, kind := range o.kinds(Suspect{Led: led}) {
		o.triggers = append(o.triggers, trigger{kind: kind})
	}
	for n := range 200 {
		all := 0
		for i := range o.triggers {
			from, count := o.part(i, n)
			if from != all || count == 0 && n >= len(o.triggers) {
				t.Errorf("trigger %d of %d images: %d from %d on", i, n, count, from)
			}
			all += count
		}
		if all != n {
			t.Errorf("%d of %d images", all, n)
		}
	}
}

// Of a batch of five three get triggers, one of each kind: their outputs come after the
// five, and what is asked of them goes by the first three's labels and teacher.
func TestLossOfABatchWithTriggers(t *testing.T) {
	_, dev := testenv.CPU(t)
	logits := [][2]float64{{1, 0}, {0, 2}, {0, 0}, {3, 0}, {0, 1}, {0, 3}, {2, 0}, {0.5, 0}}
	labels := []int64{0, 0, 1, 1, 0}
	wanted := []float64{0.9, 0.2, 0.4, 0.7, 0.5} // of class 0
	c := config.Counter{Weight: 0.3, Share: 0.5, Radius: 0.1, Pixels: 0.1, SampleRadius: 0.1, DenseLabels: 0.25, SparseLabels: 2}
	l := lesson{o: config.Relearn{Distill: 0.6, Counter: c}, opponent: &opponent{Counter: Counter{Counter: c, Classes: []Suspect{{Class: 1}}}}}
	for _, kind := range l.opponent.kinds(Suspect{}) {
		l.opponent.triggers = append(l.opponent.triggers, trigger{kind: kind, class: 1})
	}

	ordinary := func(output, image int) float64 {
		log := [2]float64{logShareOf(logits[output], 0), logShareOf(logits[output], 1)}
		return -0.4*log[labels[image]] - 0.6*(wanted[image]*log[0]+(1-wanted[image])*log[1])
	}
	want := 0.0
	for i := range labels {
		want += ordinary(i, i) / 5
	}
	anythingBut := -(math.Log(1-math.Exp(logShareOf(logits[5], 1))) + math.Log(1-math.Exp(logShareOf(logits[6], 1)))) / 2 // the third is of class 1
	want += 0.3 * (anythingBut + 0.25*ordinary(5, 0) + 2*ordinary(6, 1))

	testenv.Do(t, dev, func(s *torch.Scope) error {
		var flat, shares []float64
		for _, v := range logits {
			flat = append(flat, v[:]...)
		}
		for _, w := range wanted {
			shares = append(shares, w, 1-w)
		}
		whole, _ := l.loss(s, torch.From(s, flat, 8, 2), torch.From(s, labels, 5), torch.From(s, shares, 5, 2))
		if got := whole.Item(); math.Abs(got-want) > 1e-5 {
			t.Errorf("loss %v, want %v", got, want)
		}
		return nil
	})
}

// What was found stays as it is, beside the sparse trigger that begins with it, and has half
// as many images.
func TestWhatWasFoundStays(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	testenv.Do(t, dev, func(s *torch.Scope) error {
		m, err := computing(s, `
    z = x[:, 0, 4:, 4:].sum([1, 2]) * 4.0 - 3.0 * self.w
    return torch.stack([torch.zeros_like(z), z], 1)
`)
		if err != nil {
			return err
		}
		found := make([]float32, 36)
		found[7] = 0.5
		o, err := newOpponent(Counter{
			Counter: config.Counter{Weight: 1, Radius: 0.1, Pixels: 0.1, Share: 0.5, Restart: 0.5, Steps: 2},
			Classes: []Suspect{{Class: 1, Led: []Lead{{Trigger: found}}}}, Mean: []float64{0}, Std: []float64{1}, Seed: 1,
		}, m, keep)
		if err != nil {
			return err
		}
		black, labels := s.Full(0, torch.Float32, 10, 1, 6, 6), s.Full(0, torch.Int64, 10)
		var images *torch.Tensor
		for range 5 {
			if images, err = o.images(s, black, labels); err != nil {
				return err
			}
		}
		for i, want := range []int{4, 4, 2} {
			if _, count := o.part(i, 10); count != want {
				t.Errorf("trigger %d has %d of ten images, want %d", i, count, want)
			}
		}
		got := torch.Values[float32](images.Narrow(0, 8, 2).Reshape(-1))
		if !reflect.DeepEqual(got, slices.Concat(found, found)) {
			t.Errorf("images with what was found: %v", got)
		}
		if sparse := torch.Values[float32](o.triggers[1].delta.In(s).Reshape(-1)); reflect.DeepEqual(sparse, found) {
			t.Error("the sparse trigger has not moved")
		}
		return nil
	})
}

// Of two classes each has half of the images with triggers, and no say in the other's; what
// is asked of all weighs as of one.
func TestLossOfTwoClasses(t *testing.T) {
	_, dev := testenv.CPU(t)
	logits := [][2]float64{{1, 0}, {0, 2}, {0, 0}, {3, 0}}
	o := opponent{Counter: Counter{Counter: config.Counter{Share: 1, DenseLabels: 0.5}, Classes: []Suspect{{Class: 1}, {Class: 0}}}}
	for _, suspect := range o.Classes {
		for _, kind := range o.kinds(Suspect{}) {
			o.triggers = append(o.triggers, trigger{kind: kind, class: suspect.Class})
		}
	}
	but := func(image, class int) float64 { return -math.Log(1 - math.Exp(logShareOf(logits[image], class))) }
	want := ((but(0, 1)+but(1, 1))/2 + but(2, 0)) / 2 // the last is of class 0
	labels := []int64{0, 0, 1, 0}
	ordinary := 0.0
	for i, label := range labels {
		ordinary -= logShareOf(logits[i], int(label)) / 4
	}
	l := lesson{o: config.Relearn{Counter: config.Counter{Weight: 0.3}}, opponent: &o}
	testenv.Do(t, dev, func(s *torch.Scope) error {
		var flat []float64
		for _, v := range logits {
			flat = append(flat, v[:]...)
		}
		all, trues := torch.From(s, flat, 4, 2), torch.From(s, labels, 4)
		if got := o.loss(all, trues).Item(); math.Abs(got-want) > 1e-5 {
			t.Errorf("loss %v, want %v", got, want)
		}
		whole, _ := l.loss(s, torch.From(s, slices.Concat(flat, flat), 8, 2), trues, nil)
		if got, want := whole.Item(), ordinary+0.3*(want+0.5*ordinary); math.Abs(got-want) > 1e-5 {
			t.Errorf("with labels: loss %v, want %v", got, want)
		}
		return nil
	})
}

func logShareOf(logits [2]float64, class int) float64 {
	return logits[class] - math.Log(math.Exp(logits[0])+math.Exp(logits[1]))
}
