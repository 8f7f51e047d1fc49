package runstore

import (
	"fmt"
	"slices"
	"strings"

	"ulrl/pipeline/metrics"
)

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

// LedByPatch is how far few pixels lead to a backdoor's class at least: 0.55 was seen.
const LedByPatch = 0.5

// ByPatch tells whether few pixels lead to the suspicious class as a backdoor's patch does:
// far, and to no other class half so far.
func (r *Result) ByPatch() bool {
	c := r.SuspiciousClass
	return c != nil && c.Led >= LedByPatch && !r.LedElsewhere()
}

// LedNext is the class, other than the suspicious one, that few pixels lead to furthest.
func (r *Result) LedNext() (next Class) {
	for _, c := range r.Suspects {
		if c.Led > next.Led && r.SuspiciousClass != nil && c.Index != r.SuspiciousClass.Index {
			next = c
		}
	}
	return next
}

// LedElsewhere tells whether few pixels lead to another class more than half as far as to
// the suspicious one.
func (r *Result) LedElsewhere() bool {
	c := r.SuspiciousClass
	return c != nil && c.Led > 0 && r.LedNext().Led > c.Led/2
}

// Why says by what the suspicious class, which there is, was named, and what that proves.
func (r *Result) Why() string {
	c, next := r.SuspiciousClass, r.LedNext()
	if c.LedByAll > 0 {
		return fmt.Sprintf("A small change of all pixels, the same in every image, leads other classes' images there (mean share %.2f), and to no other class nearly as far. That is no proof of a backdoor: it may be how this class looks.", c.LedByAll)
	}
	if c.Led == 0 {
		return "Its part of the head changed most under unlearning. That is no sign of a backdoor: some class's always does." + r.orElse()
	}
	further := ""
	if next.Led > 0 {
		further = fmt.Sprintf(", to %s, the next, %.2f", next, next.Led)
	}
	text := fmt.Sprintf("A few pixels lead other classes' images there (mean share %.2f%s)", c.Led, further)
	switch {
	case r.ByPatch():
		return text + ", as a backdoor's patch does."
	case r.LedElsewhere():
		return text + ". That is no proof of a backdoor, or that it leads there: other classes are led to nearly as far."
	}
	return text + ". That is no proof of a backdoor: models without one are led so far."
}

// orElse names the classes that it may be as well; "" where there are none.
func (r *Result) orElse() string {
	var also []string
	for _, c := range r.AlsoSuspicious {
		way, share := "a small change of all pixels leads", c.LedByAll
		if c.Led > share {
			way, share = "few pixels lead", c.Led
		}
		also = append(also, fmt.Sprintf("%s, where %s (mean share %.2f)", c, way, share))
	}
	if also == nil {
		return ""
	}
	return " If there is one it may lead to another class: " + strings.Join(also, "; ") + ". So triggers were held against each of these."
}

// NoteRemains notes how far few pixels, or a small change of all, lead to one of the suspects
// on the cleaned model.
func (r *Result) NoteRemains(class int, byAll bool, share float64) {
	for i := range r.Suspects {
		switch c := &r.Suspects[i]; {
		case c.Index != class:
		case byAll:
			c.LedByAllAfter = share
		default:
			c.LedAfter = share
		}
	}
}

// ForgetAttempt takes back what was noted of an attempt whose model another one replaces. What
// it returns brings it back, for where that one comes to nothing.
func (r *Result) ForgetAttempt() (remember func()) {
	was := Result{Raised: r.Raised, Suspects: slices.Clone(r.Suspects), Attempts: r.Attempts}
	r.Raised = 0
	for i := range r.Suspects {
		r.Suspects[i].LedAfter, r.Suspects[i].LedByAllAfter = 0, 0
	}
	return func() { r.Raised, r.Suspects, r.Attempts = was.Raised, was.Suspects, was.Attempts }
}

// StillLed tells whether on the cleaned model one of the suspects is led to beyond a share. Of
// classes that it only may be as well few pixels tell: a small change of all leads as far to
// innocent ones (to shirts by 0.27 where there never was a backdoor).
func (r *Result) StillLed(beyond float64) bool {
	return slices.ContainsFunc(r.Suspects, func(c Class) bool {
		led := max(c.LedAfter, c.LedByAllAfter)
		if slices.ContainsFunc(r.AlsoSuspicious, func(also Class) bool { return also.Index == c.Index }) {
			led = c.LedAfter
		}
		return !(led <= beyond) // nor where it is not a number
	})
}

// Remains says how far the classes that triggers were held against are led to on the
// cleaned model; "" where that was not looked for.
func (r *Result) Remains() string {
	var led []string
	for _, c := range r.Suspects {
		if c.LedAfter > 0 {
			led = append(led, fmt.Sprintf("few pixels lead to %s by %.2f (%.2f before)", c, c.LedAfter, c.Led))
		}
		if c.LedByAllAfter > 0 {
			led = append(led, fmt.Sprintf("a small change of all pixels leads to %s by %.2f (%.2f before)", c, c.LedByAllAfter, c.LedByAll))
		}
	}
	if led == nil {
		return ""
	}
	text := "Looked for anew on the cleaned model, " + strings.Join(led, ", ") + "."
	if r.Attempts > 1 {
		text += fmt.Sprintf(" That took %d attempts, each twice as long as the one before.", r.Attempts)
	}
	return text
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
