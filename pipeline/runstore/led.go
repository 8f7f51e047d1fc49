package runstore

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// By is what images are changed by to see which class that leads to.
type By int

// What leads: few pixels, to any extent; those of a small rectangle; a wave over the whole image;
// a small change of all pixels, the same in every image.
const (
	ByFewPixels By = iota
	ByPatch
	ByWaves
	ByAllPixels
)

var ways = []By{ByFewPixels, ByPatch, ByWaves, ByAllPixels}

// String is what leads, with its verb.
func (by By) String() string {
	return [...]string{"few pixels lead", "a small patch leads", "waves over the whole image lead", "a small change of all pixels leads"}[by]
}

// led are the places of how far a class is led to, before and after.
func (c *Class) led(by By) (before, after *float64) {
	switch by {
	case ByPatch:
		return &c.LedByPatch, &c.LedByPatchAfter
	case ByWaves:
		return &c.LedByWaves, &c.LedByWavesAfter
	case ByAllPixels:
		return &c.LedByAll, &c.LedByAllAfter
	}
	return &c.Led, &c.LedAfter
}

// suspect is the one of this index; nil where it is none.
func (r *Result) suspect(index int) *Class {
	for i := range r.Suspects {
		if c := &r.Suspects[i]; c.Index == index {
			return c
		}
	}
	return nil
}

// NoteLed notes how far one of the suspects is led to.
func (r *Result) NoteLed(class int, by By, share float64) {
	if c := r.suspect(class); c != nil {
		before, _ := c.led(by)
		*before = share
	}
}

// ToldBy is a class of which this alone told.
func (c Class) ToldBy(by By) Class {
	told := Class{Index: c.Index, Name: c.Name}
	is, _ := c.led(by)
	to, _ := told.led(by)
	*to = *is
	switch by {
	case ByPatch:
		told.Patch = c.Patch
	case ByWaves:
		told.Wave = c.Wave
	}
	return told
}

// fewLeadFar is how far few pixels lead to a backdoor's class at least: 0.55 was seen.
const fewLeadFar = 0.5

// FewLeadFar tells whether few pixels lead to the suspicious class as a backdoor's patch does:
// far, and to no other class half so far.
func (r *Result) FewLeadFar() bool {
	c := r.SuspiciousClass
	return c != nil && c.Led >= fewLeadFar && !r.LedElsewhere()
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
	if c.LedByPatch > 0 {
		return fmt.Sprintf("A patch%s leads other classes' images there (mean share %.2f), and to no other class nearly as far, as a backdoor's does.%s", where(c.Patch), c.LedByPatch, c.elsewhere())
	}
	if c.LedByWaves > 0 {
		return fmt.Sprintf("Waves over the whole image%s lead other classes' images there (mean share %.2f)", c.across(), c.LedByWaves) + alone
	}
	if c.LedByAll > 0 {
		return fmt.Sprintf("A small change of all pixels, the same in every image, leads other classes' images there (mean share %.2f)", c.LedByAll) + alone
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
	case r.FewLeadFar():
		text += ", as a backdoor's patch does."
	case r.LedElsewhere():
		text += ". That is no proof of a backdoor, or that it leads there: other classes are led to nearly as far."
	default:
		text += ". That is no proof of a backdoor: models without one are led so far."
	}
	return text + c.elsewhere()
}

// alone is what it means that nothing leads to other classes.
const alone = ", and to no other class nearly as far. That is no proof of a backdoor: it may be how this class looks."

// elsewhere says of the further patches that lead to a class.
func (c *Class) elsewhere() string {
	if len(c.Patches) == 0 {
		return ""
	}
	furthest, share := where(c.Patches[0].Patch), c.Patches[0].Led
	if len(c.Patches) == 1 {
		return fmt.Sprintf(" A patch%s leads there as well (mean share %.2f).", furthest, share)
	}
	return fmt.Sprintf(" Patches at %d places lead there as well, one%s furthest (mean share %.2f).", len(c.Patches), furthest, share)
}

// where says of a patch where it is; "" where that is not known.
func where(patch []int) string {
	if len(patch) != 4 {
		return ""
	}
	return fmt.Sprintf(" of %d×%d pixels, %d from the top and %d from the left,", patch[2], patch[3], patch[0], patch[1])
}

// across says what the waves are like that lead to a class; "" where that is not known.
func (c *Class) across() string {
	if len(c.Wave) != 2 {
		return ""
	}
	return fmt.Sprintf(", some %.1f down and %.1f across it,", math.Abs(c.Wave[0]), math.Abs(c.Wave[1]))
}

// orElse names the classes that it may be as well; "" where there are none.
func (r *Result) orElse() string {
	var also []string
	for _, c := range r.AlsoSuspicious {
		by, share := ByAllPixels, c.LedByAll
		if c.Led > share {
			by, share = ByFewPixels, c.Led
		}
		also = append(also, fmt.Sprintf("%s, where %s (mean share %.2f)", c, by, share))
	}
	if also == nil {
		return ""
	}
	return " If there is one it may lead to another class: " + strings.Join(also, "; ") + ". So triggers were held against each of these."
}

// NoteRemains notes how far one of the suspects is led to on the cleaned model.
func (r *Result) NoteRemains(class int, by By, share float64) {
	if c := r.suspect(class); c != nil {
		_, after := c.led(by)
		*after = share
	}
}

// ForgetAttempt takes back what was noted of an attempt whose model another one replaces. What
// it returns brings it back, for where that one comes to nothing.
func (r *Result) ForgetAttempt() (remember func()) {
	was := Result{Raised: r.Raised, Suspects: slices.Clone(r.Suspects), Attempts: r.Attempts}
	r.Raised = 0
	for i := range r.Suspects {
		for _, by := range ways {
			_, after := r.Suspects[i].led(by)
			*after = 0
		}
	}
	return func() { r.Raised, r.Suspects, r.Attempts = was.Raised, was.Suspects, was.Attempts }
}

// StillLed tells whether on the cleaned model one of the suspects is led to beyond a share. Of
// classes that it only may be as well few pixels tell: a small change of all leads as far to
// innocent ones (to shirts by 0.27 where there never was a backdoor).
func (r *Result) StillLed(beyond float64) bool {
	return slices.ContainsFunc(r.Suspects, func(c Class) bool {
		led := max(c.LedAfter, c.LedByPatchAfter, c.LedByWavesAfter, c.LedByAllAfter)
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
		for _, by := range ways {
			if before, after := c.led(by); *after > 0 {
				led = append(led, fmt.Sprintf("%s to %s by %.2f (%.2f before)", by, c, *after, *before))
			}
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
