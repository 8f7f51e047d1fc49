package runstore

import "ulrl/pipeline/metrics"

// SuspiciousACC is the accuracy on the suspicious class's own images, before and
// after; nil where it is not known.
func (r *Result) SuspiciousACC() (before, after *float64) {
	of := func(s metrics.Scores) *float64 {
		if c := r.SuspiciousClass; c != nil && c.Index < len(s.ByClass) {
			return s.ByClass[c.Index]
		}
		return nil
	}
	before, after = of(r.Before), of(r.After)
	if before == nil || after == nil {
		return nil, nil
	}
	return before, after
}

// notable is how much of its accuracy a class loses before it is worth a word.
const notable = 0.05

// LostMost is the class, other than the suspicious one, that lost most accuracy on its own
// images, before and after; nil where none lost five points.
func (r *Result) LostMost() (class *Class, before, after float64) {
	most := notable
	for i := range min(len(r.Before.ByClass), len(r.After.ByClass)) {
		was, is := r.Before.ByClass[i], r.After.ByClass[i]
		if was == nil || is == nil || *was-*is < most || r.SuspiciousClass != nil && r.SuspiciousClass.Index == i {
			continue
		}
		most, before, after = *was-*is, *was, *is
		class = &Class{Index: i}
		for _, c := range r.Suspects {
			if c.Index == i {
				class.Name = c.Name
			}
		}
	}
	return class, before, after
}

// OnlyTuned says that the method looks for no neurons.
func (r *Result) OnlyTuned() bool { return r.Method != "" && r.Method != "ulrl" }

// NoNeurons says what it means that there are no suspicious neurons; "" where there are.
func (r *Result) NoNeurons() string {
	switch {
	case r.OnlyTuned():
		return "The method, " + r.Method + ", looks for no neurons."
	case len(r.Suspicious) > 0:
		return ""
	case r.SuspiciousClass != nil:
		return "No neuron was suspicious."
	}
	return r.LittleDone()
}

// LittleDone says so where nothing was held against a backdoor; "" otherwise.
func (r *Result) LittleDone() string {
	const little = " and no class was looked for: relearning was little more than fine-tuning, which seldom removes a backdoor."
	switch {
	case r.OnlyTuned() || r.SuspiciousClass != nil:
		return ""
	case len(r.Suspicious) == 0:
		return "No neuron was suspicious" + little
	case r.Kept:
		return "Suspicious neurons kept their weights" + little
	}
	return ""
}

// OfTheOthers is " of the others" where LostMost leaves out a suspicious class.
func (r *Result) OfTheOthers() string {
	if r.SuspiciousClass == nil {
		return ""
	}
	return " of the others"
}
