package defense

import (
	"errors"
	"math"
	"reflect"
	"testing"

	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// counting is a model of the squares of its weights, 1 and 2, that counts its
// passes in a buffer, as BatchNorm does.
func counting(s *torch.Scope) (*torch.Module, error) {
	b := torch.NewBuilder(s)
	return b.Finish(b.Part("Counting").
		Parameter("weight", torch.From(s, []float32{1, 2}, 2)).
		Buffer("passes", s.Full(0, torch.Float32, 1)).
		Define("def forward(self, x):\n    self.passes.add_(1.0)\n    return (x * self.weight * self.weight).sum()\n"))
}

// The slope at (1, 2) is (2, 4), |w|·g (2, 8) of length √68; √68 upwards lie
// (1 + 2, 2 + 16), where the slope is (6, 36).
func TestUphillTakesTheSlopeAboveAndNothingElse(t *testing.T) {
	_, dev := testenv.CPU(t)
	testenv.Do(t, dev, func(s *torch.Scope) error {
		m, err := counting(s)
		if err != nil {
			return err
		}
		if err := m.RequireGrad(true); err != nil {
			return err
		}
		opt, err := s.NewSGD(m, torch.SGDOptions{LR: 1})
		if err != nil {
			return err
		}
		x := s.Full(1, torch.Float32, 2)
		s.Backward(m.Forward(x), opt)
		if err := uphill(s, opt, m, math.Sqrt(68), func() *torch.Tensor { return m.Forward(x) }); err != nil {
			return err
		}
		weight := m.Parameter(s, "weight")
		if got := torch.Values[float32](weight.Detach()); !reflect.DeepEqual(got, []float32{1, 2}) {
			t.Errorf("the weights are %v", got)
		}
		if got := m.Buffer(s, "passes").Item(); got != 1 {
			t.Errorf("the buffer counts %v passes, not the one at the weights", got)
		}
		for i, got := range torch.Values[float32](weight.Grad()) {
			if want := []float64{6, 36}[i]; math.Abs(float64(got)-want) > 1e-4 {
				t.Errorf("slope %d is %v, want %v", i, got, want)
			}
		}
		return nil
	})
}

// Where the second pass fails the weights come back all the same.
func TestUphillReturnsAfterAFailure(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	var m *torch.Module
	err := dev.Do(t.Context(), func(s *torch.Scope) (err error) {
		if m, err = counting(keep); err != nil {
			return err
		}
		if err := m.RequireGrad(true); err != nil {
			return err
		}
		opt, err := s.NewSGD(m, torch.SGDOptions{LR: 1})
		if err != nil {
			return err
		}
		s.Backward(m.Forward(s.Full(1, torch.Float32, 2)), opt)
		err = uphill(s, opt, m, 1, func() *torch.Tensor { return m.Forward(s.Full(1, torch.Float32, 3)) })
		return errors.Join(err, s.Err())
	})
	if err == nil {
		t.Error("images of another size went through")
	}
	testenv.Do(t, dev, func(s *torch.Scope) error {
		if got := torch.Values[float32](m.Parameter(s, "weight").Detach()); !reflect.DeepEqual(got, []float32{1, 2}) {
			t.Errorf("the weights are %v", got)
		}
		return nil
	})
}
