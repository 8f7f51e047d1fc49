// Package runstore keeps one run in one directory of plain files. Every file
// appears whole or not at all, so that a reader on another machine (clusters
// share directories over NFS and Lustre) never sees half of one.
package runstore

import (
	"fmt"
	"strconv"

	"ulrl/pipeline/metrics"
)

// Status of a run.
const (
	StatusRunning     = "running"
	StatusComplete    = "complete"
	StatusInterrupted = "interrupted"
	StatusFailed      = "failed"
)

// Result is what a run leaves in result.json.
type Result struct {
	Name string `json:"name"`
	// Method is the config's defense.method; "" in results of before there were several.
	Method string `json:"method,omitempty"`
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`

	Before metrics.Scores `json:"before"`
	After  metrics.Scores `json:"after"`
	DER    *float64       `json:"der"`

	// Kept says that suspicious neurons were relearned from the weights they had.
	Kept bool `json:"kept,omitempty"`
	// Suspicious are the neurons that were re-initialised, if not Kept; NoNeurons says
	// what it means that there are none.
	Suspicious []Neuron `json:"suspicious"`
	// SuspiciousClass is the one that the backdoor leads to, as the head's scores
	// or a few pixels have it; nil where it was not looked for.
	SuspiciousClass *Class `json:"suspicious_class,omitempty"`
	// Raised is by how much that class's bias was raised in the end, below 0 lowered (relearn.counter.floor).
	Raised float64 `json:"raised,omitempty"`
	// Suspects are the classes among which that was looked for, by the head's scores.
	Suspects []Class `json:"suspects,omitempty"`
	// Layers is how the neurons of each scored layer were judged.
	Layers []Layer `json:"layers"`

	// Seconds by phase, "total" among them.
	Seconds  map[string]float64 `json:"seconds"`
	Versions Versions           `json:"versions"`
	Machine  Machine            `json:"machine"`
	// Sandbox is what confined the process that ran the model; "" where nothing did.
	Sandbox  string            `json:"sandbox"`
	Seed     uint64            `json:"seed"`
	Inputs   map[string]Input  `json:"inputs"` // "model", "config"
	Clean    Clean             `json:"clean"`
	Warnings []string          `json:"warnings"`
	Started  string            `json:"started"` // RFC 3339
	Command  []string          `json:"command"`
	Files    map[string]string `json:"files"` // what → name in the run directory
	// Sums are the SHA-256 of the directory\'s other files, by name.
	Sums map[string]string `json:"sha256,omitempty"`
}

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

// plain is how far few pixels lead to a backdoor's class at least: 0.55 was seen.
const plain = 0.5

// ByPatch tells whether few pixels lead to the suspicious class as a backdoor's patch does:
// far, and to no other class half so far.
func (r *Result) ByPatch() bool {
	c := r.SuspiciousClass
	return c != nil && c.Led >= plain && r.LedNext().Led <= c.Led/2
}

// LedNext is the class, other than the suspicious one, that few pixels lead to furthest.
func (r *Result) LedNext() (next Class) {
	for _, c := range r.Suspects {
		if c.Led > next.Led && c.Index != r.SuspiciousClass.Index {
			next = c
		}
	}
	return next
}

// Why says by what the suspicious class was named, and what that proves.
func (r *Result) Why() string {
	c, next := r.SuspiciousClass, r.LedNext()
	if c.Led == 0 {
		return "Its part of the head changed most under unlearning. That is no sign of a backdoor: some class's always does."
	}
	further := ""
	if next.Led > 0 {
		further = fmt.Sprintf(", to %s, the next, %.2f", next, next.Led)
	}
	text := fmt.Sprintf("A few pixels lead other classes' images there (mean share %.2f%s)", c.Led, further)
	switch {
	case r.ByPatch():
		return text + ", as a backdoor's patch does."
	case next.Led > c.Led/2:
		return text + ". That is no proof of a backdoor, or that it leads there: other classes are led to nearly as far."
	}
	return text + ". That is no proof of a backdoor: models without one are led so far."
}

// noted is how much of its accuracy a class loses before it is worth a word.
const noted = 0.05

// LostMost is the class, other than the suspicious one, that lost most accuracy on its own
// images, before and after; nil where none lost five points.
func (r *Result) LostMost() (class *Class, before, after float64) {
	most := noted
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
	return "No neuron was suspicious and no class was looked for: relearning was little more than fine-tuning, which seldom removes a backdoor."
}

// Neuron is one output neuron of a scored layer.
type Neuron struct {
	Layer string   `json:"layer"`
	Index int      `json:"index"`
	Score float64  `json:"score"` // L1 change of its weights under unlearning
	Z     *float64 `json:"z"`     // nil where it is undefined (MAD 0) or not asked for
}

// Class is one of the data's classes.
type Class struct {
	Index int    `json:"index"`
	Name  string `json:"name"`
	// Led is its mean share in the outputs for other classes' images with few pixels
	// changed; 0 where that was not looked for, and of a SuspiciousClass where it is
	// not far, so that the head's scores named it.
	Led float64 `json:"led,omitempty"`
}

// String is "3 (cat)", or "3" where the name says no more.
func (c Class) String() string {
	index := strconv.Itoa(c.Index)
	if c.Name == "" || c.Name == index {
		return index
	}
	return index + " (" + c.Name + ")"
}

// Layer is the selection within one scored layer.
type Layer struct {
	Name   string  `json:"name"`
	Rows   int     `json:"rows"`
	Rule   string  `json:"rule"` // "mad" or "ratio": the one that was applied
	Median float64 `json:"median"`
	MAD    float64 `json:"mad"`
	Note   string  `json:"note,omitempty"` // why the rule differs from the config's
	// Threshold is the score above which a row counts as suspicious; 0 where
	// the rule has no such score.
	Threshold float64   `json:"threshold"`
	Scores    []float64 `json:"scores"`   // one per row
	Selected  []int     `json:"selected"` // rows, as indices into Scores
}

// Versions of what made a result.
type Versions struct {
	ULRL     string `json:"ulrl"`
	Go       string `json:"go"`
	Libtorch string `json:"libtorch"`
}

// Machine that made a result.
type Machine struct {
	OS      string `json:"os"`
	CPU     string `json:"cpu"`
	Cores   int    `json:"cores"`
	Device  string `json:"device"`
	Threads int    `json:"threads"`
}

// Input is a file that the result depends on.
type Input struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// Clean is the clean sample that the defence saw.
type Clean struct {
	Count int   `json:"count"`
	Of    int   `json:"of"`
	Drawn []int `json:"drawn"` // indices into the training set, ascending
	// Poisoned are those of the drawn that got the attack's trigger and its label.
	Poisoned []int `json:"poisoned,omitempty"`
}
