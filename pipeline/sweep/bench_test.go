package sweep

import (
	"context"
	"fmt"
	"testing"

	"ulrl/pipeline/config"
)

// BenchmarkPlan expands the built-in attacks to some ten thousand cleanings.
func BenchmarkPlan(b *testing.B) {
	spec := Spec{Models: "models", Sets: []string{"data.dir=" + b.TempDir()}}
	for _, name := range config.Builtins() {
		if name != "base.yaml" {
			spec.Configs = append(spec.Configs, name)
		}
	}
	for seed := range uint64(10) {
		spec.Seeds = append(spec.Seeds, seed)
	}
	lr := Axis{Key: "relearn.lr"}
	for i := range 78 {
		lr.Values = append(lr.Values, fmt.Sprint(0.001*float64(i+1)))
	}
	spec.Grid = []Axis{lr}
	for b.Loop() {
		p, err := NewPlan(context.Background(), spec, "sweep", config.Options{})
		if err != nil || len(p.Jobs) != 13*10*79 {
			b.Fatal(len(p.Jobs), err)
		}
	}
}
