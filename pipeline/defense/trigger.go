package defense

import (
	"math/rand/v2"

	"ulrl/pipeline/config"
	torch "ulrl/torchbridge"
)

// trigger is a change of images that leads to a class.
type trigger struct {
	kind
	class int
	delta *torch.Tensor // what the change is, as its kind has it; on the opponent's scope
}

// kind is what a trigger may do to images.
type kind interface {
	// begins is a delta to begin with, for so many images, c×h×w.
	begins(s *torch.Scope, rng *rand.Rand, n int, image []int) *torch.Tensor
	// on is pixels, N×C×H×W from 0 to 1, with the trigger; they may leave that range.
	on(pixels, delta *torch.Tensor) *torch.Tensor
	// moved is what a delta becomes with a step along its slope.
	moved(delta, slope *torch.Tensor) *torch.Tensor
	// size is how large its part of a batch is, in relation to the others'.
	size() int
	// steps is by how many it is fitted to each batch.
	steps() int
	// lasts says whether it is carried on to the next batch; else it is made anew.
	lasts() bool
	// labels is the weight with which its images are taught what they are, beside what they are not.
	labels() float64
}

// common is what most kinds are like: C×H×W in shares of the pixel range, added to all
// images alike and carried on.
type common struct{ config.Counter }

func (common) on(pixels, delta *torch.Tensor) *torch.Tensor { return pixels.Add(delta) }
func (common) size() int                                    { return 2 }
func (c common) steps() int                                 { return c.Steps }
func (common) lasts() bool                                  { return true }
func (common) labels() float64                              { return 0 }

// dense changes every pixel, within Radius.
type dense struct{ common }

func (d dense) begins(s *torch.Scope, rng *rand.Rand, _ int, image []int) *torch.Tensor {
	return within(s, rng, d.Radius, image...)
}

func (d dense) moved(delta, slope *torch.Tensor) *torch.Tensor {
	return up(delta, slope, d.Radius/4, d.Radius)
}

func (d dense) labels() float64 { return d.DenseLabels }

// sparse changes few pixels, to any extent.
type sparse struct {
	common
	found []float32 // what it begins with, c×h×w; nil: nothing
}

func (p sparse) begins(s *torch.Scope, _ *rand.Rand, _ int, image []int) *torch.Tensor {
	if p.found != nil {
		return torch.From(s, p.found, image...)
	}
	return s.Full(0, torch.Float32, image...)
}

func (p sparse) moved(delta, slope *torch.Tensor) *torch.Tensor {
	step := slope.Div(slope.Abs().Max().AddScalar(1e-12)).MulScalar(0.5)
	return thinned(delta.Add(step).Clamp(-1, 1), p.Pixels)
}

func (p sparse) labels() float64 { return p.SparseLabels }

// unfitted stays as it began.
type unfitted struct{ common }

func (unfitted) moved(delta, _ *torch.Tensor) *torch.Tensor { return delta }
func (unfitted) steps() int                                 { return 0 }

// known is what the class search found, as it is. The sparse trigger, which began with it,
// follows the model to others meanwhile, and what is not asked about comes back.
type known struct {
	unfitted
	found []float32
}

func (k known) begins(s *torch.Scope, _ *rand.Rand, _ int, image []int) *torch.Tensor {
	return torch.From(s, k.found, image...)
}

func (known) size() int         { return 1 }
func (k known) labels() float64 { return k.SparseLabels }

// own changes every pixel within SampleRadius, for each image another way: its delta
// is N×C×H×W, and made anew with each batch.
type own struct{ common }

func (own) begins(s *torch.Scope, _ *rand.Rand, n int, image []int) *torch.Tensor {
	return s.Full(0, torch.Float32, append([]int{n}, image...)...)
}

func (o own) moved(delta, slope *torch.Tensor) *torch.Tensor {
	// A quarter further than it may go in all, so that it can turn.
	return up(delta, slope, 1.25*o.SampleRadius/float64(o.SampleSteps), o.SampleRadius)
}

func (own) size() int    { return 3 } // what each image finds alone is learnt more slowly
func (o own) steps() int { return o.SampleSteps }
func (own) lasts() bool  { return false }

// bent moves every pixel along a smooth field. Its delta is 1×2×k×k shares of the image's
// sides, to the right and down, within Bend; bicubic interpolation between them may go further.
type bent struct {
	common
	bend *torch.Module
}

// bendPoints is k.
const bendPoints = 5

func (b bent) begins(s *torch.Scope, rng *rand.Rand, _ int, _ []int) *torch.Tensor {
	return within(s, rng, b.Bend/2, 1, 2, bendPoints, bendPoints)
}

func (b bent) on(pixels, delta *torch.Tensor) *torch.Tensor { return b.bend.Forward(pixels, delta) }

func (b bent) moved(delta, slope *torch.Tensor) *torch.Tensor {
	return up(delta, slope, b.Bend/4, b.Bend)
}

// bender is a module that takes pixels and bent's delta. It interpolates linearly between
// pixels; what comes in from beyond an edge is the edge's pixel.
// The identity is float64, which autocast leaves alone: in bfloat16 pixels would not stay.
func bender(s *torch.Scope) (*torch.Module, error) {
	b := torch.NewBuilder(s)
	return b.Finish(b.Part("Bend").Buffer("identity", torch.From(s, []float64{1, 0, 0, 0, 1, 0}, 1, 2, 3)).Define(`
def forward(self, x, moves):
    side = [x.size(2), x.size(3)]
    field = torch.upsample_bicubic2d(moves, side, True).permute([0, 2, 3, 1])
    still = torch.affine_grid_generator(self.identity, [1, 1, side[0], side[1]], True).to(field.dtype)
    places = still - field * 2.0
    return torch.grid_sampler(x.contiguous(), places.expand([x.size(0), -1, -1, -1]), 0, 1, True)
`))
}

// within is evenly drawn from −radius to radius.
func within(s *torch.Scope, rng *rand.Rand, radius float64, shape ...int) *torch.Tensor {
	n := 1
	for _, side := range shape {
		n *= side
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32((2*rng.Float64() - 1) * radius)
	}
	return torch.From(s, values, shape...)
}

// up takes every value a step of one size along its slope, within a radius.
func up(at, slope *torch.Tensor, step, radius float64) *torch.Tensor {
	return at.Add(slope.Sign().MulScalar(step)).Clamp(-radius, radius)
}

// thinned keeps the pixels, over all channels, whose change is largest.
func thinned(delta *torch.Tensor, share float64) *torch.Tensor {
	shape := delta.Shape()
	n := shape[1] * shape[2]
	strength := delta.Abs().SumDim(0, false).Reshape(n)
	kept := strength.KthLargest(max(1, int(share*float64(n)+0.5)))
	dropped := strength.Lt(kept).To(delta.DType())
	return delta.Mul(dropped.Neg().AddScalar(1).Reshape(1, shape[1], shape[2]))
}
