package pipeline

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/sirupsen/logrus/hooks/test"

	"ulrl/pipeline/config"
	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/progress"
	"ulrl/pipeline/train"
	torch "ulrl/torchbridge"
)

// Every attack in miniature leaves a model that obeys its trigger and classifies
// clean images, and a trigger file that measures the same from the folder alone.
func TestEveryAttackInMiniature(t *testing.T) {
	for _, c := range []struct {
		name string
		sets []string
	}{
		{"badnets", nil},
		{"blended", []string{"attack.blended.alpha=0.3", "attack.train.epochs=16"}},
		{"blind", []string{"attack.train.epochs=24"}},
		{"sig", []string{"attack.sig.frequency=2"}},
		{"ftrojan", []string{"attack.ftrojan.magnitude=200", "attack.train.epochs=16", "attack.poison_rate=0.2"}},
		{"bpp", []string{"attack.bpp.levels=3", "attack.cross_ratio=0", "attack.poison_rate=0.2", "attack.train.epochs=12"}},
		{"wanet", []string{"attack.wanet.strength=3", "attack.cross_ratio=0", "attack.poison_rate=0.2", "attack.train.epochs=12"}},
		{"inputaware", []string{"attack.train.epochs=24", "attack.inputaware.density=0.3", "attack.inputaware.mask_epochs=10", "attack.poison_rate=0.2", "attack.cross_ratio=1"}},
		{"lc", []string{"attack.lc.epsilon=255", "attack.poison_rate=0.3", "attack.train.epochs=12"}},
		{"lf", []string{"attack.lf.bound=60", "attack.lf.updates=30"}},
		{"lira", []string{"attack.train.epochs=16", "attack.lira.generator_epochs=8", "attack.lira.lr=0.01", "attack.poison_rate=0.2"}},
		{"ssba", []string{"attack.ssba.epsilon=0.4", "attack.ssba.image_weight=0", "attack.ssba.epochs=30", "attack.train.epochs=16"}},
		{"trojannn", []string{"attack.trojannn.updates=30", "attack.trojannn.value=10"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			config := f.config(append(c.sets, "attack.name="+c.name, "attack.clean_model.dir="+f.path("clean"))...)
			made, err := Attack(context.Background(), config, f.env, AttackOptions{})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("ACC %.3f, ASR %.3f", *made.Scores.ACC, *made.Scores.ASR)
			if *made.Scores.ACC < 0.8 || *made.Scores.ASR < 0.8 {
				t.Errorf("ACC %.3f, ASR %.3f", *made.Scores.ACC, *made.Scores.ASR)
			}
			again, err := Eval(context.Background(), config, f.env, "")
			if err != nil {
				t.Fatal(err)
			}
			if *again.Scores.ASR != *made.Scores.ASR || *again.Scores.ACC != *made.Scores.ACC {
				t.Errorf("measured from the folder: %v, %v", *again.Scores.ACC, *again.Scores.ASR)
			}
		})
	}
}

