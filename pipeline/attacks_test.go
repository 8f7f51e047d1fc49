package pipeline

import (
	"context"
	"os"
	"testing"

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
		{"blended", []string{"attack.blended.alpha=0.3"}},
		{"blind", []string{"attack.train.epochs=24"}},
		{"sig", []string{"attack.sig.frequency=2"}},
		{"ftrojan", []string{"attack.ftrojan.magnitude=200", "attack.train.epochs=12"}},
		{"bpp", []string{"attack.bpp.levels=3", "attack.cross_ratio=0", "attack.poison_rate=0.2", "attack.train.epochs=12"}},
		{"wanet", []string{"attack.wanet.strength=3", "attack.cross_ratio=0", "attack.poison_rate=0.2", "attack.train.epochs=12"}},
		{"inputaware", []string{"attack.train.epochs=16", "attack.inputaware.mask_epochs=6", "attack.poison_rate=0.2"}},
		{"lc", []string{"attack.lc.epsilon=150", "attack.poison_rate=0.25", "attack.train.epochs=12"}},
		{"lf", []string{"attack.lf.bound=60", "attack.lf.updates=30"}},
		{"lira", []string{"attack.train.epochs=16", "attack.lira.generator_epochs=8", "attack.lira.lr=0.01", "attack.poison_rate=0.2"}},
		{"ssba", []string{"attack.ssba.epochs=20"}},
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
