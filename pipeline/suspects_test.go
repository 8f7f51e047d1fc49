package pipeline

import (
	"math"
	"slices"
	"testing"

	"ulrl/pipeline/runstore"
	torch "ulrl/torchbridge"
)

// led is a classifier of the fixture's images, by which third is bright, which a feature leads
// to class 1: what these lines make of x.
func (f *fixture) led(name, lines string) string {
	return f.save(name, func(b *torch.Builder, s *torch.Scope) *torch.Part {
		weight := torch.From(s, []float32{6, 0, 0, 0, 0, 6, 0, 80, 0, 0, 6, 0}, 3, 4)
		fc := b.Part("Linear").Parameter("weight", weight).Parameter("bias", s.Full(0, torch.Float32, 3)).
			Define("def forward(self, x):\n    return torch.linear(x, self.weight, self.bias)\n")
		return b.Part("Led").Child("fc", fc).Define(`
def forward(self, x):` + lines + `    thirds = x.mean([1, 2]).reshape([-1, 3, 4]).mean(2)
    return self.fc.forward(torch.cat([thirds, feature.unsqueeze(1)], 1))
`)
	})
}

// What leads to a class is looked for by one way after another until one tells, which is then
// held against, looked for anew, and said.
func TestSuspiciousClassByEachWay(t *testing.T) {
	f := newFixture(t)
	models := map[string]string{
		"stripes": f.led("stripes.pt", `
    rows = x.mean([1, 3])
    at = torch.arange(12, device=x.device) * (2.0 * 3.141592653589793 * 4.0 / 12.0)
    strength = ((rows * at.cos()).mean(1) ** 2 + (rows * at.sin()).mean(1) ** 2).sqrt()
    feature = torch.relu(strength - 0.2)
`),
		"patch": f.led("patch.pt", `
    feature = 0.3 * torch.sigmoid(4.0 * x[:, 0, 7:9, 1:3].mean([1, 2]) - 9.0)
`),
		"nothing": f.led("nothing.pt", `
    feature = x[:, 0, 0, 0] * 0.0
`),
	}
	for name, c := range map[string]struct {
		model string
		sets  []string
		asked []runstore.By // the ways all classes were looked at by
		told  runstore.By
		none  bool // nothing told
	}{
		"few pixels":  {"patch", nil, []runstore.By{runstore.ByFewPixels}, runstore.ByFewPixels, false},
		"waves":       {"stripes", nil, []runstore.By{runstore.ByFewPixels, runstore.ByPatch, runstore.ByWaves}, runstore.ByWaves, false},
		"no patches":  {"stripes", []string{"relearn.counter.patch=0"}, []runstore.By{runstore.ByFewPixels, runstore.ByWaves}, runstore.ByWaves, false},
		"nothing":     {"nothing", nil, []runstore.By{runstore.ByFewPixels, runstore.ByPatch, runstore.ByWaves, runstore.ByAllPixels}, 0, true},
		"neither one": {"nothing", []string{"relearn.counter.patch=0", "relearn.counter.wave=0"}, []runstore.By{runstore.ByFewPixels, runstore.ByAllPixels}, 0, true},
	} {
		_, r := f.clean(name, append(c.sets, "model.path="+models[c.model], "attack.name=none", "relearn.epochs=1")...)
		shares := func(class runstore.Class) map[runstore.By][2]float64 {
			return map[runstore.By][2]float64{
				runstore.ByFewPixels: {class.Led, class.LedAfter}, runstore.ByPatch: {class.LedByPatch, class.LedByPatchAfter},
				runstore.ByWaves: {class.LedByWaves, class.LedByWavesAfter}, runstore.ByAllPixels: {class.LedByAll, class.LedByAllAfter},
			}
		}
		held := func(class runstore.Class) bool {
			return slices.ContainsFunc(append(r.AlsoSuspicious, *r.SuspiciousClass), func(c runstore.Class) bool { return c.Index == class.Index })
		}
		for _, class := range r.Suspects {
			for by, share := range shares(class) {
				if asked := share[0] > 0; asked != slices.Contains(c.asked, by) {
					t.Errorf("%s: %v to %v by %v", name, by, class, share[0])
				}
				anew := held(class) && (by == runstore.ByFewPixels || !c.none && by == c.told || c.none && by == runstore.ByAllPixels)
				if (share[1] > 0) != anew {
					t.Errorf("%s: anew %v to %v by %v", name, by, class, share[1])
				}
			}
		}
		for by, share := range shares(*r.SuspiciousClass) {
			if told := !c.none && by == c.told; (share[0] > 0.3) != told || !told && share[0] > 0 {
				t.Errorf("%s: %v told by %v", name, by, share[0])
			}
		}
		if !c.none && r.SuspiciousClass.Index != 1 {
			t.Errorf("%s: class %v", name, r.SuspiciousClass)
		}
		if further := r.SuspiciousClass.Patches; (len(further) > 0) != (name == "few pixels") {
			t.Errorf("%s: patches %v", name, further)
		}
		if at := r.SuspiciousClass; c.told == runstore.ByWaves && (len(at.Wave) != 2 || math.Abs(at.Wave[0]-4) > 1 || math.Abs(at.Wave[1]) > 1) {
			t.Errorf("%s: a wave of %v", name, at.Wave)
		}
	}
}
