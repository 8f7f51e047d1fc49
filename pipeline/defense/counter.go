package defense

import (
	"math"
	"math/rand/v2"
	"slices"

	"ulrl/pipeline/config"
	torch "ulrl/torchbridge"
)

// Counter is what relearning holds against a backdoor whose trigger is unknown:
// triggers of its own for the suspicious classes, found anew on the model as it
// changes, whose images are not to be of their class.
type Counter struct {
	config.Counter
	Classes   []Suspect // one where it is known which, else those that it may be, with equal parts of each batch
	Mean, Std []float64 // of the images' normalisation, per channel
	Seed      uint64
}

// Suspect is a class that triggers are held against.
type Suspect struct {
	Class int
	Led   []Lead // what LedTo found for it and is held as it is: of few pixels, a patch, waves
}

// few are those of few pixels and of a patch, C×H×W. The sparse trigger begins with the first.
func (s Suspect) few() [][]float32 {
	var few [][]float32
	for _, lead := range s.Led {
		if lead.Way == FewPixels || lead.Way == Patch {
			few = append(few, lead.Trigger)
		}
	}
	return few
}

// opponent is a Counter at work on one model.
type opponent struct {
	Counter
	m         *torch.Module
	keep      *torch.Scope
	rng       *rand.Rand
	mean, std *torch.Tensor // C×1×1
	bend      *torch.Module // of bent triggers, where there are any
	triggers  []trigger
}

func newOpponent(c Counter, m *torch.Module, keep *torch.Scope) (*opponent, error) {
	o := &opponent{Counter: c, m: m, keep: keep, rng: rand.New(rand.NewPCG(c.Seed, 0x636f756e746572))}
	perChannel := func(values []float64) *torch.Tensor {
		out := make([]float32, len(values))
		for i, v := range values {
			out[i] = float32(v)
		}
		return torch.From(keep, out, len(out), 1, 1)
	}
	o.mean, o.std = perChannel(c.Mean), perChannel(c.Std)
	var err error
	if o.Bend > 0 {
		o.bend, err = bender(keep)
	}
	return o, err
}

// images gives a normalised batch with the triggers on, a part of it with each
// kind in its order, after each was fitted to the model by its part. The model is left
// in training mode with gradients on.
func (o *opponent) images(s *torch.Scope, images, labels *torch.Tensor) (*torch.Tensor, error) {
	o.restart(s, images.Shape())
	pixels := o.pixels(s, images)
	var out *torch.Tensor
	err := o.asItAnswers(s, func() {
		o.follow(s, pixels, labels)
		s.NoGrad(func() { out = o.normalised(s, o.put(s, pixels)).ChannelsLast() })
	})
	return out, err
}

// follow leads all triggers on to the model as it is, each by its part of a batch.
func (o *opponent) follow(s *torch.Scope, pixels, labels *torch.Tensor) {
	if o.Patch > 0 {
		o.scan(s, pixels, labels)
	}
	for step := 0; ; step++ {
		var moved []int
		for i, t := range o.triggers {
			if step < t.steps() {
				moved = append(moved, i)
			}
		}
		if len(moved) == 0 {
			return
		}
		o.fit(s, pixels, labels, moved)
	}
}

// asItAnswers does what needs the model in evaluation mode without slopes of its own,
// and leaves it in training mode with them; after a failure as it was meanwhile.
func (o *opponent) asItAnswers(s *torch.Scope, work func()) error {
	if err := o.m.Train(false); err != nil {
		return err
	}
	if err := o.m.RequireGrad(false); err != nil {
		return err
	}
	work()
	if err := s.Err(); err != nil {
		return err
	}
	if err := o.m.RequireGrad(true); err != nil {
		return err
	}
	return o.m.Train(true)
}

// pixels are normalised images' from 0 to 1.
func (o *opponent) pixels(s *torch.Scope, images *torch.Tensor) *torch.Tensor {
	return images.Mul(o.std.In(s)).Add(o.mean.In(s))
}

