package pipeline

import (
	"strings"
	"testing"

	logtest "github.com/sirupsen/logrus/hooks/test"

	"ulrl/pipeline/config"
	"ulrl/pipeline/metrics"
	"ulrl/pipeline/model"
	"ulrl/pipeline/runstore"
)

// What one class pays for the others is told: ACC hides it.
func TestWarnsOfWhatTheSuspiciousClassPaid(t *testing.T) {
	log, _ := logtest.NewNullLogger()
	for _, c := range []struct {
		before, after float64
		bias          string // of the head
		floor         float64
		advice        string // what the warning names, "" where there is none
	}{
		{0.9, 0.7, "fc.bias", 0.8, "relearn.counter.floor gives it more"},
		{0.9, 0.7, "fc.bias", 1, "relearn.counter.weight gives it more"},
		{0.9, 0.7, "", 0.8, "relearn.counter.weight gives it more"},
		{0.9, 0.8, "fc.bias", 0.8, ""},
		{0.5, 0.9, "fc.bias", 0.8, ""},
	} {
		scores := func(acc float64) metrics.Scores { return metrics.Scores{ByClass: []*float64{nil, &acc}} }
		settings := &config.Config{Relearn: config.Relearn{Counter: config.Counter{Floor: c.floor}}}
		r := &run{env: Env{Log: log}, c: settings, head: &model.Layer{Bias: c.bias}, result: &runstore.Result{
			SuspiciousClass: &runstore.Class{Index: 1}, Before: scores(c.before), After: scores(c.after)}}
		r.warnOfClass()
		if got := strings.Join(r.result.Warnings, "\n"); got != "" != (c.advice != "") || !strings.Contains(got, c.advice) {
			t.Errorf("%v to %v, bias %q, floor %v: %q, want %q", c.before, c.after, c.bias, c.floor, got, c.advice)
		}
	}
}

