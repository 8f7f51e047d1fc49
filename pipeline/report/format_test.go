package report

import (
	"math"
	"strings"
	"testing"

	"ulrl/pipeline/metrics"
	"ulrl/pipeline/runstore"
)

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		value           float64
		padded, decimal string
	}{
		{0, "0", "0"}, {6.2, "6.200", "6.2"}, {0.005, "0.005000", "0.005"}, {1234, "1234", "1234"}, {123456.7, "123457", "123457"},
		{100, "100.0", "100"}, {-0.5, "−0.5000", "−0.5"}, {1e-6, "1.000e−06", "1.000e−06"}, {2.5e9, "2.500e+09", "2.500e+09"},
		{math.NaN(), "not finite", "not finite"}, {math.Inf(-1), "not finite", "not finite"}, {0.99996, "1.0000", "1"},
	} {
		if got := padded(c.value); got != c.padded {
			t.Errorf("padded(%v) = %q, want %q", c.value, got, c.padded)
		}
		if got := decimal(c.value); got != c.decimal {
			t.Errorf("decimal(%v) = %q, want %q", c.value, got, c.decimal)
		}
	}
}

func TestShareAndChange(t *testing.T) {
	for _, c := range []struct {
		before, after *float64
		share, change string
	}{
		{ptr(0.9), ptr(0.8852), "0.885", "−0.015"}, {ptr(0), ptr(1), "1.000", "+1.000"}, {ptr(0.8851), ptr(0.8849), "0.885", "0.000"},
		{nil, ptr(1), "1.000", "–"}, {ptr(1), nil, "–", "–"}, {ptr(1), ptr(math.NaN()), "not finite", "–"},
	} {
		if got := share(c.after); got != c.share {
			t.Errorf("share %q, want %q", got, c.share)
		}
		if got := change(c.before, c.after); got != c.change {
			t.Errorf("change %q, want %q", got, c.change)
		}
	}
}

func TestDuration(t *testing.T) {
	for seconds, want := range map[float64]string{
		0: "0.000 s", 0.004: "0.004 s", 0.31: "0.31 s", 12.34: "12.3 s", 200: "3 min 20 s", 7500: "2 h 5 min", 3599.9: "60 min 0 s", math.Inf(1): "–",
	} {
		if got := duration(seconds); got != want {
			t.Errorf("duration(%v) = %q, want %q", seconds, got, want)
		}
	}
}

func TestIntegerAndShell(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -60000: "−60,000"} {
		if got := integer(n); got != want {
			t.Errorf("integer(%d) = %q, want %q", n, got, want)
		}
	}
	got := shellLine([]string{"ulrl", "a b", "it's", "", "x=$y", "plain.yaml"})
	if want := `ulrl 'a b' 'it'\''s' '' 'x=$y' plain.yaml`; got != want {
		t.Errorf("shellLine: %s, want %s", got, want)
	}
}

