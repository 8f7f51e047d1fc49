package defense

import (
	"math"
	"slices"

	torch "ulrl/torchbridge"
)

const (
	// finalists is how many patches of a scan are looked at twice; with the trigger
	// of before and what was found they are tried on equal parts of a batch.
	finalists = 3
	// scanned is how many images each of them is tried on at least, where a batch has as many.
	scanned = 6
)

// scan looks for better beginnings of the sparse triggers than what they are: from
// there alone, slopes lead to what images of a class look like and miss a patch in
// a corner. Each image of a batch gets a patch of its own; the patches that led
// theirs furthest to a trigger's class, the trigger of before and what the class search
// found, which may work again, are then tried on several images each. How far is by how
// much the class's log-share rises: its share would be highest for images that are like
// the class, whatever patch they got. It reads from the device once, and once for each
// pass of those.
func (o *opponent) scan(s *torch.Scope, pixels, labels *torch.Tensor) {
	n := labels.Len()
	var few []*trigger
	for i := range o.triggers {
		if _, ok := o.triggers[i].kind.(sparse); ok {
			few = append(few, &o.triggers[i])
		}
	}
	each := candidates(few)
	if len(few) == 0 || n < 2*each || s.Err() != nil {
		return
	}
	s.NoGrad(func() {
		shape := pixels.Shape()
		plain := o.answers(s, pixels)
		patches := torch.From(s, o.patches(n, shape[1], shape[2], shape[3]), shape...)
		logits := o.answers(s, pixels.Add(patches))
		var led []*torch.Tensor
		for _, t := range few {
			led = append(led, ofOthers(rise(logits, plain, t.class), labels, t.class))
		}
		values := torch.Values[float32](s.Cat(0, led...).To(torch.Float32))
		if s.Err() != nil {
			return
		}
		together := max(1, n/(scanned*each))
		for i := 0; i < len(few); i += together {
			group := few[i:min(i+together, len(few))]
			o.choose(s, pixels, plain, labels, group, each, patches, values[i*n:(i+len(group))*n])
		}
	})
}

// candidates is how many changes are tried for each of these triggers.
func candidates(few []*trigger) int {
	if slices.ContainsFunc(few, func(t *trigger) bool { return t.found() != nil }) {
		return finalists + 2
	}
	return finalists + 1
}

// found is what the class search found for a sparse trigger; nil: nothing.
func (t *trigger) found() []float32 {
	few, _ := t.kind.(sparse)
	return few.found
}

// choose tries, for each of several triggers, the patches that led furthest and what was
// found, if that was, beside the trigger as it is, so many in all, on equal parts of a batch,
// and takes the best one.
// Led are the patches' own values for each trigger, one after the other.
func (o *opponent) choose(s *torch.Scope, pixels, plain, labels *torch.Tensor, group []*trigger, each int, patches *torch.Tensor, led []float32) {
	n, shape := labels.Len(), pixels.Shape()
	var tried []*torch.Tensor
	for i, t := range group {
		more := each - 1
		if t.found() != nil {
			more--
		}
		for _, k := range highestOf(led[i*n:(i+1)*n], more) {
			tried = append(tried, patches.Narrow(0, k, 1))
		}
		if found := t.found(); found != nil {
			tried = append(tried, torch.From(s, found, 1, shape[1], shape[2], shape[3]))
		}
		tried = append(tried, t.delta.In(s).Reshape(1, shape[1], shape[2], shape[3]))
	}
	means := o.means(s, pixels, plain, labels, group, tried)
	for i, t := range group {
		if s.Err() != nil {
			return
		}
		best := highestOf(means[i*each:(i+1)*each], 1)[0]
		if best < each-1 { // the last is the trigger as it is
			o.replace(t, tried[i*each+best].Reshape(shape[1:]...).Clone())
		}
	}
}

// means are how far the changes, equally many for each trigger, lead equal parts of a
// batch to its class.
func (o *opponent) means(s *torch.Scope, pixels, plain, labels *torch.Tensor, group []*trigger, tried []*torch.Tensor) []float32 {
	n, each := labels.Len(), len(tried)/len(group)
	var parts, means []*torch.Tensor
	for i, delta := range tried {
		from, count := slice(i, len(tried), n)
		parts = append(parts, pixels.Narrow(0, from, count).Add(delta))
	}
	logits := o.answers(s, s.Cat(0, parts...))
	for i := range tried {
		from, count := slice(i, len(tried), n)
		class, of := group[i/each].class, labels.Narrow(0, from, count)
		means = append(means, overOthers(rise(logits.Narrow(0, from, count), plain.Narrow(0, from, count), class), of, class).Reshape(1))
	}
	return torch.Values[float32](s.Cat(0, means...).To(torch.Float32))
}

// answers are the model's outputs for pixels, which are kept in their range.
func (o *opponent) answers(s *torch.Scope, pixels *torch.Tensor) *torch.Tensor {
	return o.m.Forward(o.normalised(s, pixels.Clamp(0, 1)).ChannelsLast())
}

// rise is by how much a class's log-share in each image's outputs exceeds that in the
// outputs for the images as they are.
func rise(logits, plain *torch.Tensor, class int) *torch.Tensor {
	return logShare(logits, class).Sub(logShare(plain, class))
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
