package runstore

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ulrl/pipeline/fault"
)

func TestEventLines(t *testing.T) {
	r := create(t, filepath.Join(t.TempDir(), "run"))
	want := []EpochEvent{
		{Kind: KindEpoch, Phase: "unlearn", Epoch: 1, LR: 0.01, Loss: 3.25, Accuracy: 0.5, Seconds: 1.5},
		{Kind: KindEpoch, Phase: "relearn", Epoch: 1, LR: 0.005, Loss: 0.25, Accuracy: 1, Cosine: -0.5},
	}
	for _, v := range []any{PhaseEvent{Kind: KindPhase, Phase: "unlearn", State: PhaseStart}, want[0], &want[1]} {
		if err := r.Event(v); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(r.Path(FileEvents))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines: %s", len(lines), data)
	}
	for _, line := range lines {
		var event struct{ Time, Kind string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(line, `{"time":"`) || event.Kind == "" {
			t.Errorf("time first, then kind: %s", line)
		}
		if _, err := time.Parse(time.RFC3339Nano, event.Time); err != nil {
			t.Error(err)
		}
	}
	got, err := ReadEpochs(r.dir)
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("read back %+v, %v", got, err)
	}
}

func TestEventDiverged(t *testing.T) {
	r := create(t, filepath.Join(t.TempDir(), "run"))
	for _, loss := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		if err := r.Event(EpochEvent{Kind: KindEpoch, Phase: "relearn", Loss: loss, Accuracy: 0.1, Cosine: math.NaN()}); err != nil {
			t.Fatal(err)
		}
	}
	epochs, err := ReadEpochs(r.dir)
	if err != nil || len(epochs) != 3 {
		t.Fatalf("%+v, %v", epochs, err)
	}
	for _, e := range epochs {
		if !math.IsNaN(e.Loss) || e.Accuracy != 0.1 || !math.IsNaN(e.Cosine) {
			t.Errorf("read back %+v", e)
		}
	}
}

func TestEventRefuses(t *testing.T) {
	r := create(t, filepath.Join(t.TempDir(), "run"))
	for name, v := range map[string]any{
		"null": nil, "a list": []int{1}, "a number": 1, "no JSON": func() {}, "no kind": map[string]int{"a": 1},
		"its own time": map[string]string{"kind": "x", "time": "y"}, "a kind that is no text": map[string]int{"kind": 1},
	} {
		if err := r.Event(v); err == nil {
			t.Errorf("%s was written", name)
		}
	}
	if events, err := ReadEvents(r.dir); err != nil || events != nil {
		t.Errorf("%q, %v", events, err)
	}
}

func TestReadEvents(t *testing.T) {
	const a, b = `{"kind":"epoch","epoch":1}`, `{"kind":"phase"}`
	for name, c := range map[string]struct {
		content string
		events  int
		epochs  int
		want    string
	}{
		"empty":          {"", 0, 0, ""},
		"whole":          {a + "\n" + b + "\n", 2, 1, ""},
		"no last end":    {a + "\n" + b, 2, 1, ""},
		"torn last line": {a + "\n" + `{"kind":"ep`, 1, 1, ""},
		"only a torn":    {`{"ki`, 0, 0, ""},
		"empty lines":    {a + "\n\n" + a + "\n", 2, 2, ""},
		"broken inside":  {a + "\nxx\n" + b + "\n", 0, 0, "events.jsonl:2"},
		"broken end":     {a + "\n{\n", 0, 0, "events.jsonl:2"},
		"other kinds":    {`{"kind":"later","epoch":"x"}` + "\n5\n", 2, 0, ""},
		"a wrong type":   {`{"kind":"epoch","epoch":"x"}` + "\n", 1, 0, "an event of kind \"epoch\" cannot be read"},
	} {
		dir := t.TempDir()
		put(t, dir, FileEvents, c.content)
		events, err := ReadEvents(dir)
		if err == nil {
			var epochs []EpochEvent
			if epochs, err = ReadEpochs(dir); len(epochs) != c.epochs {
				t.Errorf("%s: %d epochs, want %d", name, len(epochs), c.epochs)
			}
		}
		if len(events) != c.events {
			t.Errorf("%s: %d events, want %d", name, len(events), c.events)
		}
		if (err != nil) != (c.want != "") || err != nil && (!fault.IsMisuse(err) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if events, err := ReadEvents(t.TempDir()); err != nil || events != nil {
		t.Errorf("no file: %v, %v", events, err)
	}
}
