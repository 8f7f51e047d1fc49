package runstore

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestRemains(t *testing.T) {
	r := Result{Attempts: 1, Suspects: []Class{{Index: 6, Name: "Shirt", Led: 0.99, LedByAll: 0.4}, {Index: 0, Led: 0.2}}}
	if r.Remains() != "" || r.StillLed(0) {
		t.Errorf("before it was looked for: %q", r.Remains())
	}
	r.NoteRemains(6, ByFewPixels, 0.04)
	const few = "Looked for anew on the cleaned model, few pixels lead to 6 (Shirt) by 0.04 (0.99 before)."
	if r.Remains() != few || r.StillLed(0.1) || !r.StillLed(0.03) {
		t.Errorf("by few: %q", r.Remains())
	}
	r.NoteRemains(6, ByAllPixels, 0.3)
	r.NoteRemains(0, ByFewPixels, 0.01)
	r.NoteRemains(7, ByFewPixels, 0.9) // which is none of the suspects
	r.Attempts = 2
	const all = "Looked for anew on the cleaned model, few pixels lead to 6 (Shirt) by 0.04 (0.99 before), " +
		"a small change of all pixels leads to 6 (Shirt) by 0.30 (0.40 before), few pixels lead to 0 by 0.01 (0.20 before). " +
		"That took 2 attempts, each twice as long as the one before."
	if r.Remains() != all || !r.StillLed(0.1) || r.StillLed(0.3) {
		t.Errorf("by both, of two: %q", r.Remains())
	}
	r.SuspiciousClass, r.AlsoSuspicious = &Class{Index: 0}, []Class{{Index: 6}}
	if r.StillLed(0.1) || !r.StillLed(0.03) {
		t.Error("all pixels lead to a class that it may be as well, as to innocent ones")
	}
	r.NoteRemains(6, ByFewPixels, 0.2)
	if !r.StillLed(0.1) {
		t.Error("few pixels lead to a class that it may be as well")
	}
	r.NoteRemains(0, ByAllPixels, math.NaN())
	if !r.StillLed(0.5) {
		t.Error("what is no number is taken for little")
	}
	r.NoteRemains(6, ByPatch, 0.02)
	if want := "a small patch leads to 6 (Shirt) by 0.02 (0.00 before)"; !strings.Contains(r.Remains(), want) {
		t.Errorf("by a patch: %q", r.Remains())
	}
	r.NoteLed(0, ByWaves, 0.98)
	r.NoteRemains(0, ByWaves, 0.4)
	if want := "waves over the whole image lead to 0 by 0.40 (0.98 before)"; !strings.Contains(r.Remains(), want) {
		t.Errorf("by waves: %q", r.Remains())
	}
	if r.ForgetAttempt(); r.Remains() != "" || r.StillLed(0) {
		t.Errorf("of an attempt that is gone: %q", r.Remains())
	}
}

// What a class is told by is all that is said of it as the suspicious one.
func TestToldBy(t *testing.T) {
	c := Class{Index: 3, Name: "cat", Led: 0.2, LedByPatch: 0.7, LedByWaves: 0.9, LedByAll: 0.3, Wave: []float64{1, -6.4}, Patch: []int{3, 4, 2, 2}}
	for by, want := range map[By]Class{
		ByFewPixels: {Index: 3, Name: "cat", Led: 0.2},
		ByPatch:     {Index: 3, Name: "cat", LedByPatch: 0.7, Patch: []int{3, 4, 2, 2}},
		ByWaves:     {Index: 3, Name: "cat", LedByWaves: 0.9, Wave: []float64{1, -6.4}},
		ByAllPixels: {Index: 3, Name: "cat", LedByAll: 0.3},
	} {
		if got := c.ToldBy(by); !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %+v", by, got)
		}
	}
}