// kinds are those of the triggers that there are to be for a class.
func (o *opponent) kinds(of Suspect) []kind {
	c := common{o.Counter.Counter}
	kinds := []kind{dense{c}}
	if o.Pixels > 0 {
		begin := sparse{common: c}
		few := of.few()
		if len(few) > 0 {
			begin.found = few[0]
		}
		kinds = append(kinds, begin)
		for _, found := range few {
			kinds = append(kinds, known{unfitted{c}, found})
		}
	}
	if o.SampleRadius > 0 {
		kinds = append(kinds, own{c})
	}
	if o.Bend > 0 {
		kinds = append(kinds, bent{c, o.bend})
	}
	for _, lead := range of.Led {
		if lead.Wave != nil {
			kinds = append(kinds, waves{unfitted{c}, *lead.Wave})
		}
	}
	return kinds
}

// restart makes the triggers, and now and then makes one anew.
func (o *opponent) restart(s *torch.Scope, batch []int) {
	if o.triggers == nil {
		for _, suspect := range o.Classes {
			for _, k := range o.kinds(suspect) {
				o.triggers = append(o.triggers, trigger{kind: k, class: suspect.Class})
			}
		}
	}
	for i := range o.triggers {
		t := &o.triggers[i]
		if t.lasts() {
			if again := o.rng.Float64() < o.Restart; t.delta != nil && !again {
				continue
			}
		}
		_, count := o.part(i, batch[0])
		o.replace(t, t.begins(s, o.rng, count, batch[1:]))
	}
}

func (o *opponent) replace(t *trigger, delta *torch.Tensor) {
	if t.delta != nil {
		t.delta.Free()
	}
	t.delta = delta.MoveTo(o.keep)
}

// put lays each trigger on its part of a batch of pixels.
func (o *opponent) put(s *torch.Scope, pixels *torch.Tensor) *torch.Tensor {
	n := pixels.Shape()[0]
	var parts []*torch.Tensor
	for i, t := range o.triggers {
		if from, count := o.part(i, n); count > 0 {
			parts = append(parts, t.on(pixels.Narrow(0, from, count), t.delta.In(s)).Clamp(0, 1))
		}
	}
	return s.Cat(0, parts...)
}

// clamped keeps pixels in their range.
// Gradients pass through its ends: else a trigger that darkens what is black already
// would never be led to brighten it.
func clamped(pixels *torch.Tensor) *torch.Tensor {
	return pixels.Add(pixels.Clamp(0, 1).Sub(pixels).Detach())
}

func (o *opponent) normalised(s *torch.Scope, pixels *torch.Tensor) *torch.Tensor {
	return pixels.Sub(o.mean.In(s)).Div(o.std.In(s))
}

// triggered is how many of a batch's images get triggers: one of each class's kinds at least,
// where there are as many, and so many that there are an even number in all. Of odd
// batches libtorch 1.13's convolutions of few channels write beyond their memory, on
// two threads.
func (o *opponent) triggered(n int) int {
	triggers := 0
	for _, suspect := range o.Classes {
		triggers += len(o.kinds(suspect))
	}
	of := min(n, max(triggers, int(math.Round(o.Share*float64(n)))))
	return of + (n+of)%2 // there is one more: n and n are even
}

// part is where a trigger's images are among n: from, and how many.
func (o *opponent) part(trigger, n int) (from, count int) {
	parts := o.shared(n)
	if least := len(parts); n >= least && slices.Contains(parts, 0) { // each gets one, first of all
		parts = o.shared(n - least)
		for i := range parts {
			parts[i]++
		}
	}
	for _, before := range parts[:trigger] {
		from += before
	}
	return from, parts[trigger]
}

// shared are n images in parts by the triggers' sizes, rounded.
func (o *opponent) shared(n int) []int {
	all := 0
	for _, t := range o.triggers {
		all += t.size()
	}
	parts, to, before := make([]int, len(o.triggers)), 0, 0
	for i, t := range o.triggers {
		to += t.size()
		edge := (2*to*n + all) / (2 * all)
		parts[i], before = edge-before, edge
	}
	return parts
}

