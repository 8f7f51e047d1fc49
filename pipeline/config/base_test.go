package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ulrl/configs"
)

// The published values of ULRL, and the small profile of the default data set.
func TestDefaults(t *testing.T) {
	c, err := Default(Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Name: "base", Device: "auto", Output: "runs/base",
		Data: Data{
			Name: "fashion-mnist", Kind: "idx", Dir: "/usr/share/datasets/fashion-mnist", Classes: 10,
			Size: []int{}, Mean: []float64{}, Std: []float64{}, Flip: "auto",
		},
		Clean: Clean{Count: 600},
		Attack: Attack{
			Name: AttackNone, Output: "models/base", LabelMode: "all2one", PoisonRate: 0.1,
			Trigger: Trigger{Size: 3, Margin: 1, Value: 255},
			Blended: Blended{Alpha: 0.2},
			SIG:     SIG{Delta: 40, Frequency: 6},
			WaNet:   WaNet{Strength: 0.5, Grid: 4}, BPP: BPP{Levels: 8}, FTrojan: FTrojan{Magnitude: 30, Window: 32}, CrossRatio: 2,
			Blind:      Blind{CleanWeight: 1, TriggerWeight: 0.9, Threshold: 1},
			InputAware: InputAware{Density: 0.032, Diversity: 1, MaskWeight: 100, LR: 0.01, MaskEpochs: 1},
			LC:         LC{Amplitude: 1, Epsilon: 16, Steps: 20}, LF: LF{Bound: 14, Frequencies: 6, Updates: 200},
			LIRA:       LIRA{Epsilon: 0.1, Alpha: 0.5, LR: 0.001, GeneratorEpochs: 3},
			SSBA:       SSBA{Bits: 16, Epsilon: 0.1, ImageWeight: 10, Epochs: 2, LR: 0.01},
			TrojanNN:   TrojanNN{Neurons: 2, Value: 100, Updates: 300},
			CleanModel: CleanModel{Dir: "models/clean", Epochs: 4},
			Arch:       Arch{Name: "preactresnet18", Width: 16},
			Train: Training{
				Samples: 20000, Epochs: 6, BatchSize: 128, LR: 0.1, Momentum: 0.9, Nesterov: true,
				WeightDecay: 5e-4, ClipNorm: 5, Schedule: "onecycle", Augment: true, Precision: "float32",
			},
		},
		Defense: Defense{Method: "ulrl"},
		Unlearn: Unlearn{
			Epochs: 20, BatchSize: 128, MinBatches: 4, LR: 0.01, Momentum: 0.9, WeightDecay: 5e-4,
			Milestones: []int{10, 20}, Gamma: 0.1, ClipNorm: 20, StopAccuracy: 0.2, Precision: "float32",
		},
		Suspicious: Suspicious{Rule: "mad", Layers: []string{LayersHead}, Threshold: 3.5, Max: 2, Order: "score", Ratio: 0.1},
		Relearn:    Relearn{Epochs: 10, Attempts: 2, BatchSize: 128, MinBatches: 4, LR: 0.01, Momentum: 0.9, Alpha: 0.7, Distill: 0.9, Rho: 0.6, Stride: 0.08, Back: 0.2, Augment: true, Precision: "float32", Counter: Counter{Weight: 0.5, Radius: 0.1, SampleRadius: 0.1, Bend: 0.07, Wave: 0.15, Pixels: 0.025, Patch: 0.18, DenseLabels: 0.1, SparseLabels: 0.5, Share: 0.78, Steps: 2, SampleSteps: 4, Suspects: 10, Enough: 0.2, Restart: 0.02, Floor: 1}},
		Eval:       Eval{BatchSize: 512},
	}
	if !equal(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if got := c.ModelPath(); got != "models/base/backdoored.pt" {
		t.Errorf("ModelPath is %q", got)
	}
}

// builtins are the configs that come with the program.
const builtins = "badnets.yaml, base.yaml, blended.yaml, blind.yaml, bpp.yaml, ftrojan.yaml, inputaware.yaml, lc.yaml, lf.yaml, lira.yaml, sig.yaml, ssba.yaml, trojannn.yaml, wanet.yaml"

// atBase puts the line of a key in base.yaml in place of the key, as in
// "built-in base.yaml:{relearn.lr}".
func atBase(t *testing.T, text string) string {
	t.Helper()
	c, err := Default(Options{})
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`built-in base\.yaml:\{[a-z_.]+\}`).ReplaceAllStringFunc(text, func(mark string) string {
		key := strings.TrimSuffix(strings.TrimPrefix(mark, "built-in base.yaml:{"), "}")
		return c.Origin(key)
	})
}

// base.yaml is the reference that users read: every key, each with a comment.
func TestBaseIsComplete(t *testing.T) {
	data, err := configs.FS.ReadFile(baseName)
	if err != nil {
		t.Fatal(err)
	}
	p := parse(schema(), baseName, data)
	if len(p.problems) > 0 {
		t.Fatal(p.problems)
	}
	lines := strings.Split(string(data), "\n")
	for _, f := range schema().leaves() {
		if _, ok := p.layer.origins[f.key]; !ok {
			t.Errorf("base.yaml does not set %s", f.key)
		}
	}
	for i, line := range lines {
		if key, _, ok := strings.Cut(line, ":"); ok && !strings.Contains(key, "#") && !strings.HasSuffix(line, ":") && !strings.Contains(line, " # ") {
			t.Errorf("base.yaml:%d: no comment: %s", i+1, line)
		}
	}
}

// Every config in the binary loads, and extends the base that is built in.
func TestBuiltinsLoad(t *testing.T) {
	for _, name := range Builtins() {
		c, err := Load(name, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := c.Name + ".yaml"; got != name {
			t.Errorf("%s: the run's name is %q", name, c.Name)
		}
		if _, err := os.Stat(filepath.Join("..", "..", "configs", name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBadnets(t *testing.T) {
	c, err := Load("badnets.yaml", Options{})
	if err != nil {
		t.Fatal(err)
	}
	base, err := Default(Options{})
	if err != nil {
		t.Fatal(err)
	}
	base.Name, base.Output = "badnets", "runs/badnets"
	base.Attack.Name, base.Attack.Output = "badnets", "models/badnets"
	if !equal(c, base) {
		t.Errorf("got  %+v\nwant %+v", c, base)
	}
}

// An environment variable must mean one key only, and never a reserved name.
func TestEnvNamesAreDistinct(t *testing.T) {
	seen := map[string]string{}
	for _, f := range schema().leaves() {
		name := EnvName(f.key)
		if other, ok := seen[name]; ok {
			t.Errorf("%s means %s and %s", name, other, f.key)
		}
		if slices.Contains(reservedEnv(), name) {
			t.Errorf("%s of %s is reserved", name, f.key)
		}
		seen[name] = f.key
	}
}
