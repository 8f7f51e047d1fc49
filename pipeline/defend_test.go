package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"

	"ulrl/pipeline/runstore"
	torch "ulrl/torchbridge"
)

// Each method ends with a model of its own, the same for the same seed, and says
// in its result which one it was.
func TestMethods(t *testing.T) {
	f := newFixture(t)
	f.attack()
	models := map[string][]byte{}
	methods := map[string][]string{
		"published": {"relearn.counter.weight=0", "relearn.distill=0", "relearn.rho=0", "relearn.stride=0", "relearn.back=0", "relearn.reinitialise=true"},
		"ft-sam":    {"defense.method=ft-sam"}, "ulrl": nil,
	}
	twice := maps.Clone(methods) // of the others, which are one of these but for a term, once says enough
	if !testing.Short() {        // what the others ask of libtorch these do
		maps.Copy(methods, map[string][]string{
			"ft":                {"defense.method=ft"},
			"ulrl, plain steps": {"relearn.rho=0"}, "ulrl, not taken back": {"relearn.back=0"}, "ulrl, no sample-specific triggers": {"relearn.counter.sample_radius=0"}, "ulrl, no bent trigger": {"relearn.counter.bend=0"},
			"ulrl, biases stay": {"relearn.counter.floor=0"},
		})
	}
	for name, sets := range methods {
		clean := func(out string) ([]byte, *runstore.Result) {
			t.Helper()
			return f.clean(out, append(sets, "suspicious.rule=ratio", "relearn.epochs=2")...)
		}
		first, result := clean(name)
		if _, ok := twice[name]; ok {
			if again, _ := clean(name + "-again"); !reflect.DeepEqual(first, again) {
				t.Errorf("%s: the same seed gave another model", name)
			}
		}
		for other, data := range models {
			if reflect.DeepEqual(first, data) {
				t.Errorf("%s gave the model of %s", name, other)
			}
		}
		models[name] = first
		method := result.Method
		if _, unlearned := result.Seconds["unlearn"]; unlearned != (method == "ulrl") || result.OnlyTuned() == unlearned {
			t.Errorf("%s: seconds of %v", name, result.Seconds)
		}
		if named := result.SuspiciousClass != nil; named != strings.HasPrefix(name, "ulrl") {
			t.Errorf("%s: the suspicious class is %v", name, result.SuspiciousClass)
		}
		if raised := result.Raised != 0; raised != (strings.HasPrefix(name, "ulrl") && name != "ulrl, biases stay") {
			t.Errorf("%s: the suspicious class was raised by %v", name, result.Raised)
		}
		if before, after := result.SuspiciousACC(); (before != nil && after != nil) != strings.HasPrefix(name, "ulrl") {
			t.Errorf("%s: accuracy on the suspicious class's images %v, %v", name, before, after)
		}
		text, err := os.ReadFile(f.path(name, runstore.FileResult))
		if err != nil {
			t.Fatal(err)
		}
		var written struct{ Method string }
		if err := json.Unmarshal(text, &written); err != nil || written.Method != method {
			t.Errorf("result.json says %q of %s, %v", written.Method, name, err)
		}
	}
}