// A model that has become much worse is told of with what may help, as the run was set.
func TestWarnsOfLostAccuracy(t *testing.T) {
	log, _ := logtest.NewNullLogger()
	const fell, samples = "accuracy fell from 90.0 to 84.0 %: ", "more clean samples or a lower relearn.lr may cost less"
	const rho, weight = "relearn.rho=0 costs a model less that was not trained well", "a lower relearn.counter.weight costs less, but removes less"
	head := &model.Layer{}
	acc := func(v float64) *float64 { return &v }
	for _, c := range []struct {
		before, after *float64
		method        string
		rho, weight   float64
		head          *model.Layer
		want          string // "": no warning
	}{
		{acc(0.9), acc(0.84), config.MethodULRL, 0.6, 0.5, head, fell + rho + "; " + weight},
		{acc(0.9), acc(0.84), config.MethodULRL, 0.6, 0.5, nil, fell + rho}, // what needs a head was not done
		{acc(0.9), acc(0.84), config.MethodULRL, 0.6, 0, head, fell + rho},
		{acc(0.9), acc(0.84), config.MethodULRL, 0, 0.5, head, fell + weight},
		{acc(0.9), acc(0.84), config.MethodULRL, 0, 0, head, fell + samples},
		{acc(0.9), acc(0.84), config.MethodFT, 0.6, 0.5, head, fell + samples},
		{acc(0.9), acc(0.84), config.MethodFTSAM, 0.6, 0.5, head, fell + "a lower relearn.rho costs less, but removes less"},
		{acc(0.9), acc(0.86), config.MethodULRL, 0.6, 0.5, head, ""},
		{acc(0.8), acc(0.9), config.MethodULRL, 0.6, 0.5, head, ""},
		{nil, nil, config.MethodULRL, 0.6, 0.5, head, ""}, // not measured
	} {
		settings := &config.Config{Defense: config.Defense{Method: c.method}, Relearn: config.Relearn{Rho: c.rho, Counter: config.Counter{Weight: c.weight}}}
		r := &run{env: Env{Log: log}, c: settings, head: c.head, result: &runstore.Result{Before: metrics.Scores{ACC: c.before}, After: metrics.Scores{ACC: c.after}}}
		r.warnOfAccuracy()
		if got := strings.Join(r.result.Warnings, "\n"); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

func TestWarnsOfAModelForOtherData(t *testing.T) {
	log, _ := logtest.NewNullLogger()
	acc := func(v float64) *float64 { return &v }
	const low, rose, look = "only 34.8 % of the images", "accuracy rose from 80.0 to 86.0 %", "data.mean and data.std"
	for _, c := range []struct {
		before, after *float64
		want          string // "": no warning
	}{
		{acc(0.348), acc(0.868), low}, {acc(0.8), acc(0.86), rose}, {acc(0.8), acc(0.84), ""}, {acc(0.9), acc(0.88), ""}, {nil, nil, ""}, {nil, acc(0.9), ""},
	} {
		r := &run{env: Env{Log: log}, result: &runstore.Result{Before: metrics.Scores{ACC: c.before}, After: metrics.Scores{ACC: c.after}}}
		r.warnOfMisfit()
		r.warnOfGain()
		got := strings.Join(r.result.Warnings, "\n")
		if len(r.result.Warnings) > 1 || got == "" != (c.want == "") || !strings.Contains(got, c.want) || got != "" && !strings.Contains(got, look) {
			t.Errorf("%+v: %q, want %q", c, got, c.want)
		}
	}
}

func TestWarnsOfWhatWasNotUnlearned(t *testing.T) {
	log, _ := logtest.NewNullLogger()
	for accuracy, want := range map[float64]string{0.2: "", 0.4: "", 0.8: "unlearning ended with 80.0 % of the clean samples known yet, where 20 % were wanted"} {
		r := &run{env: Env{Log: log}, c: &config.Config{Unlearn: config.Unlearn{StopAccuracy: 0.2}}, result: &runstore.Result{}}
		r.warnOfUnlearning(accuracy)
		if got := strings.Join(r.result.Warnings, "\n"); got == "" != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%v: %q", accuracy, got)
		}
	}
}

func TestWarnsOfAnUncertainClass(t *testing.T) {
	log, _ := logtest.NewNullLogger()
	for _, c := range []struct {
		suspicious runstore.Class
		suspects   []runstore.Class
		also       []runstore.Class
		want       string // "": no warning
	}{
		{runstore.Class{Index: 3, Led: 0.99}, []runstore.Class{{Index: 3, Led: 0.99}, {Index: 8, Led: 0.94}}, nil, "few pixels lead to class 3 (mean share 0.99) and nearly as far to 8 (0.94)"},
		{runstore.Class{Index: 3, Led: 0.99}, []runstore.Class{{Index: 3, Led: 0.99}, {Index: 8, Led: 0.2}}, nil, ""},
		{runstore.Class{Index: 7}, []runstore.Class{{Index: 8, Led: 0.86}, {Index: 7, Led: 0.65}}, []runstore.Class{{Index: 8, Name: "bag", Led: 0.86}, {Index: 3, LedByAll: 0.5}}, "is uncertain: triggers are held against 7, 8 (bag), 3, which"},
		{runstore.Class{Index: 3}, []runstore.Class{{Index: 8, Led: 0.37}, {Index: 3, Led: 0.15}}, nil, ""},
		{runstore.Class{Index: 3, LedByAll: 0.98}, []runstore.Class{{Index: 8, Led: 0.86}, {Index: 3, LedByAll: 0.98}}, nil, ""},
	} {
		r := &run{env: Env{Log: log}, result: &runstore.Result{SuspiciousClass: &c.suspicious, Suspects: c.suspects, AlsoSuspicious: c.also}}
		r.warnOfLeads()
		if got := strings.Join(r.result.Warnings, "\n"); got == "" != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%+v: %q, want %q", c, got, c.want)
		}
	}
}
