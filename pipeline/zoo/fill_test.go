package zoo

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

// stateOf copies a module's tensors.
func stateOf(s *torch.Scope, m *torch.Module) (map[string]*torch.Tensor, error) {
	list, err := places(s, m)
	state := map[string]*torch.Tensor{}
	for _, p := range list {
		state[p.name] = p.tensor.Clone()
	}
	return state, err
}

func TestFill(t *testing.T) {
	_, dev := testenv.CPU(t)
	testenv.Do(t, dev, func(s *torch.Scope) error {
		spec := Spec{Name: "resnet18", Width: 4, Channels: 3, Classes: 10, Seed: 1}
		from, err := New(s, spec)
		if err != nil {
			return err
		}
		x := s.Full(0.5, torch.Float32, 2, 3, 32, 32)
		from.Forward(x) // moves the statistics
		spec.Seed = 2
		to, err := New(s, spec)
		if err != nil {
			return err
		}
		state, err := stateOf(s, from)
		if err != nil {
			return err
		}
		delete(state, "layer1.0.bn1.num_batches_tracked")
		state["fc.bias"] = state["fc.bias"].To(torch.Float64)
		if err := Fill(s, to, state); err != nil {
			return err
		}
		for _, m := range []*torch.Module{from, to} {
			if err := m.Train(false); err != nil {
				return err
			}
		}
		s.NoGrad(func() {
			if worst := from.Forward(x).Sub(to.Forward(x)).Abs().Sum().Item(); worst != 0 {
				t.Errorf("the logits differ by %g in sum", worst)
			}
		})
		if got := to.Buffer(s, "bn1.num_batches_tracked").Item(); got != 1 {
			t.Errorf("%v batches tracked", got)
		}
		return s.Err()
	})
}

func TestFillWithWhatDoesNotFit(t *testing.T) {
	_, dev := testenv.CPU(t)
	for _, c := range []struct {
		name   string
		change func(s *torch.Scope, state map[string]*torch.Tensor)
		want   string
	}{
		{"missing", func(_ *torch.Scope, state map[string]*torch.Tensor) { delete(state, "fc.bias") },
			"1 missing (fc.bias); use"},
		{"many missing", func(_ *torch.Scope, state map[string]*torch.Tensor) { clear(state) },
			"102 missing (conv1.weight, bn1.weight, bn1.bias, …); use"},
		{"unexpected", func(s *torch.Scope, state map[string]*torch.Tensor) {
			state["b"], state["a"] = s.Full(0, torch.Float32, 1), s.Full(0, torch.Float32, 1)
		}, "2 unexpected (a, b); use"},
		{"of another shape", func(s *torch.Scope, state map[string]*torch.Tensor) {
			state["fc.weight"] = s.Full(0, torch.Float32, 43, 32)
		}, "1 of another shape (fc.weight is 43×32, not 10×32); use"},
		{"all of it", func(s *torch.Scope, state map[string]*torch.Tensor) {
			state["linear.weight"] = state["fc.weight"]
			state["conv1.weight"] = s.Full(0, torch.Float32)
			delete(state, "fc.weight")
		}, "1 missing (fc.weight); 1 unexpected (linear.weight); 1 of another shape (conv1.weight is a single number, not 4×3×7×7); use"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := dev.Do(context.Background(), func(s *torch.Scope) error {
				m, err := New(s, Spec{Name: "resnet18", Width: 4, Channels: 3, Classes: 10})
				if err != nil {
					return err
				}
				before, err := stateOf(s, m)
				if err != nil {
					return err
				}
				state := map[string]*torch.Tensor{}
				for name, tensor := range before {
					state[name] = tensor.AddScalar(1)
				}
				c.change(s, state)
				err = Fill(s, m, state)
				after, _ := stateOf(s, m)
				for _, name := range slices.Sorted(maps.Keys(before)) {
					if before[name].Eq(after[name]).All().Item() == 0 {
						t.Errorf("%s was changed", name)
					}
				}
				return err
			})
			if !fault.IsMisuse(err) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}
