package attack

import (
	"context"
	"fmt"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	torch "ulrl/torchbridge"
)

// cornerSize is the side of the checkerboards of lc.
const cornerSize = 3

// cornersTrigger adds 3×3 checkerboards in the four corners, mirror images of
// each other (Turner, Tsipras, Madry, arXiv 1912.02771): the corner pixel up by
// 255·amplitude, its neighbours down, and so on.
func cornersTrigger(b *torch.Builder, s *torch.Scope, c config.Attack, f Form) (*torch.Part, error) {
	if min(f.H, f.W) < 2*cornerSize {
		return nil, fault.Misuse("attack lc: four corners of %d pixels do not fit images of %d×%d", cornerSize, f.H, f.W)
	}
	pattern := make([]float32, f.C*f.H*f.W)
	for i := range pattern {
		y, x := i/f.W%f.H, i%f.W
		dy, dx := min(y, f.H-1-y), min(x, f.W-1-x) // from the nearest corner
		if dy < cornerSize && dx < cornerSize {
			pattern[i] = float32(255 * c.LC.Amplitude)
			if (dy+dx)%2 == 1 {
				pattern[i] = -pattern[i]
			}
		}
	}
	return added(b, torch.From(s, pattern, f.C, f.H, f.W)), nil
}

// onPushedImages is clean-label training: the images that are to be poisoned
// are first pushed off their class, so that the trigger is what the model can
// tell it by.
func onPushedImages(ctx context.Context, l *Lab, trigger *torch.Module) (*Made, error) {
	chosen, err := l.choose()
	if err != nil {
		return nil, err
	}
	pushed := *l.Set
	pushed.Images = append([]uint8(nil), l.Set.Images...)
	if err := l.push(ctx, &pushed, chosen); err != nil {
		return nil, fmt.Errorf("push images off their class: %w", err)
	}
	return l.trainOn(ctx, trigger, &pushed, l.Network)
}

// pushBatch is how many images are pushed at once: few enough that an
// interrupt is heard soon.
const pushBatch = 64

// push replaces images by adversarial examples of a clean model: PGD (Madry et
// al., arXiv 1706.06083) away from their label, within epsilon grey values.
func (l *Lab) push(ctx context.Context, set *dataset.Set, chosen []int) error {
	m, err := l.frozen(ctx)
	if err != nil {
		return err
	}
	src := dataset.NewLoader(set.Subset(chosen), dataset.LoaderOptions{BatchSize: pushBatch, Normalise: l.Draw.Normalise})
	size := set.C * set.H * set.W
	return l.Phase("push", src.Batches(), func() error {
		at := 0
		for i := range src.Batches() {
			var pixels []uint8
			err := l.Dev.Do(ctx, func(s *torch.Scope) error {
				images, labels := src.Batch(s, 0, i)
				pixels = torch.Values[uint8](l.adversarial(s, m, images, labels).Round().To(torch.Uint8))
				return s.Err()
			})
			if err != nil {
				return err
			}
			for k := range len(pixels) / size {
				copy(set.Image(chosen[at]), pixels[k*size:(k+1)*size])
				at++
			}
			l.Watch.Batch("")
		}
		return nil
	})
}

// adversarial gives a normalised batch as pixels that a frozen model no longer
// takes for their labels.
func (l *Lab) adversarial(s *torch.Scope, m *torch.Module, images, labels *torch.Tensor) *torch.Tensor {
	o := l.Config.LC
	mean, std := perChannel(s, l.Draw.Normalise.Mean), perChannel(s, l.Draw.Normalise.Std)
	// Two and a half times the way, so that each pixel can reach its bound and turn.
	stride := 2.5 * o.Epsilon / float64(o.Steps)
	original := images.Mul(std).Add(mean).MulScalar(255)
	moved := original
	for range o.Steps {
		leaf := moved.Clone().SetRequiresGrad(true)
		m.Forward(leaf.DivScalar(255).Sub(mean).Div(std)).CrossEntropy(labels).Backward()
		s.NoGrad(func() {
			by := leaf.Add(leaf.Grad().Sign().MulScalar(stride)).Sub(original).Clamp(-o.Epsilon, o.Epsilon)
			moved = original.Add(by).Clamp(0, 255)
		})
	}
	return moved
}
