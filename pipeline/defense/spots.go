package defense

import (
	"context"
	"math"
	"math/rand/v2"

	torch "ulrl/torchbridge"
)

// Spot is a rectangle of an image, in pixels.
type Spot struct{ Top, Left, Height, Width int }

const (
	// spotSide are the sides of the patches that are looked for, as a share of the image's; they
	// are tried at spotPlaces places down the image and as many across it, which leaves hardly
	// any pixel out.
	spotSide, spotPlaces = 0.1, 11
	// At each place a patch is fitted to one image, by so many steps, the first of them longer.
	// Sums of these lengths and of spotMove are never 0 again: 0 is what a patch leaves alone.
	spotSteps, spotFirst, spotNext = 3, 1, 0.45
	// spotsTried are how many of each class, those that do most for their image, are then tried
	// on about spotImages others each.
	spotsTried, spotImages = 8, 12
	// spotMove is the step by which the best is then fitted to all images.
	spotMove = 0.31
)

// spot changes the pixels of a rectangle to any extent, the same in all images: those that are
// not 0 in what it begins with.
type spot struct {
	common
	Spot
	found []float32 // c×height×width
}

func (p spot) begins(s *torch.Scope, _ *rand.Rand, _ int, image []int) *torch.Tensor {
	c, h, w := image[0], image[1], image[2]
	out := make([]float32, c*h*w)
	for i, v := range p.found {
		ch, y, x := i/(p.Height*p.Width), i/p.Width%p.Height, i%p.Width
		out[(ch*h+p.Top+y)*w+p.Left+x] = v
	}
	return torch.From(s, out, image...)
}

func (spot) moved(delta, slope *torch.Tensor) *torch.Tensor {
	within := delta.NeScalar(0).To(delta.DType())
	return delta.Add(slope.Sign().Mul(within).MulScalar(spotMove)).Clamp(-1, 1)
}

// spotBatches is how many batches of so many images looking for patches takes: to try all
// places for so many classes, and to choose of those that did most there.
func spotBatches(classes, batch int) (try, choose int) {
	try = batchesOf(spotPlaces*spotPlaces*classes, batch)
	for _, together := range spotRounds(spotsTried*classes, batch) {
		choose += together.batches
	}
	return try, choose
}

// spotRound are candidates that are tried together, on so many batches.
type spotRound struct{ candidates, batches int }

// spotRounds are those of so many candidates: of each batch each of them has some four images.
func spotRounds(candidates, batch int) []spotRound {
	var out []spotRound
	for most := max(1, batch/4); candidates > 0; candidates -= most {
		together := min(most, candidates)
		out = append(out, spotRound{together, batchesOf(spotImages*together, batch)})
	}
	return out
}

// bestSpots are the triggers of the best patch for each class.
func (l look) bestSpots(ctx context.Context, classes []int) ([]trigger, error) {
	try, _ := spotBatches(len(classes), l.batch)
	candidates, err := l.spots(ctx, classes, try)
	if err != nil {
		return nil, err
	}
	var shares []float64
	for _, together := range spotRounds(len(candidates), l.batch) {
		leads, err := l.ledToEach(ctx, candidates[len(shares):len(shares)+together.candidates], 0, together.batches)
		if err != nil {
			return nil, err
		}
		for _, lead := range leads {
			shares = append(shares, lead.Share)
		}
	}
	best := make([]trigger, len(classes))
	for i := range classes {
		best[i] = candidates[i*spotsTried+highestOf(shares[i*spotsTried:(i+1)*spotsTried], 1)[0]]
	}
	return best, nil
}

// spots are spotsTried patches for each class, one class's after another's: at each place one is
// fitted to an image of another class, and those are taken that make the class's log-share rise
// most. Slopes over all pixels miss a patch, or find what leads to classes without a backdoor;
// over a few pixels that lie together they find little but a backdoor's.
func (l look) spots(ctx context.Context, classes []int, batches int) ([]trigger, error) {
	keep := l.dev.NewScope()
	defer keep.Close()
	o, err := newOpponent(l.c, l.m, keep)
	if err != nil {
		return nil, err
	}
	of, rises := make([][]trigger, len(classes)), make([][]float32, len(classes))
	for b := range batches {
		err := l.dev.Do(ctx, func(s *torch.Scope) error {
			images, labels := l.src.Batch(s, b/l.src.Batches(), b%l.src.Batches())
			if err := s.Err(); err != nil {
				return err
			}
			from, count := slice(b, batches, spotPlaces*spotPlaces*len(classes))
			try := tried(torch.Values[int64](labels), images.Shape(), from, count, classes)
			return o.asItAnswers(s, func() {
				deltas, rise := o.spotted(s, o.pixels(s, images), try)
				if s.Err() != nil {
					return
				}
				for i := range count {
					k := (from + i) % len(classes)
					rises[k] = append(rises[k], rise[i])
					of[k] = append(of[k], trigger{class: classes[k], kind: spot{common{l.c.Counter}, try.spots[i], try.cut(deltas, i)}})
				}
			})
		})
		if err != nil {
			return nil, err
		}
		l.each()
	}
	var best []trigger
	for k := range classes {
		for _, i := range highestOf(rises[k], spotsTried) {
			best = append(best, of[k][i])
		}
	}
	return best, nil
}

