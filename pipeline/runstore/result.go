// Package runstore keeps one run in one directory of plain files. Every file
// appears whole or not at all, so that a reader on another machine (clusters
// share directories over NFS and Lustre) never sees half of one.
package runstore

import (
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
	// SuspiciousClass is the one that the backdoor leads to, as a trigger that was looked for
	// or the head's scores have it; nil where it was not looked for.
	SuspiciousClass *Class `json:"suspicious_class,omitempty"`
	// AlsoSuspicious are classes against which triggers were held as well, for it was not
	// certain which is the one.
	AlsoSuspicious []Class `json:"also_suspicious,omitempty"`
	// Attempts is how often the model as it was was relearned: again where StillLed, for
	// twice as long.
	Attempts int `json:"attempts,omitempty"`
	// Raised is by how much the suspicious class's bias was raised in the end, below 0 lowered (relearn.counter.floor).
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
	// changed; 0 where that was not looked for, and of a SuspiciousClass where it did
	// not stand out.
	Led float64 `json:"led,omitempty"`
	// LedByPatch is the same with a small rectangle of pixels changed, LedByWaves with a wave over
	// the whole image, LedByAll with all pixels changed a little, alike in every image. A
	// SuspiciousClass with none of them was named by the head's scores.
	LedByPatch float64 `json:"led_by_patch,omitempty"`
	LedByWaves float64 `json:"led_by_waves,omitempty"`
	LedByAll   float64 `json:"led_by_all,omitempty"`
	// Patch is where that is, in pixels from the top and from the left, and its height and width.
	Patch []int `json:"patch,omitempty"`
	// Patches are further ones, which are held against a SuspiciousClass that few pixels or a patch
	// told of: each leads there by half at least, the furthest first.
	Patches []Patch `json:"patches,omitempty"`
	// Wave is how often that wave goes up and down over an image's height and over its width,
	// below 0 where it leans the other way.
	Wave []float64 `json:"wave,omitempty"`
	// LedAfter and the others are the same of one of the Suspects on the cleaned model, where
	// triggers were held against it and it was looked for.
	LedAfter        float64 `json:"led_after,omitempty"`
	LedByPatchAfter float64 `json:"led_by_patch_after,omitempty"`
	LedByWavesAfter float64 `json:"led_by_waves_after,omitempty"`
	LedByAllAfter   float64 `json:"led_by_all_after,omitempty"`
}

// Patch is a small rectangle of pixels that leads to a class.
type Patch struct {
	Patch []int   `json:"patch"` // as Class.Patch
	Led   float64 `json:"led"`   // as Class.LedByPatch
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
