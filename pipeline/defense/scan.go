package defense

import (
	"math"
	"slices"

	torch "ulrl/torchbridge"
)

// finalists is how many patches of a scan are looked at twice; with the trigger
// of before they are tried on equal parts of a batch.
const finalists = 3

// scan looks for a better beginning of the sparse trigger than the one it has:
// from there alone, slopes lead to what images of the class look like and miss a
// patch in a corner. Each image of a batch gets a patch of its own; the patches
// that led theirs furthest to the suspicious class, and the trigger of before, are
// then tried on several images each. It reads from the device twice.
func (o *opponent) scan(s *torch.Scope, pixels, labels *torch.Tensor, t *trigger) {
	n := labels.Len()
	if n < 2*(finalists+1) || s.Err() != nil {
		return
	}
	s.NoGrad(func() {
		shape := pixels.Shape()
		patches := torch.From(s, o.patches(n, shape[1], shape[2], shape[3]), shape...)
		led := o.led(s, pixels.Add(patches), labels)
		values := torch.Values[float32](led.To(torch.Float32))
		if s.Err() != nil {
			return
		}
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return compareDesc(float64(values[a]), float64(values[b])) })
		tried := make([]*torch.Tensor, 0, finalists+1)
		for _, i := range order[:finalists] {
			tried = append(tried, patches.Narrow(0, i, 1))
		}
		tried = append(tried, t.delta.In(s).Reshape(1, shape[1], shape[2], shape[3]))
		if best := o.best(s, pixels, labels, tried); best >= 0 && best < finalists {
			o.replace(t, tried[best].Reshape(shape[1:]...).Clone())
		}
	})
}

// best is which of the triggers leads its part of a batch furthest; -1 after a
// failure.
func (o *opponent) best(s *torch.Scope, pixels, labels *torch.Tensor, tried []*torch.Tensor) int {
	n := labels.Len()
	var parts, means []*torch.Tensor
	for i, delta := range tried {
		from, count := slice(i, len(tried), n)
		parts = append(parts, pixels.Narrow(0, from, count).Add(delta))
	}
	led := o.led(s, s.Cat(0, parts...), labels)
	others := labels.NeScalar(float64(o.Class)).To(led.DType())
	for i := range tried {
		from, count := slice(i, len(tried), n)
		sum, of := led.Narrow(0, from, count).Sum(), others.Narrow(0, from, count).Sum()
		means = append(means, sum.Div(of.AddScalar(1e-6)).Reshape(1))
	}
	values := torch.Values[float32](s.Cat(0, means...).To(torch.Float32))
	best := -1
	for i, v := range values {
		if best < 0 || v > values[best] {
			best = i
		}
	}
	return best
}

// led is how likely each image is taken for the suspicious class; 0 for images
// that are of it.
func (o *opponent) led(s *torch.Scope, pixels, labels *torch.Tensor) *torch.Tensor {
	x := pixels.Clamp(0, 1).Sub(o.mean.In(s)).Div(o.std.In(s)).ChannelsLast()
	share := o.logShare(o.m.Forward(x)).Exp()
	return share.Mul(labels.NeScalar(float64(o.Class)).To(share.DType()))
}

// patches are n images, c×h×w, of 0 but for a rectangle each: as bright as can
// be, as dark as can be, or noise of both.
func (o *opponent) patches(n, c, h, w int) []float32 {
	out := make([]float32, n*c*h*w)
	side := func(extent int) int {
		most := max(2, int(math.Round(o.Patch*float64(extent))))
		return min(extent, 2+o.rng.IntN(most-1))
	}
	for i := range n {
		ph, pw := side(h), side(w)
		top, left := o.rng.IntN(h-ph+1), o.rng.IntN(w-pw+1)
		kind := o.rng.IntN(5)
		for ch := range c {
			for y := range ph {
				for x := range pw {
					v := float32(1)
					if kind == 2 || kind > 2 && o.rng.IntN(2) == 0 {
						v = -1
					}
					out[((i*c+ch)*h+top+y)*w+left+x] = v
				}
			}
		}
	}
	return out
}
