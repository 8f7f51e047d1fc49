package model

import (
	"math"

	"ulrl/pipeline/fault"
	torch "ulrl/torchbridge"
)

// CheckWeights refuses weights and statistics that nothing can be done with: of another
// type than float32, or not finite.
func (f *File) CheckWeights(s *torch.Scope, m *torch.Module) error {
	names, err := m.Parameters()
	if err != nil {
		return err
	}
	for _, name := range names {
		if m.Parameter(s, name).DType() != torch.Float32 && s.Err() == nil {
			return fault.Misuse("model %s: its weights (%s) are not float32: save it so, as model.float() makes it", f.Path, name)
		}
	}
	name, err := m.NotFinite(s)
	if err == nil && name != "" {
		err = fault.Misuse("model %s: not all numbers of %s are finite: it came apart in training, or the file is damaged", f.Path, name)
	}
	return err
}

// CheckTrainable refuses a model without parameters.
func (f *File) CheckTrainable(m *torch.Module) error {
	names, err := m.Parameters()
	if err == nil && len(names) == 0 {
		err = fault.Misuse("model %s has no parameters, so nothing of it can be trained: torch.jit.freeze makes constants of them; save it without that", f.Path)
	}
	return err
}

// CheckLearns refuses a model whose outputs, for images N×C×H×W, do not hang on its parameters
// in a way that can be learnt from. It leaves the model in evaluation mode.
func (f *File) CheckLearns(s *torch.Scope, m *torch.Module, images *torch.Tensor) error {
	if err := m.Train(false); err != nil {
		return err
	}
	if err := m.RequireGrad(true); err != nil {
		return err
	}
	learns := m.Forward(images).RequiresGrad()
	if err := s.Err(); err != nil {
		return err
	}
	if !learns {
		return fault.Misuse("model %s cannot be trained: its outputs have no slope by its weights, as after detach() or within torch.no_grad(); save it without that", f.Path)
	}
	return nil
}

// Squash is what keeps a model's outputs between 0 and 1.
type Squash string

// What stands at the end of a model whose outputs are no logits, as it seems.
const (
	Softmax Squash = "softmax" // every row is of shares that add up to 1
	Sigmoid Squash = "sigmoid" // all of many are between 0 and 1
)

// Squashed tells by its outputs for images N×C×H×W what a model ends in; "" where they are
// logits. The model must be in evaluation mode.
func Squashed(s *torch.Scope, m *torch.Module, images *torch.Tensor) (Squash, error) {
	var rows []float32
	classes := 0
	s.NoGrad(func() {
		logits := m.Forward(images)
		if shape := logits.Shape(); len(shape) == 2 {
			classes, rows = shape[1], torch.Values[float32](logits)
		}
	})
	if err := s.Err(); err != nil || classes == 0 {
		return "", err
	}
	shares := true
	for i := 0; i < len(rows); i += classes {
		sum := 0.0
		for _, v := range rows[i : i+classes] {
			if !(v >= 0 && v <= 1) {
				return "", nil
			}
			sum += float64(v)
		}
		shares = shares && math.Abs(sum-1) < 1e-3
	}
	const many = 40 // logits of so few images may lie there by chance
	switch {
	case shares:
		return Softmax, nil
	case len(rows) >= many:
		return Sigmoid, nil
	}
	return "", nil
}
