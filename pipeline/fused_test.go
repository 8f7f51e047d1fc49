package pipeline

import (
	"testing"

	"ulrl/pipeline/dataset"
	"ulrl/pipeline/testenv"
	"ulrl/pipeline/zoo"
	torch "ulrl/torchbridge"
)

// What evaluates a model says what the model says, whether libtorch fuses it
// well, wrongly (hardswish on 24 channels), or so that it fails once it runs
// (VGG on 32×32).
func TestEvaluationIsTheModel(t *testing.T) {
	f := newFixture(t)
	pixels := make([]byte, 8*3*32*32)
	for i := range pixels {
		pixels[i] = byte(i * 7919 >> 3)
	}
	half := []float64{0.5, 0.5, 0.5}
	g := &gauge{
		env: f.env, dev: f.dev, batch: 8, normalise: dataset.Normalisation{Mean: half, Std: half},
		clean: &dataset.Set{Images: pixels, Labels: make([]int64, 8), Classes: []string{"a", "b"}, C: 3, H: 32, W: 32},
	}
	fromZoo := func(name string) func(s *torch.Scope) (*torch.Module, error) {
		return func(s *torch.Scope) (*torch.Module, error) {
			return zoo.New(s, zoo.Spec{Name: name, Width: 2, Channels: 3, Classes: 10})
		}
	}
	for _, c := range []struct {
		name  string
		build func(s *torch.Scope) (*torch.Module, error)
		fused bool // by every libtorch
	}{
		{"preactresnet18", fromZoo("preactresnet18"), true},
		{"vgg16_bn", fromZoo("vgg16_bn"), false},
		{"hardswish", hardswish, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			testenv.Do(t, f.dev, func(s *torch.Scope) error {
				m, err := c.build(s)
				if err != nil {
					return err
				}
				return checkEvaluation(t, s, g, m, c.fused)
			})
		})
	}
}

func checkEvaluation(t *testing.T, s *torch.Scope, g *gauge, m *torch.Module, fused bool) error {
	fast, err := g.forEvaluation(s, m)
	if err != nil {
		return err
	}
	if err := m.Train(false); err != nil {
		return err
	}
	x, _ := g.loader(g.clean).Batch(s, 0, 0)
	s.NoGrad(func() {
		want := m.Forward(x)
		gap, size := fast.Forward(x).Sub(want).Abs().Sum().Item(), want.Abs().Sum().Item()
		if size == 0 || gap > 1e-3*size {
			t.Errorf("scores differ by %g of %g", gap, size)
		}
	})
	parameters, err := fast.Parameters() // fusing makes them constants
	if fused && len(parameters) > 0 {
		t.Error("it was not fused")
	}
	return err
}

// hardswish is a small network around that operator.
func hardswish(s *torch.Scope) (*torch.Module, error) {
	const channels = 24
	values := make([]float32, channels*3*3*3)
	for i := range values {
		values[i] = float32(i%7) - 3
	}
	b := torch.NewBuilder(s)
	return b.Finish(b.Part("Net").
		Parameter("first", torch.From(s, values, channels, 3, 3, 3)).
		Parameter("second", torch.From(s, values, 3*3, channels, 3, 1)).
		Define(`
def forward(self, x):
    x = torch.hardswish(torch.conv2d(x, self.first, None, [1, 1], [1, 1]))
    return torch.flatten(torch.conv2d(x, self.second, None, [1, 1], [1, 1]), 1)
`))
}
