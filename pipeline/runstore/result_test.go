package runstore

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"ulrl/pipeline/metrics"
)

func ptr(v float64) *float64 { return &v }

func fullResult() *Result {
	return &Result{
		Name: "badnets", Status: StatusComplete, Error: "none",
		Before: metrics.Scores{ACC: ptr(0.908), ASR: ptr(0.993), RA: ptr(0), CleanImages: 10000, TriggeredImages: 9000, MeasuredOn: "test"},
		After:  metrics.Scores{ACC: ptr(0.885), ASR: ptr(0), RA: nil},
		DER:    ptr(0.985),
		Suspicious: []Neuron{
			{Layer: "linear.weight", Index: 3, Score: 1.25, Z: ptr(7.5)},
			{Layer: "linear.weight", Index: 4, Score: 1},
		},
		Layers: []Layer{{
			Name: "linear.weight", Rows: 3, Rule: "mad", Median: 0.5, MAD: 0.125, Note: "n", Threshold: 1.14, Scores: []float64{0.5, 1.25, 0.375}, Selected: []int{1},
		}},
		Seconds:  map[string]float64{"total": 12.5},
		Versions: Versions{ULRL: "1", Go: "go1", Libtorch: "2"},
		Machine:  Machine{OS: "linux", CPU: "c", Cores: 2, Device: "cpu", Threads: 2},
		Seed:     math.MaxUint64,
		Inputs:   map[string]Input{"model": {Path: "m.pt", SHA256: "ab"}},
		Clean:    Clean{Count: 2, Of: 200, Drawn: []int{3, 5}},
		Warnings: []string{"w <&>"}, Started: "2026-01-01T00:00:00Z", Command: []string{"ulrl", "run"},
		Files: map[string]string{"model": "cleaned.pt"},
	}
}

func TestResultRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	want := fullResult()
	if err := create(t, dir).Finish(StatusComplete, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadResult(dir)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read back %+v, %v", got, err)
	}
}

// TestResultNames holds the names that other programs read.
func TestResultNames(t *testing.T) {
	data, err := json.Marshal(fullResult())
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{
		"name", "status", "error", "before.acc", "before.asr", "before.ra", "before.clean_images", "before.triggered_images",
		"before.measured_on", "after.acc", "after.asr", "after.ra", "der", "suspicious.0.layer", "suspicious.0.index",
		"suspicious.0.score", "suspicious.0.z", "suspicious.1.z", "layers.0.name", "layers.0.rows", "layers.0.rule",
		"layers.0.median", "layers.0.mad", "layers.0.threshold", "layers.0.note", "layers.0.scores.1", "layers.0.selected.0",
		"seconds.total", "versions.ulrl", "versions.go", "versions.libtorch", "machine.os", "machine.cpu", "machine.cores",
		"machine.device", "machine.threads", "seed", "inputs.model.path", "inputs.model.sha256", "clean.count", "clean.of",
		"clean.drawn.1", "warnings.0", "started", "command.0", "files.model",
	} {
		var at any
		if err := json.Unmarshal(data, &at); err != nil {
			t.Fatal(err)
		}
		for key := range strings.SplitSeq(path, ".") {
			found := false
			switch v := at.(type) {
			case map[string]any:
				at, found = v[key]
			case []any:
				if i, err := strconv.Atoi(key); err == nil && i < len(v) {
					at, found = v[i], true
				}
			}
			if !found {
				t.Errorf("%s: no %s", path, key)
				break
			}
		}
	}
}

func TestEmptyResult(t *testing.T) {
	data, err := json.Marshal(Result{Layers: []Layer{{}}})
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, want := range []string{`"suspicious":[]`, `"seconds":{}`, `"inputs":{}`, `"drawn":[]`, `"warnings":[]`, `"command":[]`,
		`"files":{}`, `"selected":[]`, `"scores":[]`, `"der":null`, `"acc":null`, `"asr":null`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}

func TestResultDiverged(t *testing.T) {
	inf := math.Inf(1)
	want := Result{
		Status: StatusFailed, DER: ptr(math.NaN()), Raised: inf, SuspiciousClass: &Class{Led: math.NaN()}, Suspects: []Class{{Index: 1, Led: inf}}, Suspicious: []Neuron{{Score: inf, Z: ptr(inf)}},
		Layers: []Layer{{Median: inf, MAD: math.NaN(), Threshold: inf, Scores: []float64{1, math.NaN(), inf}}},
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Result
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	layer := got.Layers[0]
	for i, v := range []float64{got.Suspicious[0].Score, layer.Median, layer.MAD, layer.Threshold, layer.Scores[1], layer.Scores[2]} {
		if !math.IsNaN(v) {
			t.Errorf("number %d: %v", i, v)
		}
	}
	if got.Raised != 0 || !reflect.DeepEqual(*got.SuspiciousClass, Class{}) || !reflect.DeepEqual(got.Suspects, []Class{{Index: 1}}) {
		t.Errorf("read back %v, %+v, %+v", got.Raised, *got.SuspiciousClass, got.Suspects)
	}
	if got.DER != nil || got.Suspicious[0].Z != nil || layer.Scores[0] != 1 {
		t.Errorf("read back %+v", got)
	}
}

func TestZ(t *testing.T) {
	mad := Layer{Rule: "mad", Median: 1, MAD: 0.5, Scores: []float64{1, 2.4826, 0, math.NaN()}}
	flat := Layer{Rule: "mad", Median: 1, Scores: []float64{1}}
	ratio := Layer{Rule: "ratio", Median: 1, MAD: 0.5, Scores: []float64{1}}
	diverged := Layer{Rule: "mad", Median: math.NaN(), MAD: math.NaN(), Scores: []float64{1}}
	for name, c := range map[string]struct {
		layer Layer
		row   int
		want  *float64
	}{
		"median": {mad, 0, ptr(0)}, "above": {mad, 1, ptr(2)}, "below": {mad, 2, ptr(1 / 0.7413)}, "not a number": {mad, 3, nil},
		"negative row": {mad, -1, nil}, "no such row": {mad, 4, nil}, "MAD 0": {flat, 0, nil}, "ratio": {ratio, 0, nil}, "diverged": {diverged, 0, nil},
	} {
		got := c.layer.Z(c.row)
		if (got == nil) != (c.want == nil) || got != nil && math.Abs(*got-*c.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestWriteNeurons(t *testing.T) {
	r := create(t, filepath.Join(t.TempDir(), "run"))
	layers := []Layer{
		{Name: `odd, "name"` + "\nx", Rule: "mad", Median: 1, MAD: 0.5, Threshold: 3.594, Scores: []float64{1, 4.7065}, Selected: []int{1, 99}},
		{Name: "flat", Rule: "ratio", Scores: []float64{0.1}, Selected: []int{0}},
		{Name: "empty"},
	}
	if err := r.WriteNeurons(layers); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(r.Path(FileNeurons))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	got, err := csv.NewReader(f).ReadAll()
	want := [][]string{
		{"layer", "index", "score", "z", "threshold", "suspicious"},
		{layers[0].Name, "0", "1", "0", "3.594", "false"},
		{layers[0].Name, "1", "4.7065", decimal(*layers[0].Z(1)), "3.594", "true"},
		{"flat", "0", "0.1", "", "", "true"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, %v", got, err)
	}
}
