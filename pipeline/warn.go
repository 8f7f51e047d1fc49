package pipeline

import (
	"fmt"
	"strings"

	"ulrl/pipeline/config"
	"ulrl/pipeline/metrics"
)

// warn tells people of what the result says too.
func (r *run) warn(text string) {
	r.result.Warnings = append(r.result.Warnings, text)
	r.env.Log.Warn(text)
}

// warnOfAccuracy tells where the defence cost much more than it should, and what may cost less.
func (r *run) warnOfAccuracy() {
	before, after := r.result.Before, r.result.After
	if metrics.LostACC(before, after) <= metrics.HeavyLoss {
		return
	}
	var advice []string
	switch relearn := r.c.Relearn; r.c.Defense.Method {
	case config.MethodFTSAM:
		advice = append(advice, "a lower relearn.rho costs less, but removes less")
	case config.MethodULRL:
		if relearn.Rho > 0 {
			advice = append(advice, "relearn.rho=0 costs a model less that was not trained well")
		}
		if relearn.Counter.Weight > 0 && r.head != nil {
			advice = append(advice, "a lower relearn.counter.weight costs less, but removes less")
		}
	}
	if advice == nil {
		advice = []string{"more clean samples or a lower relearn.lr may cost less"}
	}
	r.warn(fmt.Sprintf("accuracy fell from %.1f to %.1f %%: %s", 100**before.ACC, 100**after.ACC, strings.Join(advice, "; ")))
}

const (
	// fits is the accuracy from which on a model surely is for the data that it is given.
	fits = 0.5
	// gains is how much a model that is for its data may gain by being cleaned.
	gains = 0.05
	// misfit is what to look at where a model may not be for its data.
	misfit = "look whether data.mean and data.std, the order of the classes, and the images' channels and size are those that it was trained with"
)

// warnOfMisfit tells of a model that hardly knows its classes: cleaning would seem to mend it.
func (r *run) warnOfMisfit() {
	if acc := r.result.Before.ACC; acc != nil && *acc < fits {
		r.warn(fmt.Sprintf("only %.1f %% of the images are classified rightly before anything is done: if the model is better than that, %s", 100**acc, misfit))
	}
}

// warnOfGain tells of accuracy that no backdoor had cost.
func (r *run) warnOfGain() {
	before, after := r.result.Before.ACC, r.result.After.ACC
	if before != nil && after != nil && *before >= fits && *after-*before > gains {
		r.warn(fmt.Sprintf("accuracy rose from %.1f to %.1f %%, which is not what the removal of a backdoor does: %s", 100**before, 100**after, misfit))
	}
}

// warnOfUnlearning tells of a copy that still knows the clean samples: what changed in it says little.
func (r *run) warnOfUnlearning(accuracy float64) {
	if stop := r.c.Unlearn.StopAccuracy; accuracy > max(stop, fits) {
		r.warn(fmt.Sprintf("unlearning ended with %.1f %% of the clean samples known yet, where %.0f %% were wanted, so that the neurons and the class that it points to are uncertain: more clean samples, unlearn.epochs or a higher unlearn.lr bring it down", 100*accuracy, 100*stop))
	}
}

// warnOfLeads tells where the suspicious class is uncertain: few pixels lead nearly as far to
// another, or triggers are held against several.
func (r *run) warnOfLeads() {
	c, next := r.result.SuspiciousClass, r.result.LedNext()
	switch {
	case r.result.LedElsewhere():
		r.warn(fmt.Sprintf("few pixels lead to class %s (mean share %.2f) and nearly as far to %s (%.2f): if there is a backdoor it may lead to the latter; another seed, or more clean samples, may tell", c, c.Led, next, next.Led))
	case len(r.result.AlsoSuspicious) > 0:
		names := []string{c.String()}
		for _, also := range r.result.AlsoSuspicious {
			names = append(names, also.String())
		}
		r.warn(fmt.Sprintf("to which class a backdoor leads, if there is one, is uncertain: triggers are held against %s, which costs accuracy and removes less; more clean samples may tell", strings.Join(names, ", ")))
	}
}

// warnOfRelearning tells of BatchNorm's statistics that relearning had spoilt.
func (r *run) warnOfRelearning(smooth bool) {
	if !smooth {
		r.warn("relearning did not go smoothly and BatchNorm's statistics were taken anew from the clean samples: accuracy may have suffered; relearn.precision float32 if it is another, another seed, or a lower relearn.counter.weight may do better")
	}
}

// warnOfAttempt tells of another attempt that came to nothing.
func (r *run) warnOfAttempt(err error) {
	r.warn(fmt.Sprintf("another attempt, of twice as many epochs, failed and the one before is kept: %v", err))
}

// warnOfRemains tells that what was held against still leads to its class in the end.
func (r *run) warnOfRemains() {
	r.warn(r.result.Remains() + " A backdoor may not be gone: more clean samples, or a higher relearn.attempts or relearn.counter.weight, may remove more.")
}

// costly is how much of its accuracy the suspicious class may lose without a warning.
const costly = 0.15

// warnOfClass tells where the defence was paid for by one class: ACC hides it.
func (r *run) warnOfClass() {
	before, after := r.result.SuspiciousACC()
	if before == nil || *before-*after <= costly {
		return
	}
	advice := "a lower relearn.counter.weight gives it more, and the trigger too"
	if r.c.Relearn.Counter.Floor < 1 && r.head.Bias != "" {
		advice = "a higher relearn.counter.floor gives it more, and the trigger a little"
	}
	r.warn(fmt.Sprintf("of the suspicious class's own images %.1f %% are still recognised, %.1f %% before: %s", 100**after, 100**before, advice))
}
