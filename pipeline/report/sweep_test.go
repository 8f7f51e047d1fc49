package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ulrl/pipeline/metrics"
	"ulrl/pipeline/runstore"
)

// cleaned is a finished run by its seed, setting and ASR after.
func cleaned(name, setting string, seed uint64, asr float64) SweepRun {
	value := func(v float64) *float64 { return &v }
	return SweepRun{
		ID: fmt.Sprintf("%s-%d", name, seed), Name: name, Setting: setting, Seed: seed, Status: "done",
		Result: &runstore.Result{
			Name: name, Status: runstore.StatusComplete, Seed: seed, DER: value(0.9), Seconds: map[string]float64{"total": 10},
			Before: metrics.Scores{ACC: value(0.9), ASR: value(1), RA: value(0)},
			After:  metrics.Scores{ACC: value(0.88), ASR: value(asr), RA: value(0.8)},
			Layers: []runstore.Layer{{Name: "linear", Rows: 2, Rule: "mad", Scores: []float64{1, 5}, Selected: []int{1}, Threshold: 3}},
		},
		Epochs: []runstore.EpochEvent{{Phase: "unlearn", Epoch: 1, Loss: 1}, {Phase: "unlearn", Epoch: 2, Loss: 2}},
	}
}

func sample() Sweep {
	return Sweep{
		Folder: "s", Command: "ulrl sweep", Previews: map[string][]byte{"badnets": []byte("PNG")},
		Runs: []SweepRun{
			{ID: "attack-badnets-1", Name: "badnets", Status: "done", Attack: true},
			cleaned("badnets", "relearn.lr=0.01", 0, 0.1),
			cleaned("badnets", "relearn.lr=0.01", 1, 0.3),
			cleaned("badnets", "relearn.lr=0.02", 0, 0.5),
			{ID: "evil-0", Name: "evil<script>", Status: "failed", Error: "it | crashed <b>", Log: "logs/x"},
		},
	}
}

// Mean 0.2 and √((0.1² + 0.1²)/1) = 0.1414 over two seeds; one seed has no spread.
func TestSweepRowsByHand(t *testing.T) {
	rows := sample().Rows()
	if len(rows) != 3 {
		t.Fatalf("%+v", rows)
	}
	if got := rows[0].ASR.text(); got != "0.200 ± 0.141" || rows[0].Runs != 2 || rows[0].Unfinished != 0 {
		t.Errorf("%+v: %s", rows[0], got)
	}
	if got := rows[1].ASR.text(); got != "0.500" || rows[1].ASR.Std != nil {
		t.Errorf("%+v: %s", rows[1], got)
	}
	if rows[2].Runs != 0 || rows[2].Unfinished != 1 || rows[2].ACC.text() != missing {
		t.Errorf("%+v", rows[2])
	}
}

// A config may be called as attacks' jobs are.
func TestACleaningIsNoAttackByItsName(t *testing.T) {
	s := Sweep{Runs: []SweepRun{{ID: "attack-badnets-1", Name: "badnets", Attack: true}, cleaned("attack-badnets", "", 1, 0.1)}}
	if rows := s.Rows(); len(rows) != 1 || rows[0].Name != "attack-badnets" || rows[0].Runs != 1 {
		t.Errorf("%+v", rows)
	}
}

func TestSweepHTML(t *testing.T) {
	var out bytes.Buffer
	if err := SweepHTML(&out, sample()); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	for _, want := range []string{
		"4 cleanings of 2 configs: 4 of 5 jobs done, 1 failed", "it | crashed &lt;b&gt;", "0.200 ± 0.141",
		"data:image/png;base64,UE5H", "seed 1, relearn.lr=0.01: ACC 0.900 → 0.880, ASR 1.000 → 0.300", "threshold 3", "evil&lt;script&gt;",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, not := range []string{"ZgotmplZ", "http://", "https://", "<no value>", "evil<script>"} {
		if strings.Contains(page, not) {
			t.Errorf("the page has %q", not)
		}
	}
	if strings.Index(page, "Failures") > strings.Index(page, "Configs and settings") {
		t.Error("failures do not come first")
	}
}

// What differs between runs is told of all of them.
func TestSweepFacts(t *testing.T) {
	s := sample()
	for i := range s.Runs {
		if r := s.Runs[i].Result; r != nil {
			r.Versions.ULRL, r.Started = "1.0", fmt.Sprintf("2026-01-0%dT00:00:00Z", 9-i)
			r.Clean = runstore.Clean{Count: 100 * (1 + i/3), Of: 1000}
		}
	}
	want := []fact{{"Started", "2026-01-06T00:00:00Z"}, {"Clean samples", "100 of 1,000 (10 %); 200 of 1,000 (20 %)"}, {"ULRL", "1.0"}}
	if got := s.facts(); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestSweepTables(t *testing.T) {
	var md, table, numbers bytes.Buffer
	if err := SweepMarkdown(&md, sample()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`- **evil-0** (seed 0) failed: it \| crashed &lt;b>`, "| badnets | relearn.lr=0.01 | 2 | 0.900 ± 0.000 | 0.880 ± 0.000 | 1.000 ± 0.000 | 0.200 ± 0.141 |"} {
		if !strings.Contains(md.String(), want) {
			t.Errorf("Markdown lacks %q:\n%s", want, md.String())
		}
	}
	if err := SweepCSV(&table, sample()); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&table).ReadAll()
	if err != nil || len(lines) != 5 || strings.Join(lines[2], ",") != "badnets-1,badnets,relearn.lr=0.01,1,done,0.9,0.88,1,0.3,0,0.8,0.9,10," {
		t.Errorf("%v, %v", lines, err)
	}
	if err := SweepJSON(&numbers, sample()); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Rows     []SweepRow
		Failures []struct{ ID, Error string }
	}
	if err := json.Unmarshal(numbers.Bytes(), &got); err != nil || len(got.Rows) != 3 || got.Rows[0].ASR.N != 2 || got.Failures[0].ID != "evil-0" {
		t.Errorf("%+v, %v", got, err)
	}
}

// BenchmarkSweepHTML is the report of a thousand runs.
func BenchmarkSweepHTML(b *testing.B) {
	s := Sweep{Folder: "s"}
	for i := range 1000 {
		run := cleaned(fmt.Sprintf("attack%d", i%12), fmt.Sprintf("relearn.lr=%d", i/36), uint64(i%3), 0.1)
		run.Epochs = nil
		for e := range 40 {
			run.Epochs = append(run.Epochs, runstore.EpochEvent{Phase: []string{"unlearn", "relearn"}[e/20], Epoch: e%20 + 1, Loss: float64(e), Accuracy: 0.5})
		}
		run.Result.Layers[0].Scores = make([]float64, 10)
		s.Runs = append(s.Runs, run)
	}
	for b.Loop() {
		var out bytes.Buffer
		if err := SweepHTML(&out, s); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(out.Len())/1e6, "MB")
	}
}
