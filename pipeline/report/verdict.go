package report

import (
	"cmp"
	"fmt"
	"strings"

	"ulrl/pipeline/metrics"
	"ulrl/pipeline/runstore"
)

// What the verdict's words stand for, in shares of the images.
const (
	goneASR     = 0.05 // at most this ASR: the trigger does not work
	weakenedBy  = 0.5  // ASR fell by at least this part of itself: weakened
	workingASR  = 0.5  // from this ASR on a trigger works most of the time
	unknownText = "not measured"
)

// Tone of a verdict; it chooses a colour.
type Tone string

// The tones.
const (
	Good    Tone = "good"
	Warn    Tone = "warn"
	Bad     Tone = "bad"
	Neutral Tone = "neutral"
)

// Verdict is what a run came to, in plain sentences.
type Verdict struct {
	Tone     Tone
	Headline string // one sentence, with the numbers that carry it
	Detail   string // what else a reader must know; may be empty
}

// Judge says what a run came to.
func Judge(r *runstore.Result) Verdict {
	switch r.Status {
	case runstore.StatusComplete:
	case runstore.StatusInterrupted:
		why := strings.TrimPrefix(strings.TrimPrefix(r.Error, runstore.StatusInterrupted), ": ")
		return Verdict{Warn, because("Interrupted", cmp.Or(why, "this run did not finish")), noModel(r)}
	case runstore.StatusFailed:
		return Verdict{Bad, because("Failed", r.Error), noModel(r)}
	case runstore.StatusRunning:
		return Verdict{Neutral, "Not finished: this run is under way, or was killed", ""}
	default:
		return Verdict{Neutral, fmt.Sprintf("Unknown status %q", r.Status), r.Error}
	}
	v := judgeScores(r)
	v.Detail = strings.TrimSpace(v.Detail + " " + found(r))
	return v
}

func judgeScores(r *runstore.Result) Verdict {
	before, after := r.Before.ASR, r.After.ASR
	numbers := accuracyText(r.Before, r.After)
	if before == nil || after == nil {
		if r.OnlyTuned() {
			return Verdict{Warn, "Fine-tuned, effect unproven: " + numbers, noTrigger}
		}
		if led := ledBy(r); led != "" {
			return Verdict{Warn, fmt.Sprintf("Cleaned, but unproven: %s; %s", led, numbers), noTrigger}
		}
		if len(r.Suspicious) == 0 {
			return Verdict{Neutral, "Nothing suspicious found; " + numbers, noTrigger}
		}
		return Verdict{Warn, fmt.Sprintf("Cleaned, but unproven: %s %s, %s", neurons(len(r.Suspicious)), fate(r), numbers), noTrigger}
	}
	numbers = fmt.Sprintf("ASR %.3f → %.3f, %s", *before, *after, numbers)
	loss := metrics.LostACC(r.Before, r.After)
	switch {
	case *before <= goneASR && *after <= goneASR:
		const other = "What the given trigger does says nothing of a backdoor with another one."
		if led := ledBy(r); led != "" {
			return Verdict{Warn, fmt.Sprintf("Cleaned, but unproven: %s, the given trigger never worked; %s", led, numbers), other}
		}
		return Verdict{Neutral, "The given trigger does not work on this model, before or after: " + numbers, other}
	case *after <= goneASR && loss > metrics.HeavyLoss: // the price is named first
		return Verdict{Warn, "Backdoor gone, at a price: " + numbers, fmt.Sprintf("%.1f points of accuracy were lost.", 100*loss)}
	case *after <= goneASR:
		return Verdict{Good, "Backdoor gone: " + numbers, ""}
	case *after > *before && *before < workingASR:
		return Verdict{Bad, "The trigger works better than before: " + numbers, ""}
	case *after <= *before*(1-weakenedBy):
		return Verdict{Warn, "Backdoor weakened, not gone: " + numbers, triggeredText(*after)}
	}
	return Verdict{Bad, "Backdoor not gone: " + numbers, triggeredText(*after)}
}

// ledBy says what led to the suspicious class, where that stands out; "" otherwise.
func ledBy(r *runstore.Result) string {
	switch c := r.SuspiciousClass; {
	case r.FewLeadFar():
		return fmt.Sprintf("a few pixels led to class %s", c)
	case c != nil && c.LedByPatch > 0:
		return fmt.Sprintf("a small patch led to class %s", c)
	case c != nil && c.LedByWaves > 0:
		return fmt.Sprintf("waves over the whole image led to class %s", c)
	case c != nil && c.LedByAll > 0:
		return fmt.Sprintf("a small change of all pixels led to class %s", c)
	}
	return ""
}

const noTrigger = "No trigger is known for this model, so whether a backdoor is left could not be measured."

// triggeredText puts an ASR into words.
func triggeredText(asr float64) string {
	return fmt.Sprintf("The trigger still works on %.1f %% of the images.", 100*asr)
}

// found says what selection found, where the headline does not.
func found(r *runstore.Result) string {
	text := foundClass(r)
	if c, before, after := r.LostMost(); c != nil {
		text += fmt.Sprintf(" Class %s lost most%s: accuracy on its own images %.3f → %.3f.", c, r.OfTheOthers(), before, after)
	}
	return text
}

func foundClass(r *runstore.Result) string {
	if c := r.SuspiciousClass; c != nil {
		own := ""
		if before, after := r.SuspiciousACC(); before != nil {
			own = fmt.Sprintf("; accuracy on its own images %.3f → %.3f", *before, *after)
		}
		return strings.TrimSpace(foundNeurons(r) + fmt.Sprintf(" The suspicious class is %s%s. %s %s", c, own, r.Why(), r.Remains()))
	}
	return foundNeurons(r)
}

func foundNeurons(r *runstore.Result) string {
	if none := r.NoNeurons(); none != "" {
		return none
	}
	if (r.Before.ASR == nil || r.After.ASR == nil) && ledBy(r) == "" {
		return r.LittleDone() // the headline has the rest
	}
	return strings.TrimSpace(neurons(len(r.Suspicious)) + " " + fate(r) + " and relearned. " + r.LittleDone())
}

// fate is what was done with suspicious neurons.
func fate(r *runstore.Result) string {
	if r.Kept {
		return "found"
	}
	return "re-initialised"
}

func neurons(n int) string {
	return plural(n, "suspicious neuron was", "suspicious neurons were")
}

func accuracyText(before, after metrics.Scores) string {
	if before.ACC == nil || after.ACC == nil {
		return "accuracy " + unknownText
	}
	return fmt.Sprintf("accuracy %.3f → %.3f", *before.ACC, *after.ACC)
}

// because joins what happened with why, where that is known.
func because(what, why string) string {
	if why = strings.TrimSpace(why); why != "" {
		return what + ": " + why
	}
	return what
}

// noModel says so unless the run came as far as writing one.
func noModel(r *runstore.Result) string {
	if r.Files["model"] != "" {
		return "A cleaned model was written, but do not rely on it."
	}
	return "There is no cleaned model."
}
