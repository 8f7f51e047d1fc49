package sweep

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"ulrl/pipeline/config"
	"ulrl/pipeline/metrics"
	"ulrl/pipeline/runstore"
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

// thousand is a sweep of a thousand finished cleanings, on disk.
func thousand(b *testing.B) (*Store, *Plan) {
	b.Helper()
	dir := b.TempDir()
	model := filepath.Join(dir, "model.pt")
	if err := os.WriteFile(model, []byte("model"), 0o600); err != nil {
		b.Fatal(err)
	}
	spec := Spec{Configs: []string{"badnets.yaml"}, Models: "models", Sets: []string{"data.dir=" + dir, "model.path=" + model}}
	for seed := range uint64(1000) {
		spec.Seeds = append(spec.Seeds, seed)
	}
	folder := filepath.Join(dir, "sweep")
	p, err := NewPlan(b.Context(), spec, folder, config.Options{})
	if err != nil || len(p.Jobs) != 1000 {
		b.Fatal(len(p.Jobs), err)
	}
	s, err := OpenStore(folder)
	if err == nil {
		err = s.SavePlan(p)
	}
	if err != nil {
		b.Fatal(err)
	}
	share := 0.9
	for _, job := range p.Jobs {
		run, err := runstore.Create(job.Dir, runstore.Options{})
		if err != nil {
			b.Fatal(err)
		}
		for e := range 40 {
			event := runstore.EpochEvent{Kind: runstore.KindEpoch, Phase: []string{"unlearn", "relearn"}[e/20], Epoch: e%20 + 1, Loss: 0.5, Accuracy: 0.8, Seconds: 1}
			if err := run.Event(event); err != nil {
				b.Fatal(err)
			}
		}
		scores := metrics.Scores{ACC: &share, ASR: &share, RA: &share, CleanImages: 10000, TriggeredImages: 9000, MeasuredOn: "test"}
		result := &runstore.Result{
			Name: job.Name, Seed: job.Seed, Before: scores, After: scores, DER: &share, Clean: runstore.Clean{Count: 600, Of: 60000, Drawn: make([]int, 600)},
			Layers: []runstore.Layer{{Name: "linear", Rows: 10, Rule: "mad", Scores: make([]float64, 10), Selected: []int{0}}}, Seconds: map[string]float64{"total": 30},
		}
		if err := run.Finish(runstore.StatusComplete, result); err != nil {
			b.Fatal(err)
		}
		if err := s.setState(job, State{Status: StatusDone, Attempts: 1}); err != nil {
			b.Fatal(err)
		}
	}
	return s, p
}

// BenchmarkStatus is how a thousand finished runs stand, from their folder.
func BenchmarkStatus(b *testing.B) {
	s, _ := thousand(b)
	for b.Loop() {
		again, p, err := ReadStore(s.dir)
		if err != nil {
			b.Fatal(err)
		}
		states, err := again.States(b.Context(), p)
		if err != nil || len(states) != 1000 || states[999].Status != StatusDone {
			b.Fatal(len(states), err)
		}
	}
}

// BenchmarkReport is their report, from their folder to the page in it.
func BenchmarkReport(b *testing.B) {
	s, p := thousand(b)
	for b.Loop() {
		path, err := s.WriteReport(b.Context(), p)
		if err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/1e6, "MB")
	}
}