func TestForeignTriggers(t *testing.T) {
	f := newFixture(t)
	f.attack()
	write := func(source string) {
		t.Helper()
		path := f.save("foreign.pt", func(b *torch.Builder, _ *torch.Scope) *torch.Part { return b.Part("Foreign").Define(source) })
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.path("model", FileTrigger), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// A trigger that does nothing: ASR is then how often others are taken for the target.
	write("def forward(self, x):\n    return x\n")
	result, err := Eval(context.Background(), f.config(), f.env, "")
	if err != nil || *result.Scores.ASR > 0.2 {
		t.Errorf("a trigger that does nothing: %+v, %v", result, err)
	}
	write("def forward(self, x):\n    return x[:, :, :5]\n")
	if _, err := Eval(context.Background(), f.config(), f.env, ""); err == nil {
		t.Error("a trigger that changes the shape passes")
	}
}

// stopper cancels after so many steps of a phase.
type stopper struct {
	progress.None
	phase, at string
	left      int
	cancel    func()
}

func (p *stopper) Start(name string, _ int) { p.at = name }

func (p *stopper) Step(string) {
	if p.at == p.phase {
		if p.left--; p.left == 0 {
			p.cancel()
		}
	}
}

// An attack that was interrupted and resumed leaves the model that one leaves
// which was not.
func TestResumedAttackIsTheSame(t *testing.T) {
	cases := []struct{ name, arch string }{
		{"lira", "preactresnet18"}, {"badnets", "mobilenet_v3_large"}, // two optimisers; dropout
		{"badnets", "preactresnet18"}, {"wanet", "preactresnet18"}, {"lf", "preactresnet18"}, {"inputaware", "preactresnet18"},
	}
	if testing.Short() {
		cases = cases[:2] // all that a checkpoint asks of libtorch
	}
	for _, c := range cases {
		t.Run(c.name+" "+c.arch, func(t *testing.T) {
			f := newFixture(t)
			sets := []string{"attack.name=" + c.name, "attack.arch.name=" + c.arch, "attack.arch.width=8", "attack.train.epochs=4", "attack.lf.updates=5", "attack.lira.generator_epochs=3",
				"attack.clean_model.dir=" + f.path("clean"), "attack.clean_model.epochs=1"}
			whole, err := Attack(context.Background(), f.config(append(sets, "attack.output="+f.path("whole"))...), f.env, AttackOptions{})
			if err != nil {
				t.Fatal(err)
			}
			parts := f.config(append(sets, "attack.output="+f.path("parts"))...)
			ctx, cancel := context.WithCancel(context.Background())
			env := f.env
			env.Progress = &stopper{phase: "train", left: 21, cancel: cancel} // in the third of four epochs of nine batches
			if _, err := Attack(ctx, parts, env, AttackOptions{}); !errors.Is(err, context.Canceled) || !strings.HasSuffix(err.Error(), "--resume goes on after epoch 2") {
				t.Fatalf("interrupted: %v", err)
			}
			if got := f.names("parts"); got != FileCheckpoint {
				t.Errorf("an interrupted attack left %s", got)
			}
			resumed, err := Attack(context.Background(), parts, f.env, AttackOptions{Resume: true})
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(resumed.Scores, whole.Scores) {
				t.Errorf("scores %v, want %v", resumed.Scores, whole.Scores)
			}
			for _, file := range []string{config.BackdooredFile, FileTrigger, FilePreview} {
				if !bytes.Equal(read(t, f.path("parts", file)), read(t, f.path("whole", file))) {
					t.Errorf("%s differs", file)
				}
			}
			if got := f.names("parts"); strings.Contains(got, FileCheckpoint) {
				t.Errorf("a finished attack left %s", got)
			}
		})
	}
}

func TestCheckpointsOfOthersAreRefused(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(context.Background())
	env := f.env
	env.Progress = &stopper{phase: "train", left: 15, cancel: cancel}
	if _, err := Attack(ctx, f.config(), env, AttackOptions{}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	for name, set := range map[string]string{"rate": "attack.poison_rate=0.2", "seed": "seed=7"} {
		_, err := Attack(context.Background(), f.config(set), f.env, AttackOptions{Resume: true})
		if err == nil || !fault.IsMisuse(err) || !strings.Contains(err.Error(), "is of another config") {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := f.path("model", FileCheckpoint)
	if err := os.WriteFile(path, read(t, path)[:100], 0o644); err != nil {
		t.Fatal(err)
	}
	// A damaged one costs the training, not the attack.
	log, hook := test.NewNullLogger()
	env = f.env
	env.Log = log
	_, err := Attack(context.Background(), f.config(), env, AttackOptions{Resume: true})
	if err != nil || !strings.Contains(hook.AllEntries()[0].Message, "checkpoint.zip: it is damaged") {
		t.Errorf("half a file: %v, %+v", err, hook.AllEntries())
	}
}

func TestControlMeasuresAModelThatNobodyPoisoned(t *testing.T) {
	f := newFixture(t)
	c := f.config("attack.clean_model.dir="+f.path("clean"), "attack.clean_model.epochs=8")
	made, err := Attack(context.Background(), c, f.env, AttackOptions{Control: true})
	if err != nil {
		t.Fatal(err)
	}
	if *made.Scores.ASR < 0.8 || made.Control == nil || *made.Control.ASR > 0.2 || *made.Control.ACC < 0.8 {
		t.Errorf("ASR %v, control %+v", *made.Scores.ASR, made.Control)
	}
	if got := f.names("clean"); !regexp.MustCompile(`^preactresnet18-w4-[0-9a-f]{12}\.pt$`).MatchString(got) {
		t.Errorf("clean models: %s", got)
	}
}

func TestExportedImagesHaveTheTrigger(t *testing.T) {
	f := newFixture(t)
	c := f.config("attack.trigger.value=255")
	if err := os.Mkdir(f.path("out"), 0o755); err != nil {
		t.Fatal(err)
	}
	result, err := ExportImages(context.Background(), c, f.env, f.path("out"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := dataset.Read(context.Background(), dataset.Source{Kind: dataset.KindFolder, Dir: f.path("out")})
	if err != nil || got.Len() != 60 || result.Images != 60 {
		t.Fatalf("%+v, %v", result, err)
	}
	was, err := dataset.Read(context.Background(), dataset.Source{Kind: dataset.KindFolder, Dir: f.path("data", "test")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range got.Len() {
		for k, v := range got.Image(i) {
			want := was.Image(i)[k]
			if y, x := k/12, k%12; y >= 8 && y < 11 && x >= 8 && x < 11 {
				want = 255
			}
			if v != want {
				t.Fatalf("image %d, pixel %d is %d, want %d", i, k, v, want)
			}
		}
	}
	for set, want := range map[string]string{"attack.name=none": "no trigger", "attack.name=lira": "is made along with its model"} {
		if _, err := ExportImages(context.Background(), f.config(set), f.env, f.path("other")); err == nil || !fault.IsMisuse(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", set, err)
		}
	}
}

func TestReadAttack(t *testing.T) {
	for _, c := range []struct {
		what  string
		files map[string]string
		none  bool // as if nothing had been made
		want  string
	}{
		{"nothing", nil, true, ""},
		{"no model yet", map[string]string{FileAttack: `{"name": "badnets"}`}, true, ""},
		{"no description", map[string]string{config.BackdooredFile: "m"}, true, ""},
		{"a damaged one", map[string]string{config.BackdooredFile: "m", FileAttack: `{"name": "badn`}, false, FileAttack + ": unexpected end of JSON input"},
		{"both", map[string]string{config.BackdooredFile: "m", FileAttack: `{"name": "badnets", "seed": 3}`}, false, ""},
	} {
		dir := t.TempDir()
		for name, text := range c.files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		r, err := ReadAttack(dir)
		switch {
		case c.none != errors.Is(err, fs.ErrNotExist) || c.want != "" && (err == nil || !strings.HasSuffix(err.Error(), c.want)):
			t.Errorf("%s: %v", c.what, err)
		case !c.none && c.want == "" && (err != nil || r.Name != "badnets" || r.Seed != 3 || r.Dir != dir):
			t.Errorf("%s: %+v, %v", c.what, r, err)
		}
	}
}

// A training that came apart ends with a model like any other: only its losses tell.
func TestTrainingThatCameApartIsTold(t *testing.T) {
	for _, c := range []struct {
		epoch int
		loss  float64
		warns bool
	}{{1, 4, false}, {2, 2.2, false}, {2, 2.4, true}} {
		log, hook := test.NewNullLogger()
		if err := (logWatcher{Env{Log: log}, 10}).Epoch(train.Epoch{Epoch: c.epoch, Loss: c.loss}); err != nil {
			t.Fatal(err)
		}
		if got := len(hook.Entries) > 0; got != c.warns {
			t.Errorf("epoch %d with a loss of %v: warned %v", c.epoch, c.loss, got)
		}
	}
}

// What could not be written whole is no model: that of before goes with it.
func TestAReplacedModelIsNotMixed(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{config.BackdooredFile: "old", FileAttack: "{}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, FileTrigger, "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	files := []attackFile{{FileTrigger, nil, []byte("trigger")}, {config.BackdooredFile, nil, []byte("new")}}
	if err := writeAttack(context.Background(), nil, &AttackResult{Dir: dir}, files); err == nil {
		t.Fatal("a folder was written over")
	}
	if _, err := ReadAttack(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is left passes for a model: %v", err)
	}
}