// Where what is held against still leads to its class, the model as it was is relearned for
// twice as long: what comes of that is what comes of as many epochs at once.
func TestAnotherAttempt(t *testing.T) {
	f := newFixture(t)
	f.attack()
	clean := func(name string, sets ...string) ([]byte, *runstore.Result) {
		t.Helper()
		return f.clean(name, append(sets, "relearn.lr=3")...) // too high to go smoothly
	}
	four, once := clean("four", "relearn.epochs=4", "relearn.attempts=1", "relearn.counter.enough=0")
	again, twice := clean("two", "relearn.epochs=2", "relearn.attempts=2", "relearn.counter.enough=0")
	_, enough := clean("enough", "relearn.epochs=2", "relearn.attempts=2", "relearn.counter.enough=1")
	if once.Attempts != 1 || twice.Attempts != 2 || enough.Attempts != 1 {
		t.Errorf("%d, %d and %d attempts", once.Attempts, twice.Attempts, enough.Attempts)
	}
	if !reflect.DeepEqual(again, four) {
		t.Error("the second attempt's model is another than that of as many epochs")
	}
	for name, r := range map[string]*runstore.Result{"four": once, "two": twice} {
		warnings := strings.Join(r.Warnings, " ")
		if left := r.Remains(); left == "" || !strings.Contains(warnings, left) {
			t.Errorf("%s: that it is still led to by %q is not in the warnings %q", name, left, warnings)
		}
		if strings.Count(warnings, "did not go smoothly") != 1 { // not of the first attempt's model, which is gone
			t.Errorf("%s: warnings %q", name, warnings)
		}
	}
	if left := enough.Remains(); left == "" || strings.Contains(strings.Join(enough.Warnings, " "), left) {
		t.Errorf("what is enough, %q, is warned of: %q", left, enough.Warnings)
	}
	phases := map[string]int{}
	epochs, err := runstore.ReadEpochs(f.path("two"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range epochs {
		phases[e.Phase]++
	}
	if phases["relearn"] != 2 || phases["relearn 2"] != 4 {
		t.Errorf("epochs %v", phases)
	}
}

// Where the second attempt diverges the run comes to what the first did.
func TestAnotherAttemptDiverges(t *testing.T) {
	f := newFixture(t)
	tiring := f.save("tiring.pt", func(b *torch.Builder, s *torch.Scope) *torch.Part { // no numbers from its 24th pass in training on
		weight := make([]float32, 3*144)
		for i := range weight {
			weight[i] = float32(i*37%101)/1000 - 0.05
		}
		return b.Part("Tiring").Buffer("passes", s.Full(0, torch.Float32, 1)).
			Child("fc", b.Part("Linear").Parameter("weight", torch.From(s, weight, 3, 144)).Parameter("bias", s.Full(0, torch.Float32, 3)).
				Define("def forward(self, x):\n    return torch.linear(x, self.weight, self.bias)\n")).
			Define(`def forward(self, x):
    if self.training:
        self.passes.add_(1)
    return self.fc.forward(torch.flatten(x, 1)) + 0.0 * torch.log(24.0 - self.passes)
`)
	})
	clean := func(name string, sets ...string) ([]byte, *runstore.Result) {
		t.Helper()
		return f.clean(name, append(sets, "model.path="+tiring, "relearn.epochs=4", "relearn.counter.enough=0")...)
	}
	first, once := clean("once")
	second, twice := clean("twice", "relearn.attempts=2")
	if once.Remains() == "" || !reflect.DeepEqual(once.Suspects, twice.Suspects) || once.Raised != twice.Raised || twice.Attempts != 1 {
		t.Errorf("once: %d, %v, raised by %v; twice: %d, %v, %v", once.Attempts, once.Suspects, once.Raised, twice.Attempts, twice.Suspects, twice.Raised)
	}
	if !bytes.Equal(first, second) {
		t.Error("the model is not the first attempt's")
	}
	if warnings := strings.Join(twice.Warnings, "\n"); !strings.Contains(warnings, "the one before is kept: relearn: it diverged") || !strings.Contains(warnings, twice.Remains()) {
		t.Errorf("warnings %q", twice.Warnings)
	}
}

// What was found on the first attempt's model is not told where another attempt, which it
// gave way to, did not end.
func TestAnotherAttemptInterrupted(t *testing.T) {
	f := newFixture(t)
	f.attack()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	env := f.env
	env.Progress = &stopper{phase: "relearn", left: 10, cancel: cancel} // two epochs of four batches, and two
	c := f.config("relearn.epochs=2", "relearn.attempts=2", "relearn.counter.enough=0")
	if _, err := Run(ctx, c, env, RunOptions{}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	r, err := runstore.ReadResult(f.path("run"))
	if err != nil {
		t.Fatal(err)
	}
	if left := r.Remains(); r.Attempts != 2 || left != "" || r.Raised != 0 {
		t.Errorf("after %d attempts: raised by %v, %q", r.Attempts, r.Raised, left)
	}
}

func TestFewSamplesMakeSmallerBatches(t *testing.T) {
	for _, c := range []struct{ n, size, least, want int }{
		{600, 128, 4, 128}, {500, 128, 4, 128}, // four, the last a little smaller
		{300, 128, 4, 75}, {100, 128, 4, 25}, {100, 128, 1, 128}, {60, 128, 4, 15}, {10, 128, 4, 8}, {3000, 128, 4, 128}, {30, 6, 8, 6},
	} {
		if got := batchOf(c.n, c.size, c.least); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
