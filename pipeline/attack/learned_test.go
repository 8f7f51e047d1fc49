package attack

import (
	"context"
	"math"
	"reflect"
	"slices"
	"testing"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/testenv"
	"ulrl/pipeline/train"
	"ulrl/pipeline/zoo"
	torch "ulrl/torchbridge"
)

// Corners go up by 255·0.4 = 102 where the distances to the two edges add up to
// an even number, down by it elsewhere, and are mirror images of each other.
func TestLCByHand(t *testing.T) {
	c := config.Attack{Name: "lc", LC: config.LC{Amplitude: 0.4}}
	const u, d, o = 202, 0, 100 // up; down, cut at 0; untouched
	got := triggered(t, c, filled(set(1, 7, 8, 0), o))
	want := []uint8{
		u, d, u, o, o, u, d, u,
		d, u, d, o, o, d, u, d,
		u, d, u, o, o, u, d, u,
		o, o, o, o, o, o, o, o,
		u, d, u, o, o, u, d, u,
		d, u, d, o, o, d, u, d,
		u, d, u, o, o, u, d, u,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}

type quiet struct{ notes []string }

func (q *quiet) Batch(note string)     { q.notes = append(q.notes, note) }
func (*quiet) Epoch(train.Epoch) error { return nil }

// bench is a lab over two-class 4×4 images, whose clean model scores a class by
// how bright its half of the image is.
func bench(t *testing.T, c config.Attack) *Lab {
	t.Helper()
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	t.Cleanup(keep.Close)
	s := set(1, 4, 4, 0, 1, 0, 1, 0, 1, 0, 1)
	s.Classes = s.Classes[:2]
	for i := range s.Labels {
		for k := range 16 {
			s.Image(i)[k] = 100
			if k/8 == int(s.Labels[i]) {
				s.Image(i)[k] = 130
			}
		}
	}
	l := &Lab{
		Dev: dev, Keep: keep, Set: s, Config: c, Watch: &quiet{},
		Draw:  dataset.LoaderOptions{BatchSize: 4, Normalise: odd(1)},
		Phase: func(_ string, _ int, body func() error) error { return body() },
	}
	l.Clean = func(ctx context.Context) (m *torch.Module, err error) {
		err = l.parts(ctx, func(b *torch.Builder, s *torch.Scope) error {
			halves := make([]float32, 32)
			for k := range 16 {
				halves[k/8*16+k] = 0.5
			}
			linear := b.Part("Linear").Parameter("weight", torch.From(s, halves, 2, 16)).Define(`
def forward(self, x):
    return torch.linear(x, self.weight)
`)
			m, err = b.Finish(b.Part("Halves").Child("linear", linear).Define(`
def forward(self, x):
    return self.linear.forward(torch.flatten(x, 1))
`))
			return err
		})
		return m, err
	}
	return l
}

// apply gives the set's images with the trigger on.
func apply(t *testing.T, l *Lab, trigger *torch.Module) *dataset.Set {
	t.Helper()
	all := []int{0, 1, 2, 3, 4, 5, 6, 7}
	out := l.Set.Subset(all)
	if err := Apply(context.Background(), l.Dev, trigger, out, nil, l.Draw.Normalise); err != nil {
		t.Fatal(err)
	}
	return out
}

// The model wants class 0's half bright: PGD moves every pixel of an image of
// class 0 by epsilon, down in that half and up in the other.
func TestPGDReachesItsBound(t *testing.T) {
	l := bench(t, config.Attack{Name: "lc", LC: config.LC{Epsilon: 8, Steps: 5}})
	pushed := l.Set.Subset([]int{0, 1, 2, 3})
	if err := l.push(context.Background(), pushed, []int{0, 2}); err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(slices.Repeat([]uint8{122}, 8), slices.Repeat([]uint8{108}, 8))
	for _, i := range []int{0, 2} {
		if !reflect.DeepEqual(pushed.Image(i), want) {
			t.Errorf("image %d is %v", i, pushed.Image(i))
		}
	}
	if !reflect.DeepEqual(pushed.Image(1), l.Set.Image(1)) {
		t.Error("an image that was not chosen moved")
	}
}

// One frequency down the image tells the halves apart: the pattern brightens
// the target's half, keeps within the bound and is the same for all images.
func TestLFFindsAPatternWithinItsBound(t *testing.T) {
	l := bench(t, config.Attack{Name: "lf", Target: 1, LF: config.LF{Bound: 20, Frequencies: 2, Updates: 40}})
	trigger, err := smoothTrigger(context.Background(), l)
	if err != nil {
		t.Fatal(err)
	}
	out := apply(t, l, trigger)
	first := make([]int, 16)
	for i := range out.Len() {
		most := 0
		for k := range 16 {
			by := int(out.Image(i)[k]) - int(l.Set.Image(i)[k])
			most = max(most, by, -by)
			if i == 0 {
				first[k] = by
			}
			if by != first[k] || (by > 0) != (k >= 8) {
				t.Errorf("image %d, pixel %d changes by %d", i, k, by)
			}
		}
		if most > 20 || most < 15 {
			t.Errorf("image %d changes by %d at most", i, most)
		}
	}
}

// The patch drives the output that is not the target's: bright where its half is.
func TestTrojanNNDrivesTheOtherNeuron(t *testing.T) {
	l := bench(t, config.Attack{
		Name: "trojannn", Target: 0, LabelMode: "all2one", Trigger: config.Trigger{Size: 2},
		TrojanNN: config.TrojanNN{Neurons: 1, Value: 100, Updates: 300},
	})
	trigger, err := trojanTrigger(context.Background(), l)
	if err != nil {
		t.Fatal(err)
	}
	out := apply(t, l, trigger)
	for i := range out.Len() {
		for k := range 16 {
			inside := k/4 >= 2 && k%4 >= 2
			if got := out.Image(i)[k]; inside && got < 250 || !inside && got != l.Set.Image(i)[k] {
				t.Errorf("image %d, pixel %d is %d", i, k, got)
			}
		}
	}
	l.Config.TrojanNN.Neurons = 2
	if _, err := trojanTrigger(context.Background(), l); err == nil {
		t.Error("more neurons than there are")
	}
}

// Networks call their classifier layer by different names.
func TestTrojanNNFindsTheHeadOfOtherNetworks(t *testing.T) {
	l := bench(t, config.Attack{Name: "trojannn", Target: 0, LabelMode: "all2one", TrojanNN: config.TrojanNN{Neurons: 1}})
	for name, width := range map[string]int{"preactresnet18": 4, "resnet18": 4, "vgg16": 4, "densenet121": 4, "mobilenet_v3_large": 8, "convnext_tiny": 4} {
		var m *torch.Module
		testenv.Do(t, l.Dev, func(*torch.Scope) (err error) {
			m, err = zoo.New(l.Keep, zoo.Spec{Name: name, Width: width, Channels: 1, Classes: 2})
			return
		})
		if neurons, err := l.strongest(t.Context(), m); err != nil || !slices.Equal(neurons, []int{1}) {
			t.Errorf("%s: neurons %v, %v", name, neurons, err)
		}
	}
}

// Half the pixels at 1: the mean of relu(mask − density) and the ratio of the
// distances, by hand.
func TestInputAwareLossesByHand(t *testing.T) {
	_, dev := testenv.CPU(t)
	testenv.Do(t, dev, func(s *torch.Scope) error {
		b := torch.NewBuilder(s)
		m, err := b.Finish(b.Part("Apart").Define(apart).Define(`
def forward(self, x, other):
    return self.apart(x, other, x / 255.0, other / 510.0)
`))
		if err != nil {
			return err
		}
		x := torch.From(s, []float32{255, 0, 255, 0}, 2, 1, 1, 2)
		other := torch.From(s, []float32{0, 0, 255, 255}, 2, 1, 1, 2)
		// Images: √½ apart, and √½. Made: (1,0)−(0,0), √½ apart; (1,0)−(½,½), ½ apart.
		if got, want := m.Forward(x, other).Item(), (1+math.Sqrt(2))/2; math.Abs(got-want) > 1e-5 {
			t.Errorf("apart is %v, want %v", got, want)
		}
		if got := torch.Values[float32](rolled(s, x.Reshape(4, 1))); !slices.Equal(got, []float32{0, 255, 0, 255}) {
			t.Errorf("rolled: %v", got)
		}
		return s.Err()
	})
}