// tries are patches to be fitted, each to one image.
type tries struct {
	images []int // of a batch
	spots  []Spot
	wanted []int64   // classes
	mask   []float32 // of shape
	shape  []int     // N×1×H×W
}

// tried are count of all tries, from one on, each of the classes in turn at a place: an even
// number, the last twice where count is odd (see triggered).
func tried(labels []int64, batch []int, from, count int, classes []int) tries {
	h, w := batch[2], batch[3]
	side := func(extent int) int { return min(extent, max(2, int(math.Round(spotSide*float64(extent))))) }
	at := func(i, extent int) int { return i * (extent - side(extent)) / (spotPlaces - 1) }
	t := tries{shape: []int{count + count%2, 1, h, w}}
	t.mask = make([]float32, t.shape[0]*h*w)
	for i := range t.shape[0] {
		class, place := classes[(from+min(i, count-1))%len(classes)], (from+min(i, count-1))/len(classes)
		image := i % len(labels)
		for range labels { // one of another class, if there is one
			if labels[image] != int64(class) {
				break
			}
			image = (image + 1) % len(labels)
		}
		sp := Spot{at(place/spotPlaces, h), at(place%spotPlaces, w), side(h), side(w)}
		t.images, t.spots, t.wanted = append(t.images, image), append(t.spots, sp), append(t.wanted, int64(class))
		for y := range sp.Height {
			for x := range sp.Width {
				t.mask[(i*h+sp.Top+y)*w+sp.Left+x] = 1
			}
		}
	}
	return t
}

// cut is the i-th patch, c×height×width, of those of all images, N×c×H×W.
func (t tries) cut(deltas []float32, i int) []float32 {
	n, h, w, sp := t.shape[0], t.shape[2], t.shape[3], t.spots[i]
	c := len(deltas) / (n * h * w)
	var out []float32
	for ch := range c {
		for y := range sp.Height {
			out = append(out, deltas[((i*c+ch)*h+sp.Top+y)*w+sp.Left:][:sp.Width]...)
		}
	}
	return out
}

// spotted fits the patches, each to its image of a batch of pixels, and tells what each adds,
// N×C×H×W, and by how much it makes its class's log-share rise.
func (o *opponent) spotted(s *torch.Scope, batch *torch.Tensor, t tries) (deltas, rise []float32) {
	pixels, mask := batch.Rows(t.images), torch.From(s, t.mask, t.shape...)
	wanted := torch.From(s, t.wanted, len(t.wanted))
	delta := s.Full(0, torch.Float32, pixels.Shape()...)
	for step := range spotSteps {
		leaf := delta.Clone().SetRequiresGrad(true)
		logits := o.m.Forward(o.normalised(s, clamped(pixels.Add(leaf.Mul(mask)))).ChannelsLast())
		s.Backward(logits.CrossEntropy(wanted).Neg())
		length := spotNext
		if step == 0 {
			length = spotFirst
		}
		s.NoGrad(func() {
			if slope := leaf.Grad(); s.Err() == nil && slope != nil {
				delta = delta.Add(slope.Sign().MulScalar(length)).Clamp(-1, 1)
			}
		})
	}
	s.NoGrad(func() {
		change := o.answers(s, pixels.Add(delta)).LogSoftmax(1).Sub(o.answers(s, pixels).LogSoftmax(1))
		all := torch.Values[float32](change.To(torch.Float32))
		deltas = torch.Values[float32](delta)
		if s.Err() != nil {
			return
		}
		for i, class := range t.wanted {
			rise = append(rise, all[i*len(all)/len(t.wanted)+int(class)])
		}
	})
	return deltas, rise
}
