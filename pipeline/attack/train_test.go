package attack

import (
	"context"
	"math"
	"testing"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	torch "ulrl/torchbridge"
)

// A loss as steep as those that a training comes apart by moves the weights as far as
// clip_norm lets it, at a learning rate of 1 and without momentum.
func TestTrainingIsClipped(t *testing.T) {
	steep := func(s *torch.Scope, m *torch.Module, images, labels *torch.Tensor) (logits, crossEntropy, whole *torch.Tensor) {
		logits, crossEntropy, _ = CrossEntropy(s, m, images, labels)
		return logits, crossEntropy, crossEntropy.MulScalar(100)
	}
	moved := func(limit float64) float64 {
		l := bench(t, config.Attack{})
		l.Draw.BatchSize = l.Set.Len()
		m, err := l.Clean(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		before := weight(t, l, m)
		err = Train(context.Background(), l.Dev, Course{
			Model: m, Source: dataset.NewLoader(l.Set, l.Draw), Loss: steep, Watch: &quiet{},
			Schedule: config.Training{Epochs: 1, LR: 1, Schedule: "constant", ClipNorm: limit},
		})
		if err != nil {
			t.Fatal(err)
		}
		far := 0.0
		for i, w := range weight(t, l, m) {
			far += math.Pow(float64(w-before[i]), 2)
		}
		return math.Sqrt(far)
	}
	free := moved(0)
	if free < 10 {
		t.Fatalf("a steep loss moves the weights by %v alone", free)
	}
	for limit, want := range map[float64]float64{0.5: 0.5, 5: 5, 1e6: free} {
		if got := moved(limit); math.Abs(got-want) > 1e-3*want {
			t.Errorf("clipped to %v the weights move by %v, want %v", limit, got, want)
		}
	}
}

// weight is the only one of a bench's model.
func weight(t *testing.T, l *Lab, m *torch.Module) (w []float32) {
	t.Helper()
	err := l.Dev.Do(context.Background(), func(s *torch.Scope) error {
		state, err := m.State()
		if err != nil {
			return err
		}
		w = torch.Values[float32](m.Tensor(s, state[0]))
		return s.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}