// partOf is where the images with a class's triggers are among n.
func (o *opponent) partOf(class, n int) (from, count int) {
	for i, t := range o.triggers {
		if t.class == class {
			at, of := o.part(i, n)
			if count == 0 {
				from = at
			}
			count += of
		}
	}
	return from, count
}

// slice is the i-th of so many equal parts of n.
func slice(i, parts, n int) (from, count int) {
	from = i * n / parts
	return from, (i+1)*n/parts - from
}

// logShare is the logarithm of a class's share, for each image.
func logShare(logits *torch.Tensor, class int) *torch.Tensor {
	return logits.LogSoftmax(1).Narrow(1, class, 1).Reshape(-1)
}

// fit takes triggers a step each towards where images of other classes are taken for
// theirs, each by its part of a batch, which has one pass for all. Of slopes only the
// signs and relations count: what scales them in 16 bits may stay.
func (o *opponent) fit(s *torch.Scope, pixels, labels *torch.Tensor, which []int) {
	var leaves, parts []*torch.Tensor
	var moved []int
	for _, i := range which {
		if from, count := o.part(i, labels.Len()); count > 0 {
			leaf := o.triggers[i].delta.In(s).Clone().SetRequiresGrad(true)
			moved, leaves = append(moved, i), append(leaves, leaf)
			parts = append(parts, clamped(o.triggers[i].on(pixels.Narrow(0, from, count), leaf)))
		}
	}
	if len(parts) == 0 {
		return
	}
	logits := o.m.Forward(o.normalised(s, s.Cat(0, parts...)).ChannelsLast())
	goal, at := s.Full(0, torch.Float32), 0
	for _, i := range moved {
		from, count := o.part(i, labels.Len())
		class := o.triggers[i].class
		goal = goal.Add(overOthers(logShare(logits.Narrow(0, at, count), class), labels.Narrow(0, from, count), class))
		at += count
	}
	s.Backward(goal)
	s.NoGrad(func() {
		for k, i := range moved {
			if slope := leaves[k].Grad(); s.Err() == nil && slope != nil {
				o.replace(&o.triggers[i], o.triggers[i].moved(leaves[k].Detach(), slope))
			}
		}
	})
}

// ofOthers are a batch's values, 0 for images whose label is the class.
func ofOthers(values, labels *torch.Tensor, class int) *torch.Tensor {
	return values.Mul(labels.NeScalar(float64(class)).To(values.DType()))
}

// overOthers is the mean of a batch's values over the images whose label is not
// the class.
func overOthers(values, labels *torch.Tensor, class int) *torch.Tensor {
	others := labels.NeScalar(float64(class)).To(values.DType())
	return ofOthers(values, labels, class).Sum().Div(others.Sum().AddScalar(1e-6))
}

// loss is −log(1 − p) of a suspicious class's share p, over those images of
// other classes that have its triggers: they may be anything but that. Of several
// classes it is the mean.
func (o *opponent) loss(logits, labels *torch.Tensor) *torch.Tensor {
	var sum *torch.Tensor
	for _, suspect := range o.Classes {
		from, of := o.partOf(suspect.Class, labels.Len())
		one := anythingBut(logits.Narrow(0, from, of), labels.Narrow(0, from, of), suspect.Class)
		if sum == nil {
			sum = one
		} else {
			sum = sum.Add(one)
		}
	}
	return sum.MulScalar(1 / float64(len(o.Classes)))
}

func anythingBut(logits, labels *torch.Tensor, class int) *torch.Tensor {
	return overOthers(logShare(logits, class).Exp().Neg().AddScalar(1+1e-6).Log().Neg(), labels, class)
}

// asItIs is a copy of a model, in evaluation mode.
func asItIs(m *torch.Module, keep *torch.Scope) (*torch.Module, error) {
	t, err := m.CopyTo(keep)
	if err != nil {
		return nil, err
	}
	if err := t.RequireGrad(false); err != nil {
		return nil, err
	}
	return t, t.Train(false)
}
