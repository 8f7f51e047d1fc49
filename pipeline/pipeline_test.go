package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/report"
	"ulrl/pipeline/runstore"
	torch "ulrl/torchbridge"
)

func TestAttackThenRunThenEval(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	made, err := Attack(ctx, f.config(), f.env, AttackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if *made.Scores.ACC < 0.9 || *made.Scores.ASR < 0.8 || len(made.Poisoned) != 18 {
		t.Fatalf("the attack's model: ACC %v, ASR %v, %d poisoned", *made.Scores.ACC, *made.Scores.ASR, len(made.Poisoned))
	}
	if made.Scores.CleanImages != 60 || made.Scores.TriggeredImages != 40 {
		t.Errorf("measured on %d clean and %d triggered images, want 60 and 40", made.Scores.CleanImages, made.Scores.TriggeredImages)
	}
	result, err := Run(ctx, f.config("relearn.eval_every=3"), f.env, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if result.Status != runstore.StatusComplete || len(result.Layers) != 1 || result.Layers[0].Name != "linear" {
		t.Errorf("status %q, layers %+v", result.Status, result.Layers)
	}
	if !reflect.DeepEqual(result.Before, made.Scores) {
		t.Errorf("before %+v, the attack measured %+v", result.Before, made.Scores)
	}
	want := "cleaned.pt config.yaml events.jsonl neurons.csv report.html result.json"
	if got := f.names("run"); got != want {
		t.Errorf("the run directory holds %s, want %s", got, want)
	}
	// What is in the file is what was measured.
	again, err := Eval(ctx, f.config(), f.env, f.path("run", "cleaned.pt"))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.Scores, result.After) {
		t.Errorf("the cleaned file scores %+v, the run said %+v", again.Scores, result.After)
	}
	f.checkResultFile(result)
}

func (f *fixture) checkResultFile(result *runstore.Result) {
	f.t.Helper()
	text, err := os.ReadFile(f.path("run", "result.json"))
	if err != nil {
		f.t.Fatal(err)
	}
	var tree map[string]any
	if err := json.Unmarshal(text, &tree); err != nil {
		f.t.Fatal(err)
	}
	for _, key := range []string{"before.acc", "before.asr", "before.ra", "after.acc", "after.asr", "after.ra", "der", "suspicious",
		"seconds.unlearn", "seconds.relearn", "seconds.total", "versions.libtorch", "seed", "inputs.model.sha256", "inputs.config.sha256", "status"} {
		at := any(tree)
		for _, part := range strings.Split(key, ".") {
			branch, _ := at.(map[string]any)
			at = branch[part]
		}
		if at == nil {
			f.t.Errorf("result.json has no %s", key)
		}
	}
	epochs, err := runstore.ReadEpochs(f.path("run"))
	if err != nil || len(epochs) < 7 {
		f.t.Errorf("%d epochs in events.jsonl, %v", len(epochs), err)
	}
	events, _ := runstore.ReadEvents(f.path("run"))
	if measured := strings.Count(joined(events), `"kind":"measure"`); measured != 2 {
		f.t.Errorf("%d measurements between epochs, want 2", measured)
	}
	// "ulrl report" makes the same page of what lies there.
	saved, err := runstore.ReadResult(f.path("run"))
	if err != nil {
		f.t.Fatal(err)
	}
	var page bytes.Buffer
	if err := report.HTML(&page, saved, epochs); err != nil {
		f.t.Fatal(err)
	}
	if !bytes.Equal(page.Bytes(), read(f.t, f.path("run", "report.html"))) {
		f.t.Error("the page made anew is another")
	}
}

func joined(events []json.RawMessage) string {
	var b strings.Builder
	for _, e := range events {
		b.Write(e)
	}
	return b.String()
}

func TestTheSeedDecidesEverything(t *testing.T) {
	f := newFixture(t)
	f.attack()
	cleaned := func(out string, sets ...string) []byte {
		t.Helper()
		c := f.config(append(sets, "threads=2", "output="+f.path(out))...)
		if _, err := Run(context.Background(), c, f.env, RunOptions{}); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(f.path(out, "cleaned.pt"))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	first := cleaned("a")
	if !reflect.DeepEqual(first, cleaned("b")) {
		t.Error("the same seed gave another model")
	}
	if reflect.DeepEqual(first, cleaned("c", "seed=1")) {
		t.Error("another seed gave the same model")
	}
}

func TestWithoutTriggerAndTestSet(t *testing.T) {
	f := newFixture(t)
	f.attack()
	c := f.config("attack.name=none", "data.test=none", "model.path="+f.path("model", "backdoored.pt"))
	result, err := Run(context.Background(), c, f.env, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if result.Before.ASR != nil || result.DER != nil || result.After.MeasuredOn != "clean samples" || result.After.CleanImages != 60 {
		t.Errorf("%+v, DER %v", result.After, result.DER)
	}
}

func TestRatioOverSeveralLayers(t *testing.T) {
	f := newFixture(t)
	f.attack()
	c := f.config("suspicious.rule=ratio", "suspicious.ratio=0.25", "suspicious.layers=head,layer4.*")
	result, err := Run(context.Background(), c, f.env, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Layers) != 6 {
		t.Fatalf("%d layers were scored", len(result.Layers))
	}
	for _, l := range result.Layers {
		if want := (l.Rows + 3) / 4; len(l.Selected) != want || l.Rule != "ratio" {
			t.Errorf("%s: %d of %d rows by %s, want %d", l.Name, len(l.Selected), l.Rows, l.Rule, want)
		}
	}
}

// Training and cleaning in bfloat16 do what they do in float32.
func TestBFloat16(t *testing.T) {
	f := newFixture(t)
	c := f.config("attack.train.precision=bfloat16", "unlearn.precision=bfloat16", "relearn.precision=bfloat16")
	made, err := Attack(context.Background(), c, f.env, AttackOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if *made.Scores.ACC < 0.8 || *made.Scores.ASR < 0.8 {
		t.Errorf("ACC %.3f, ASR %.3f", *made.Scores.ACC, *made.Scores.ASR)
	}
	coarse, err := Run(context.Background(), c, f.env, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if *coarse.After.ACC < 0.8 {
		t.Errorf("after cleaning: ACC %.3f", *coarse.After.ACC)
	}
	fine, err := Run(context.Background(), f.config(), f.env, RunOptions{Force: true})
	if err != nil {
		t.Fatal(err)
	}
	if reflect.DeepEqual(fine.Layers[0].Scores, coarse.Layers[0].Scores) {
		t.Error("the precision of unlearning changed nothing")
	}
}

// Generators that are trained along stay in float32, beside a model that is not.
func TestGeneratorsBesideBFloat16(t *testing.T) {
	for _, name := range []string{"lira", "inputaware", "blind"} {
		f := newFixture(t)
		c := f.config("attack.name="+name, "attack.train.precision=bfloat16", "attack.train.epochs=1", "attack.blind.threshold=100")
		if _, err := Attack(context.Background(), c, f.env, AttackOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNothingSuspiciousIsSaid(t *testing.T) {
	f := newFixture(t)
	f.attack()
	result, err := Run(context.Background(), f.config("suspicious.threshold=1e9", "relearn.counter.weight=0"), f.env, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Suspicious) != 0 || !strings.Contains(f.log.LastEntry().Message, "little more than fine-tuning") {
		t.Errorf("suspicious %v, warnings %v", result.Suspicious, result.Warnings)
	}
}

func TestCancelMarksTheRunInterrupted(t *testing.T) {
	f := newFixture(t)
	f.attack()
	ctx, cancel := context.WithCancelCause(context.Background())
	steps := 0
	f.env.Progress = sink{func() {
		if steps++; steps == 8 { // in the midst of unlearning
			cancel(errors.New("no more time"))
		}
	}}
	result, err := Run(ctx, f.config(), f.env, RunOptions{})
	if err == nil || result.Status != runstore.StatusInterrupted || result.Error != "interrupted: no more time" {
		t.Fatalf("status %+v, %v", result, err)
	}
	if got := f.names("run"); got != "config.yaml events.jsonl report.html result.json" {
		t.Errorf("left %s", got)
	}
	// An interrupted run can be started again, a finished one only by force.
	f.env.Progress = sink{func() {}}
	if _, err := Run(context.Background(), f.config(), f.env, RunOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(context.Background(), f.config(), f.env, RunOptions{}); !fault.IsMisuse(err) {
		t.Errorf("a finished run was started again: %v", err)
	}
	if _, err := Run(context.Background(), f.config(), f.env, RunOptions{Force: true}); err != nil {
		t.Error(err)
	}
}

type sink struct{ step func() }

func (sink) Start(string, int) {}
func (s sink) Step(string)     { s.step() }
func (sink) End()              {}

func TestBadModels(t *testing.T) {
	f := newFixture(t)
	f.attack()
	good, err := os.ReadFile(f.path("model", "backdoored.pt"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) string {
		if err := os.WriteFile(f.path(name), data, 0o644); err != nil {
			t.Fatal(err)
		}
		return f.path(name)
	}
	source := func(name, text string) string {
		return f.save(name, func(b *torch.Builder, s *torch.Scope) *torch.Part {
			return b.Part("Odd").Parameter("w", s.Full(0.1, torch.Float32, 3, 144)).Define(text)
		})
	}
	odd := func(name string, weight func(s *torch.Scope) *torch.Tensor, text string) string {
		return f.save(name, func(b *torch.Builder, s *torch.Scope) *torch.Part {
			return b.Part("Odd").Child("fc", b.Part("Linear").Parameter("weight", weight(s)).
				Define("def forward(self, x):\n    return torch.linear(x, self.weight)\n")).Define("def forward(self, x):\n" + text)
		})
	}
	full := func(value float64, of torch.DType) func(s *torch.Scope) *torch.Tensor {
		return func(s *torch.Scope) *torch.Tensor { return s.Full(value, of, 3, 144) }
	}
	const plain = "    return self.fc.forward(torch.flatten(x, 1))\n"
	cases := []struct{ name, path, want string }{
		{"float64", odd("double.pt", full(0.1, torch.Float64), plain), "its weights (fc.weight) are not float32: save it so, as model.float() makes it"},
		{"no numbers out", odd("nans.pt", full(0.1, torch.Float32), "    return self.fc.forward(torch.flatten(x, 1)) * float('nan')\n"), "its outputs are not numbers (NaN)"},
		{"no slope", odd("detached.pt", full(0.1, torch.Float32), "    return self.fc.forward(torch.flatten(x, 1)).detach()\n"), "cannot be trained: its outputs have no slope by its weights, as after detach() or within torch.no_grad(); save it without that"},
		{"not finite", odd("nan.pt", full(math.NaN(), torch.Float32), plain), "not all numbers of fc.weight are finite"},
		{"shares", odd("softmax.pt", full(0.1, torch.Float32), "    return torch.softmax(self.fc.forward(torch.flatten(x, 1)), 1)\n"), "ends in a softmax"},
		{"frozen", f.save("frozen.pt", func(b *torch.Builder, _ *torch.Scope) *torch.Part {
			return b.Part("Frozen").Define("def forward(self, x):\n    return torch.flatten(x, 1)[:, :3]\n")
		}), "has no parameters"},
		{"missing", f.path("nowhere.pt"), "no such file"},
		{"a folder", f.dir, "not a file"},
		{"empty", write("empty.pt", nil), "the file is empty"},
		{"truncated", write("truncated.pt", good[:len(good)/2]), "the archive is damaged or truncated"},
		{"text", write("text.pt", []byte("hello")), "this is not a TorchScript file"},
		{"another ZIP", write("other.zip", zipped(t, "a/hello.txt")), "a ZIP archive of something else"},
		{"a state dict", write("state.pt", zipped(t, "a/data.pkl", "a/version")), "a state dict or a pickled model"},
		{"a pickle", write("pickle.pt", []byte("\x80\x02}q\x00.")), "a Python pickle, not TorchScript"},
		{"damaged inside", write("damaged.pt", zipped(t, "a/data.pkl", "a/constants.pkl", "a/code/m.py", "a/version")), "code/m.py: TorchScript has no record of this name"},
		{"two inputs", source("two.pt", "def forward(self, x, y):\n    return x + y\n"), "its forward wants 2 inputs"},
		{"an image out", source("image.pt", "def forward(self, x):\n    return x\n"), "its output is 2×1×12×12, not one row of class scores per image (2×classes)"},
		{"a pair out", source("pair.pt", "def forward(self, x):\n    return (x, x)\n"), "forward returned Tuple, not one tensor"},
		{"sparse scores", source("sparse.pt", "def forward(self, x):\n    return torch.linear(torch.flatten(x, 1), self.w).to_sparse()\n"), "torch.to_sparse: it is none of the operators"},
		{"two rows", source("rows.pt", "def forward(self, x):\n    return torch.linear(torch.flatten(x, 1), self.w)[:2]\n"), "the model gives [2 3] scores for a batch of 32 images"},
		{"wrong channels", f.network("colour.pt", 3, 3), "cannot take images of 1×12×12"},
		{"wrong classes", f.network("ten.pt", 1, 10), "tells 10 classes apart, the data has 3"},
		{"no head", f.save("conv.pt", func(b *torch.Builder, s *torch.Scope) *torch.Part {
			return b.Part("Conv").Parameter("weight", s.Full(0.1, torch.Float32, 3, 1, 12, 12)).
				Define("def forward(self, x):\n    return torch.flatten(torch.conv2d(x, self.weight), 1)\n")
		}), "no linear layer with 3 outputs to take for its head"},
	}
	for _, c := range cases {
		_, err := Run(context.Background(), f.config("model.path="+c.path), f.env, RunOptions{Force: true})
		if err == nil || !strings.Contains(err.Error(), c.want) || !fault.IsMisuse(err) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %q (misuse %v), want %q", c.name, err, fault.IsMisuse(err), c.want)
		}
		if _, err := os.Stat(f.path("run", "cleaned.pt")); err == nil {
			t.Errorf("%s: a cleaned model was left", c.name)
		}
	}
}

func TestBadInputLeavesAnEarlierRunAlone(t *testing.T) {
	f := newFixture(t)
	f.attack()
	if _, err := Run(context.Background(), f.config(), f.env, RunOptions{}); err != nil {
		t.Fatal(err)
	}
	before := f.names("run")
	for _, set := range []string{"data.dir=/nowhere", "clean.count=1000", "model.path=" + f.network("colour.pt", 3, 3)} {
		if _, err := Run(context.Background(), f.config(set), f.env, RunOptions{Force: true}); !fault.IsMisuse(err) {
			t.Errorf("%s: %v", set, err)
		}
	}
	if after := f.names("run"); after != before {
		t.Errorf("the run directory held %s, now %s", before, after)
	}
}

// Batch statistics are of evaluation mode alone in one, of training mode alone in the other.
func TestAModelThatDoesNotSwitchIsWarnedOf(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct {
		name, training, end string
		warnings            []string
		inspect             string
	}{
		{"frozen.pt", "False", "torch.flatten(x, 1)", []string{"BatchNorm does not react to training mode", "relearned without relearn.counter"}, "no effect, though there is BatchNorm"},
		{"restless.pt", "True", "torch.sigmoid(torch.flatten(x, 1))", []string{"it was traced in training mode", "as a sigmoid's do"}, "it does in evaluation mode too"},
	} {
		path := f.save(c.name, func(b *torch.Builder, s *torch.Scope) *torch.Part {
			return b.Part("Traced").
				Parameter("weight", s.Full(0.1, torch.Float32, 3, 1, 12, 12)).
				Buffer("running_mean", s.Full(0, torch.Float32, 3)).Buffer("running_var", s.Full(1, torch.Float32, 3)).
				Define("def forward(self, x):\n    x = torch.conv2d(x, self.weight)\n" +
					"    x = torch.batch_norm(x, None, None, self.running_mean, self.running_var, " + c.training + ", 0.1, 1e-05, True)\n" +
					"    return " + c.end + "\n")
		})
		result, err := Run(context.Background(), f.config("model.path="+path, "suspicious.layers=all"), f.env, RunOptions{Force: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range c.warnings {
			if !strings.Contains(strings.Join(result.Warnings, "\n"), want) {
				t.Errorf("%s: warnings %q, none of which says %q", c.name, result.Warnings, want)
			}
		}
		in, err := Inspect(context.Background(), path, f.env, InspectOptions{Shape: []int{1, 12, 12}})
		if err != nil || !strings.Contains(in.TrainEval, c.inspect) {
			t.Errorf("%s: inspect says %+v, %v", c.name, in, err)
		}
	}
}

func TestBadSettings(t *testing.T) {
	f := newFixture(t)
	f.attack()
	explosive := f.save("explosive.pt", func(b *torch.Builder, s *torch.Scope) *torch.Part {
		return b.Part("Explosive").Parameter("weight", s.Full(0.001, torch.Float32, 3, 144)).
			Define("def forward(self, x):\n    return torch.exp(torch.linear(torch.flatten(x, 1), self.weight))\n")
	})
	cases := []struct {
		name, set, want string
		misuse          bool
	}{
		{"no GPU", "device=cuda:7", `no device "cuda:7" here; there is: cpu`, true},
		{"empty draw", "clean.ratio=0.001 clean.count=0", "empty clean draw", true},
		{"too many", "clean.count=1000", "1000 samples asked for, but train has 180", true},
		{"no such layer", "suspicious.layers=layer9.*", `nothing is named "layer9.*"`, true},
		{"no data", "data.dir=" + f.path("nowhere"), "not found", true},
		{"below a file", "output=" + f.path("config.yaml", "run"), "cannot make run directory", true},
		{"float16 on a CPU", "relearn.precision=float16", "relearn.precision: float16 needs a GPU", true},
		{"NaN in relearning", "unlearn.lr=1e-9 unlearn.epochs=1 relearn.lr=10 relearn.stride=0 model.path=" + explosive, "relearn: it diverged, the loss of epoch", false},
	}
	for _, c := range cases {
		result, err := Run(context.Background(), f.config(strings.Fields(c.set)...), f.env, RunOptions{Force: true})
		if err == nil || !strings.Contains(err.Error(), c.want) || fault.IsMisuse(err) != c.misuse || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %q (misuse %v), want %q", c.name, err, fault.IsMisuse(err), c.want)
		}
		if result != nil && result.Status != runstore.StatusFailed {
			t.Errorf("%s: status %q", c.name, result.Status)
		}
		if _, err := os.Stat(f.path("run", "cleaned.pt")); err == nil {
			t.Errorf("%s: a cleaned model was left", c.name)
		}
	}
}

func TestAClassWithoutCleanSamplesIsWarnedOf(t *testing.T) {
	f := newFixture(t)
	f.attack()
	result, err := Run(context.Background(), f.config("clean.count=2"), f.env, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(result.Warnings, "\n"), "no clean sample of class") {
		t.Errorf("warnings %q", result.Warnings)
	}
}

// A model without backdoor that is fine-tuned on samples of which a third carry
// the trigger learns the backdoor; the samples themselves stay as they were drawn.
func TestPoisonedSamples(t *testing.T) {
	f := newFixture(t)
	if _, err := Attack(context.Background(), f.config("attack.poison_rate=0.006", "attack.output="+f.path("innocent")), f.env, AttackOptions{}); err != nil {
		t.Fatal(err)
	}
	tuned := func(sets ...string) (*runstore.Result, error) {
		return Run(context.Background(), f.config(append(sets, "model.path="+f.path("innocent", "backdoored.pt"), "defense.method=ft",
			"relearn.epochs=20", "relearn.lr=0.05")...), f.env, RunOptions{Force: true})
	}
	clean, err := tuned()
	if err != nil {
		t.Fatal(err)
	}
	poisoned, err := tuned("clean.poisoned=20")
	if err != nil {
		t.Fatal(err)
	}
	if *clean.After.ASR > 0.3 || *poisoned.After.ASR < 0.7 {
		t.Errorf("ASR %v without, %v with poisoned samples", *clean.After.ASR, *poisoned.After.ASR)
	}
	if !slices.Equal(clean.Clean.Drawn, poisoned.Clean.Drawn) || clean.Clean.Poisoned != nil || len(poisoned.Clean.Poisoned) != 20 {
		t.Errorf("drawn %v, poisoned %v", poisoned.Clean.Drawn, poisoned.Clean.Poisoned)
	}
	for _, i := range poisoned.Clean.Poisoned {
		if !slices.Contains(poisoned.Clean.Drawn, i) {
			t.Errorf("image %d was poisoned and not drawn", i)
		}
	}
	if got := strings.Join(poisoned.Warnings, "\n"); !strings.Contains(got, "20 of the 60 clean samples carry the trigger") {
		t.Errorf("warnings %q", got)
	}
	if _, err := tuned("clean.poisoned=50"); err == nil || !fault.IsMisuse(err) || !strings.Contains(err.Error(), "clean.poisoned 50: 50 of 60 images were to be poisoned, only 36 can be") {
		t.Errorf("more than there can be: %v", err)
	}
}

func TestAttackErrors(t *testing.T) {
	f := newFixture(t)
	f.attack()
	cases := []struct {
		set, want string
		force     bool
	}{
		{"attack.name=none", "attack.name is none", false},
		{"seed=1", "is there already", false},
		{"attack.output=" + f.path("config.yaml", "m"), "attack.output", false},
		{"attack.output=" + f.path("data"), "holds something else", true},
		{"attack.train.samples=1000", "the training set has 180 images", true},
		{"attack.poison_rate=0.9", "only 120 can be", true},
		{"attack.trigger.size=12", "does not fit images of 12×12", true},
	}
	for _, c := range cases {
		_, err := Attack(context.Background(), f.config(strings.Fields(c.set)...), f.env, AttackOptions{Force: c.force})
		if err == nil || !strings.Contains(err.Error(), c.want) || !fault.IsMisuse(err) {
			t.Errorf("%s: got %v, want %q", c.set, err, c.want)
		}
	}
	unlock, err := runstore.LockDir(f.path("model")) // as a training that is under way does
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Attack(context.Background(), f.config(), f.env, AttackOptions{Force: true}); err == nil || !strings.Contains(err.Error(), "is in use by process") || !fault.IsMisuse(err) {
		t.Errorf("a second training in the same folder: %v", err)
	}
	time.AfterFunc(100*time.Millisecond, unlock)
	if made, err := Attack(context.Background(), f.config(), f.env, AttackOptions{Resume: true}); err != nil || made.Scores.ACC == nil {
		t.Errorf("one that waits for it: %v, %v", made, err)
	}
	if got := f.names("model"); got != "attack.json backdoored.pt preview.png trigger.pt" {
		t.Errorf("the model's folder holds %s", got)
	}
	if _, err := Attack(context.Background(), f.config("attack.output="+f.path("deep", "er"), "data.dir=/nowhere"), f.env, AttackOptions{}); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(f.path("deep")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder in which there is nothing stays: %v", err)
	}
}

// Where the model is to be made it is said how; where it is there, that is no advice.
func TestHowAModelIsMade(t *testing.T) {
	f := newFixture(t)
	const hint = "make it with: ulrl attack"
	if _, err := Run(t.Context(), f.config(), f.env, RunOptions{}); err == nil || !strings.Contains(err.Error(), hint) {
		t.Errorf("missing: %v", err)
	}
	if err := errors.Join(os.Mkdir(f.path("model"), 0o755), os.WriteFile(f.path("model", "backdoored.pt"), []byte("PK\x03\x04"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), f.config(), f.env, RunOptions{}); err == nil || strings.Contains(err.Error(), hint) {
		t.Errorf("damaged: %v", err)
	}
}

func TestInspectAndDoctor(t *testing.T) {
	f := newFixture(t)
	path := f.network("net.pt", 3, 10)
	in, err := Inspect(context.Background(), path, f.env, InspectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if in.Head != "linear" || in.Classes != 10 || in.Input != "N×3×32×32" || len(in.Layers) != 21 || len(in.Warnings) != 0 ||
		!strings.Contains(in.TrainEval, "has effect") || !strings.Contains(strings.Join(in.Operators, " "), "aten::batch_norm") {
		t.Errorf("%+v", in)
	}
	double := f.save("double.pt", func(b *torch.Builder, s *torch.Scope) *torch.Part {
		return b.Part("Double").Parameter("w", s.Full(0.1, torch.Float64, 3, 144)).Define("def forward(self, x):\n    return torch.linear(torch.flatten(x, 1), self.w)\n")
	})
	if in, err := Inspect(context.Background(), double, f.env, InspectOptions{}); err != nil || len(in.Warnings) != 1 || !strings.Contains(in.Warnings[0], "not float32") {
		t.Errorf("%+v, %v", in, err)
	}
	report, err := Doctor(context.Background(), f.env, f.config())
	if err != nil || !report.OK {
		t.Errorf("%+v, %v", report, err)
	}
	report, err = Doctor(context.Background(), f.env, f.config("data.dir=/nowhere"))
	if err != nil || report.OK {
		t.Errorf("missing data pass: %+v, %v", report, err)
	}
	for file, want := range map[string]bool{path: true, f.path("nowhere.pt"): false} {
		if report, err := Doctor(context.Background(), f.env, f.config("model.path="+file)); err != nil || report.OK != want {
			t.Errorf("model %s: %+v, %v", file, report, err)
		}
	}
}

func TestMatchOfTestAndTrainingSet(t *testing.T) {
	f := newFixture(t)
	if err := os.Rename(f.path("data", "test", "2"), f.path("data", "test", "zwei")); err != nil {
		t.Fatal(err)
	}
	_, err := readImages(context.Background(), f.config(), true)
	if err == nil || !strings.Contains(err.Error(), `class 2 is "2" in the training set and "zwei" in the test set`) {
		t.Errorf("got %v", err)
	}
}
