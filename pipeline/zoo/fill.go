package zoo

import (
	"fmt"
	"slices"
	"strings"

	"ulrl/pipeline/fault"
	torch "ulrl/torchbridge"
)

// Fill copies named tensors, a state dict, into m's parameters and buffers and
// converts their element types. Every name of m must be there, in its shape,
// and no other; only num_batches_tracked, which old state dicts lack, may be
// missing. If something does not fit, nothing is copied. Handles belong to s.
func Fill(s *torch.Scope, m *torch.Module, tensors map[string]*torch.Tensor) error {
	places, err := places(s, m)
	if err != nil {
		return err
	}
	var missing, wrong []string
	expected := map[string]bool{}
	for _, p := range places {
		expected[p.name] = true
		t, ok := tensors[p.name]
		switch {
		case !ok && strings.HasSuffix(p.name, "num_batches_tracked"):
		case !ok:
			missing = append(missing, p.name)
		case !slices.Equal(t.Shape(), p.tensor.Shape()):
			wrong = append(wrong, fmt.Sprintf("%s is %s, not %s", p.name, times(t.Shape()), times(p.tensor.Shape())))
		}
	}
	var unexpected []string
	for name := range tensors {
		if !expected[name] {
			unexpected = append(unexpected, name)
		}
	}
	slices.Sort(unexpected)
	if err := misfit(missing, unexpected, wrong); err != nil {
		return err
	}
	for _, p := range places {
		if t, ok := tensors[p.name]; ok {
			p.tensor.CopyFrom(t)
		}
	}
	return s.Err()
}

// place is a parameter or a buffer.
type place struct {
	name   string
	tensor *torch.Tensor
}

func places(s *torch.Scope, m *torch.Module) ([]place, error) {
	state, err := m.State()
	if err != nil {
		return nil, err
	}
	var list []place
	for _, at := range state {
		list = append(list, place{at.Name, m.Tensor(s, at)})
	}
	return list, s.Err()
}

func misfit(missing, unexpected, wrong []string) error {
	var what []string
	for _, part := range []struct {
		say   string
		names []string
	}{{"missing", missing}, {"unexpected", unexpected}, {"of another shape", wrong}} {
		if len(part.names) > 0 {
			what = append(what, fmt.Sprintf("%d %s (%s)", len(part.names), part.say, firstThree(part.names)))
		}
	}
	if len(what) == 0 {
		return nil
	}
	return fault.Misuse("the tensors do not fit the network: %s; use the architecture, width, channels and classes that they were made with", strings.Join(what, "; "))
}

func firstThree(names []string) string {
	if len(names) > 3 {
		names = append(slices.Clone(names[:3]), "…")
	}
	return strings.Join(names, ", ")
}

func times(shape []int) string {
	if len(shape) == 0 {
		return "a single number"
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(shape), " ", "×"), "[]")
}
