package defense

import (
	"context"
	"math"
	"math/rand/v2"

	torch "ulrl/torchbridge"
)

// Wave is how often a wave goes up and down over an image's height and over its width;
// across may be negative, so that it leans the other way.
type Wave struct{ Down, Across float64 }

const (
	// gridDown and gridAcross are how many waves are tried: one of each cell of a grid up to
	// mostCycles down the image and as many across it, to either side, or half as many as it has
	// pixels there. Networks are led by waves about one cycle apart alike.
	gridDown, gridAcross, mostCycles = 16, 32, 16
	// rides is on how many images each of them is tried, of full batches.
	rides = 6
	// foremost is how many of them are then measured for each class.
	foremost = 2
)

// waves add to each image a wave of its own, about as often up and down as one that led to
// the class, of any phase and from three to five quarters as high. They are made anew with each batch.
type waves struct {
	unfitted
	around Wave
}

func (w waves) begins(s *torch.Scope, rng *rand.Rand, n int, image []int) *torch.Tensor {
	some := make([]Wave, n)
	for i := range some {
		some[i] = Wave{w.around.Down + 2*rng.Float64() - 1, w.around.Across + 2*rng.Float64() - 1}
	}
	return riding(s, rng, some, 0.75*w.Wave, 1.25*w.Wave, image)
}

func (waves) lasts() bool       { return false }
func (w waves) labels() float64 { return w.DenseLabels }

// riding is a wave for each image, the same in all channels, of any phase and of a height
// from least to most: N×1×H×W.
func riding(s *torch.Scope, rng *rand.Rand, some []Wave, least, most float64, image []int) *torch.Tensor {
	h, w := image[1], image[2]
	out := make([]float32, 0, len(some)*h*w)
	// sin(a + b) = sin a cos b + cos a sin b, so that each image takes h + w of them.
	sines := func(n int, cycles, phase float64) (sin, cos []float64) {
		for i := range n {
			s, c := math.Sincos(2*math.Pi*cycles*float64(i)/float64(n) + phase)
			sin, cos = append(sin, s), append(cos, c)
		}
		return sin, cos
	}
	for _, wave := range some {
		height := least + (most-least)*rng.Float64()
		sinDown, cosDown := sines(h, wave.Down, 2*math.Pi*rng.Float64())
		sinAcross, cosAcross := sines(w, wave.Across, 0)
		for y := range h {
			for x := range w {
				out = append(out, float32(height*(sinDown[y]*cosAcross[x]+cosDown[y]*sinAcross[x])))
			}
		}
	}
	return torch.From(s, out, len(some), 1, h, w)
}

// waveBatches is how many batches of so many images looking for waves takes, to try all and
// to measure the foremost of so many classes.
func waveBatches(classes, batch int) (try, measure int) {
	return batchesOf(gridDown*gridAcross*rides, batch), batchesOf(foremost*classes*measuredImages, batch)
}

// byWaves looks at all classes at once, for none has a wave of its own: each wave of a grid
// is tried, and of each class those that lead there furthest are measured.
func (l look) byWaves(ctx context.Context, classes []int) ([]Lead, error) {
	keep := l.dev.NewScope()
	defer keep.Close()
	o, err := newOpponent(l.c, l.m, keep)
	if err != nil {
		return nil, err
	}
	try, measure := waveBatches(len(classes), l.batch)
	var all []Wave
	err = l.dev.Do(ctx, func(s *torch.Scope) error {
		if images, _ := l.src.Batch(s, 0, 0); s.Err() == nil {
			all = o.grid(images.Shape()[2:])
		}
		return s.Err()
	})
	if err != nil {
		return nil, err
	}
	shares, err := l.ride(ctx, o, 0, try, all, classes)
	if err != nil {
		return nil, err
	}
	var finals []Wave
	for k := range classes {
		for _, i := range highestOf(shares[k], foremost) {
			finals = append(finals, all[i])
		}
	}
	if shares, err = l.ride(ctx, o, try, measure, finals, classes); err != nil {
		return nil, err
	}
	leads := make([]Lead, len(classes))
	for k := range classes {
		its := shares[k][k*foremost : (k+1)*foremost]
		best := highestOf(its, 1)[0]
		leads[k] = Lead{Way: Waves, Share: its[best], Wave: &finals[k*foremost+best]}
	}
	return leads, nil
}

// grid is a wave of each of its cells, for images of these sides.
func (o *opponent) grid(sides []int) []Wave {
	most := func(side int) float64 { return min(mostCycles, float64(side)/2) }
	var all []Wave
	for i := range gridDown {
		for j := range gridAcross {
			all = append(all, Wave{
				Down:   (float64(i) + o.rng.Float64()) / gridDown * most(sides[0]),
				Across: (2*(float64(j)+o.rng.Float64())/gridAcross - 1) * most(sides[1]),
			})
		}
	}
	return all
}

// ride tries waves on the images of so many batches, from one on, on equally many each. It
// gives the mean share of each class in the outputs for other classes' images: class, wave.
func (l look) ride(ctx context.Context, o *opponent, from, batches int, some []Wave, classes []int) ([][]float64, error) {
	shares, of := make([][]float64, len(classes)), make([][]float64, len(classes))
	for k := range classes {
		shares[k], of[k] = make([]float64, len(some)), make([]float64, len(some))
	}
	ridden := 0
	for b := range batches {
		err := l.dev.Do(ctx, func(s *torch.Scope) error {
			images, labels := l.src.Batch(s, (from+b)/l.src.Batches(), (from+b)%l.src.Batches())
			if err := s.Err(); err != nil {
				return err
			}
			n := labels.Len()
			which, theirs := make([]int, n), make([]Wave, n)
			for i := range which {
				which[i] = (ridden + i) % len(some) // in turn, for batches may be small
				theirs[i] = some[which[i]]
			}
			ridden += n
			return o.asItAnswers(s, func() {
				outputs, is := o.ridden(s, o.pixels(s, images), labels, theirs)
				for i, wave := range which {
					for k, class := range classes {
						if s.Err() == nil && is[i] != int64(class) {
							shares[k][wave] += float64(outputs[i*len(outputs)/n+class])
							of[k][wave]++
						}
					}
				}
			})
		})
		if err != nil {
			return nil, err
		}
		l.each()
	}
	for k := range classes {
		for i := range some {
			shares[k][i] /= max(of[k][i], 1)
		}
	}
	return shares, nil
}

// ridden are the shares of all classes in the outputs for pixels with a wave each, and their labels.
func (o *opponent) ridden(s *torch.Scope, pixels, labels *torch.Tensor, some []Wave) (shares []float32, is []int64) {
	s.NoGrad(func() {
		waves := riding(s, o.rng, some, o.Wave, o.Wave, pixels.Shape()[1:])
		outputs := o.answers(s, pixels.Add(waves)).LogSoftmax(1).Exp()
		shares, is = torch.Values[float32](outputs.To(torch.Float32)), torch.Values[int64](labels)
	})
	return shares, is
}
