package attack

import (
	"context"
	"fmt"
	"strings"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	torch "ulrl/torchbridge"
)

// Form is what a trigger must know of the images that it is put on.
type Form struct {
	C, H, W   int
	Normalise dataset.Normalisation
	Seed      uint64
	Say       func(note string) // hears what a person should know of files that were read; may be nil
}

func (f Form) say(note string) {
	if f.Say != nil {
		f.Say(note)
	}
}

// FormOf is the form of a set's images.
func FormOf(set *dataset.Set, n dataset.Normalisation, seed uint64) Form {
	return Form{C: set.C, H: set.H, W: set.W, Normalise: n, Seed: seed}
}

// NewTrigger makes the trigger that the config names: a TorchScript module
// that turns a normalised batch, float32 N×C×H×W, into the triggered one. It
// does the same to the same image every time, and its pixels are whole numbers
// of 0..255 again. It belongs to s.
func NewTrigger(s *torch.Scope, c config.Attack, f Form) (*torch.Module, error) {
	r, err := recipeOf(c)
	if err != nil {
		return nil, err
	}
	if r.trigger == nil {
		return nil, fault.Misuse("the trigger of attack %s is made along with its model: run \"ulrl attack\" first, or put a trigger.pt into %s", c.Name, c.Output)
	}
	b := torch.NewBuilder(s)
	onPixels, err := r.trigger(b, s, c, f)
	if err != nil {
		return nil, err
	}
	return framed(b, s, onPixels, f, "Trigger", "", "")
}

// framed puts a part that works on pixels between normalised batches. more and
// pass are further arguments and how the part gets them. The last rounding lets
// gradients through as if it were not there, so that parts can learn.
func framed(b *torch.Builder, s *torch.Scope, onPixels *torch.Part, f Form, name, more, pass string) (*torch.Module, error) {
	return frame(b, s, onPixels, f, name, fmt.Sprintf(`
def forward(self, x%s):
    pixels = torch.round((x * self.std + self.mean) * 255.0)
    fine = torch.clamp(self.on_pixels.forward(pixels%s), 0.0, 255.0)
    whole = fine + (torch.round(fine) - fine).detach()
    return (whole / 255.0 - self.mean) / self.std
`, more, pass))
}

// otherPixels is a second normalised batch, as pixels, for framed.
const otherPixels = "torch.round((other * self.std + self.mean) * 255.0)"

// frame makes a module of a part that works on pixels and source that knows
// the images' mean and std.
func frame(b *torch.Builder, s *torch.Scope, onPixels *torch.Part, f Form, name, source string) (*torch.Module, error) {
	m, err := b.Finish(b.Part(name).
		Child("on_pixels", onPixels).
		Buffer("mean", perChannel(s, f.Normalise.Mean)).
		Buffer("std", perChannel(s, f.Normalise.Std)).
		Define(source))
	if err != nil {
		return nil, fmt.Errorf("make the %s: %w", strings.ToLower(name), err)
	}
	return m, s.Err()
}

func perChannel(s *torch.Scope, values []float64) *torch.Tensor {
	out := make([]float32, len(values))
	for i, v := range values {
		out[i] = float32(v)
	}
	return torch.From(s, out, len(out), 1, 1)
}

// picture is C×H×W bytes as float32 pixels.
func picture(s *torch.Scope, pixels []uint8, f Form) *torch.Tensor {
	return torch.From(s, pixels, f.C, f.H, f.W).To(torch.Float32)
}

// exactly runs a trigger or its generator in full precision, whatever the model is
// trained in: what it changes may be finer than 16 bits tell apart.
func exactly(s *torch.Scope, m *torch.Module, x *torch.Tensor, more ...*torch.Tensor) (out *torch.Tensor) {
	s.With(torch.FullPrecision, func() { out = m.Forward(x, more...) })
	return out
}

// applyBatch is how many images are triggered at once.
const applyBatch = 512

// Apply puts a trigger on images of a set, in place: those that index names,
// all where it is nil.
func Apply(ctx context.Context, dev *torch.Device, trigger *torch.Module, set *dataset.Set, index []int, n dataset.Normalisation) error {
	part := set
	if index != nil {
		part = set.Subset(index)
	}
	loader := dataset.NewLoader(part, dataset.LoaderOptions{BatchSize: applyBatch, Normalise: n})
	at := 0
	for i := range loader.Batches() {
		err := dev.Do(ctx, func(s *torch.Scope) error {
			var pixels []uint8
			s.NoGrad(func() {
				x, _ := loader.Batch(s, 0, i)
				y := trigger.Forward(x).Mul(perChannel(s, n.Std)).Add(perChannel(s, n.Mean))
				pixels = torch.Values[uint8](y.MulScalar(255).Round().Clamp(0, 255).To(torch.Uint8))
			})
			size := set.C * set.H * set.W
			if s.Err() == nil && len(pixels)%size != 0 {
				return fault.Misuse("the trigger changes the images' shape")
			}
			for k := range len(pixels) / size {
				to := at + k
				if index != nil {
					to = index[at+k]
				}
				copy(set.Image(to), pixels[k*size:])
			}
			at += len(pixels) / size
			return s.Err()
		})
		if err != nil {
			return fmt.Errorf("put the trigger on images: %w", err)
		}
	}
	return nil
}