func TestJudge(t *testing.T) {
	neuron := []runstore.Neuron{{}}
	scores := func(acc, asr float64) metrics.Scores { return metrics.Scores{ACC: ptr(acc), ASR: ptr(asr)} }
	noTrigger := func(acc float64) metrics.Scores { return metrics.Scores{ACC: ptr(acc)} }
	for name, c := range map[string]struct {
		result   runstore.Result
		tone     Tone
		headline string
		detail   string
	}{
		"gone": {
			runstore.Result{Status: "complete", Before: scores(0.908, 0.993), After: scores(0.885, 0), Suspicious: neuron}, Good,
			"Backdoor gone: ASR 0.993 → 0.000, accuracy 0.908 → 0.885", "1 suspicious neuron was re-initialised",
		},
		"gone, nothing suspicious": {
			runstore.Result{Status: "complete", Before: scores(0.908, 0.993), After: scores(0.9, 0)}, Good,
			"Backdoor gone", "little more than fine-tuning",
		},
		"gone at a price": {
			runstore.Result{Status: "complete", Before: scores(0.9, 0.99), After: scores(0.5, 0), Suspicious: neuron}, Warn,
			"Backdoor gone, at a price", "40.0 points of accuracy",
		},
		"weakened": {
			runstore.Result{Status: "complete", Before: scores(0.9, 1), After: scores(0.9, 0.4), Suspicious: neuron}, Warn,
			"Backdoor weakened, not gone", "40.0 % of the images",
		},
		"not gone": {
			runstore.Result{Status: "complete", Before: scores(0.91, 1), After: scores(0.88, 0.999), Suspicious: neuron}, Bad,
			"Backdoor not gone: ASR 1.000 → 0.999", "99.9 % of the images",
		},
		"no backdoor": {
			runstore.Result{Status: "complete", Before: scores(0.9, 0.01), After: scores(0.9, 0.02)}, Neutral,
			"The given trigger does not work on this model, before or after: ASR 0.010 → 0.020", "says nothing of a backdoor with another",
		},
		"worse": {
			runstore.Result{Status: "complete", Before: scores(0.9, 0.02), After: scores(0.9, 0.6), Suspicious: neuron}, Bad,
			"The trigger works better than before", "",
		},
		"no trigger": {
			runstore.Result{Status: "complete", Before: noTrigger(0.9), After: noTrigger(0.89), Suspicious: make([]runstore.Neuron, 2)}, Warn,
			"Cleaned, but unproven: 2 suspicious neurons were re-initialised, accuracy 0.900 → 0.890", "No trigger is known",
		},
		"nothing suspicious, no trigger": {
			runstore.Result{Status: "complete", Before: noTrigger(0.9), After: noTrigger(0.89)}, Neutral,
			"Nothing suspicious found; accuracy 0.900 → 0.890", "little more than fine-tuning",
		},
		"a class": {runstore.Result{Status: "complete", SuspiciousClass: &runstore.Class{Index: 3, Name: "cat"}}, Neutral,
			"Nothing suspicious found; accuracy not measured", "No neuron was suspicious. The suspicious class is 3 (cat)."},
		"no backdoor by this trigger": {
			runstore.Result{Status: "complete", Before: scores(0.9, 0.01), After: scores(0.9, 0.02), SuspiciousClass: &runstore.Class{Index: 7, Led: 0.92}}, Warn,
			"Cleaned, but unproven: a few pixels led to class 7, the given trigger never worked; ASR 0.010 → 0.020", "says nothing of a backdoor with another",
		},
		"a class by the head": {runstore.Result{Status: "complete", SuspiciousClass: &runstore.Class{Index: 3}}, Neutral,
			"Nothing suspicious found", "Its part of the head changed most under unlearning. That is no sign of a backdoor"},
		"one of three classes": {runstore.Result{Status: "complete", SuspiciousClass: &runstore.Class{Index: 3}, AlsoSuspicious: []runstore.Class{{Index: 8, Name: "bag", Led: 0.86, LedByAll: 0.1}, {Index: 2, LedByAll: 0.62}}}, Neutral,
			"Nothing suspicious found", "some class's always does. If there is one it may lead to another class: 8 (bag), where few pixels lead (mean share 0.86); 2, where a small change of all pixels leads (mean share 0.62). So triggers were held against each of these."},
		"a class by all pixels": {runstore.Result{Status: "complete", SuspiciousClass: &runstore.Class{Index: 3, LedByAll: 0.986}, Suspects: []runstore.Class{{Index: 1, Led: 0.4}}}, Warn,
			"Cleaned, but unproven: a small change of all pixels led to class 3", "No neuron was suspicious. The suspicious class is 3. A small change of all pixels, the same in every image, leads other classes' images there (mean share 0.99), and to no other class nearly as far."},
		"a class by a patch": {runstore.Result{Status: "complete", SuspiciousClass: &runstore.Class{Index: 3, LedByPatch: 0.8, Patch: []int{29, 28, 3, 3}}, Suspects: []runstore.Class{{Index: 1, Led: 0.4}}}, Warn,
			"Cleaned, but unproven: a small patch led to class 3", "The suspicious class is 3. A patch of 3×3 pixels, 29 from the top and 28 from the left, leads other classes' images there (mean share 0.80), and to no other class nearly as far, as a backdoor's does."},
		"a class by patches": {runstore.Result{Status: "complete", SuspiciousClass: &runstore.Class{Index: 3, LedByPatch: 0.8, Patch: []int{29, 28, 3, 3}, Patches: []runstore.Patch{{Patch: []int{26, 2, 3, 3}, Led: 0.7}}}}, Warn,
			"Cleaned, but unproven: a small patch led to class 3", "as a backdoor's does. A patch of 3×3 pixels, 26 from the top and 2 from the left, leads there as well (mean share 0.70)."},
		"a class by few pixels and patches": {runstore.Result{Status: "complete", SuspiciousClass: &runstore.Class{Index: 3, Led: 0.981, Patches: []runstore.Patch{{Patch: []int{26, 2, 3, 3}, Led: 0.7}, {Patch: []int{0, 0, 3, 3}, Led: 0.6}}}}, Warn,
			"Cleaned, but unproven: a few pixels led to class 3", "as a backdoor's patch does. Patches at 2 places lead there as well, one of 3×3 pixels, 26 from the top and 2 from the left, furthest (mean share 0.70)."},
		"a class by waves": {runstore.Result{Status: "complete", SuspiciousClass: &runstore.Class{Index: 3, LedByWaves: 0.986, Wave: []float64{0.08, -6.46}}, Suspects: []runstore.Class{{Index: 1, Led: 0.4}}}, Warn,
			"Cleaned, but unproven: waves over the whole image led to class 3", "The suspicious class is 3. Waves over the whole image, some 0.1 down and 6.5 across it, lead other classes' images there (mean share 0.99), and to no other class nearly as far."},
		"a class by little": {runstore.Result{Status: "complete", SuspiciousClass: &runstore.Class{Index: 3, Led: 0.4}}, Neutral,
			"Nothing suspicious found", "(mean share 0.40). That is no proof of a backdoor: models without one are led so far."},
		"a class hardly before another": {runstore.Result{Status: "complete", SuspiciousClass: &runstore.Class{Index: 3, Led: 0.86}, Suspects: []runstore.Class{{Index: 3, Led: 0.86}, {Index: 1, Name: "cat", Led: 0.65}}}, Neutral,
			"Nothing suspicious found", "(mean share 0.86, to 1 (cat), the next, 0.65). That is no proof of a backdoor, or that it leads there"},
		"a class far before the others": {runstore.Result{Status: "complete", SuspiciousClass: &runstore.Class{Index: 3, Led: 0.86}, Suspects: []runstore.Class{{Index: 1, Led: 0.43}, {Index: 3, Led: 0.86}}}, Warn,
			"Cleaned, but unproven: a few pixels led to class 3", "(mean share 0.86, to 1, the next, 0.43), as a backdoor's patch does."},
		"a class by its trigger": {runstore.Result{Status: "complete", SuspiciousClass: &runstore.Class{Index: 3, Name: "cat", Led: 0.981}}, Warn,
			"Cleaned, but unproven: a few pixels led to class 3 (cat); accuracy not measured", "No neuron was suspicious. The suspicious class is 3 (cat). A few pixels lead other classes' images there (mean share 0.98), as a backdoor's patch does"},
		"a class that paid": {runstore.Result{Status: "complete", SuspiciousClass: &runstore.Class{Index: 1, Name: "cat"},
			Before: metrics.Scores{ByClass: []*float64{nil, ptr(0.9)}}, After: metrics.Scores{ByClass: []*float64{nil, ptr(0.75)}}}, Neutral,
			"Nothing suspicious found", "The suspicious class is 1 (cat); accuracy on its own images 0.900 → 0.750."},
		"another class that paid": {runstore.Result{Status: "complete", SuspiciousClass: &runstore.Class{Index: 1}, Suspects: []runstore.Class{{Index: 2, Name: "dog"}},
			Before: metrics.Scores{ByClass: []*float64{ptr(0.9), ptr(0.9), ptr(0.8), nil}}, After: metrics.Scores{ByClass: []*float64{ptr(0.84), ptr(0.5), ptr(0.7), nil}}}, Neutral,
			"Nothing suspicious found", "Class 2 (dog) lost most of the others: accuracy on its own images 0.800 → 0.700."},
		"a class by its trigger, neurons": {runstore.Result{Status: "complete", Kept: true, SuspiciousClass: &runstore.Class{Index: 3, Led: 0.981}, Suspicious: make([]runstore.Neuron, 1)}, Warn,
			"Cleaned, but unproven: a few pixels led to class 3", "1 suspicious neuron was found and relearned. The suspicious class is 3."},
		"kept": {runstore.Result{Status: "complete", Kept: true, Suspicious: make([]runstore.Neuron, 1)}, Warn,
			"Cleaned, but unproven: 1 suspicious neuron was found, accuracy not measured", "Suspicious neurons kept their weights and no class was looked for: relearning was little more than fine-tuning"},
		"re-initialised": {runstore.Result{Status: "complete", Suspicious: make([]runstore.Neuron, 1)}, Warn,
			"Cleaned, but unproven: 1 suspicious neuron was re-initialised, accuracy not measured", "No trigger is known for this model"},
		"a class that paid, none suspicious": {runstore.Result{Status: "complete", Method: "ft",
			Before: metrics.Scores{ByClass: []*float64{ptr(0.9)}}, After: metrics.Scores{ByClass: []*float64{ptr(0.8)}}}, Warn,
			"Fine-tuned, effect unproven", "Class 0 lost most: accuracy on its own images 0.900 → 0.800."},
		"a class without a name": {runstore.Result{Status: "complete", SuspiciousClass: &runstore.Class{Index: 3, Name: "3"}}, Neutral,
			"Nothing suspicious found; accuracy not measured", "The suspicious class is 3."},
		"fine-tuned":          {runstore.Result{Status: "complete", Method: "ft-sam"}, Warn, "Fine-tuned, effect unproven: accuracy not measured", "ft-sam, looks for no neurons"},
		"nothing measured":    {runstore.Result{Status: "complete"}, Neutral, "Nothing suspicious found; accuracy not measured", ""},
		"interrupted":         {runstore.Result{Status: "interrupted", Error: "interrupted"}, Warn, "Interrupted: this run did not finish", "There is no cleaned model."},
		"out of time":         {runstore.Result{Status: "interrupted", Error: "interrupted: it took too long"}, Warn, "Interrupted: it took too long", "There is no cleaned model."},
		"failed":              {runstore.Result{Status: "failed", Error: "no memory"}, Bad, "Failed: no memory", "There is no cleaned model."},
		"failed at the end":   {runstore.Result{Status: "failed", Files: map[string]string{"model": "m"}}, Bad, "Failed", "do not rely on it"},
		"under way or killed": {runstore.Result{Status: "running"}, Neutral, "Not finished", ""},
		"unknown":             {runstore.Result{Status: "x"}, Neutral, `Unknown status "x"`, ""},
	} {
		v := Judge(&c.result)
		if v.Tone != c.tone || !strings.HasPrefix(v.Headline, c.headline) || !strings.Contains(v.Detail, c.detail) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
