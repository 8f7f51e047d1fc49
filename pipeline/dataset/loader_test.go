package dataset

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// What a GPU makes of an image must be what the CPU does, to the bit.
func TestBatchesMadeHereAndThereAreTheSame(t *testing.T) {
	_, dev := testenv.CPU(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for name, set := range map[string]*Set{
		"grey":   {C: 1, H: 7, W: 9, Images: make([]uint8, 20*7*9), Labels: make([]int64, 20)},
		"colour": {C: 3, H: 12, W: 5, Images: make([]uint8, 20*3*12*5), Labels: make([]int64, 20)},
	} {
		for i := range set.Images {
			set.Images[i] = uint8(rng.IntN(256))
		}
		n := Normalisation{Mean: []float64{0.3, 0.4, 0.5}[:set.C], Std: []float64{0.2, 0.3, 0.7}[:set.C]}
		for _, augment := range []bool{false, true} {
			l := NewLoader(set, LoaderOptions{BatchSize: 20, Shuffle: augment, Crop: augment, Flip: augment, Seed: 5, Normalise: n})
			testenv.Do(t, dev, func(s *torch.Scope) error {
				index, moves := l.indices(3, 0), l.moves(3, 0, 20)
				here, there := torch.Values[float32](l.here(s, index, moves)), torch.Values[float32](l.there(s, index, moves))
				if !reflect.DeepEqual(here, there) || len(here) != len(set.Images) {
					t.Errorf("%s, augmented %v: they differ", name, augment)
				}
				return nil
			})
		}
	}
}
