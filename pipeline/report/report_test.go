package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"ulrl/pipeline/metrics"
	"ulrl/pipeline/runstore"
)

func ptr(v float64) *float64 { return &v }

// badnets is the result of a run that went well.
func badnets() *runstore.Result {
	scores := []float64{2.81, 1.72, 1.55, 6.2, 2.34, 2.13, 2.05, 1.99, 1.97, 1.75}
	layer := runstore.Layer{Name: "linear.weight", Rows: 10, Rule: "mad", Median: 1.99, MAD: 0.26, Threshold: 3.339, Scores: scores, Selected: []int{3}}
	return &runstore.Result{
		Name: "badnets", Status: runstore.StatusComplete,
		Before: metrics.Scores{ACC: ptr(.9081), ASR: ptr(.9928), RA: ptr(.0066), CleanImages: 10000, TriggeredImages: 9000, MeasuredOn: "test"},
		After:  metrics.Scores{ACC: ptr(.8852), ASR: ptr(.0002), RA: ptr(.8731), CleanImages: 10000, TriggeredImages: 9000, MeasuredOn: "test"},
		DER:    ptr(.9849), Layers: []runstore.Layer{layer},
		Suspicious: []runstore.Neuron{{Layer: "linear.weight", Index: 3, Score: 6.2, Z: layer.Z(3)}},
		Seconds:    map[string]float64{"load": 0.31, "unlearn": 11.25, "relearn": 8.13, "total": 221.7},
		Versions:   runstore.Versions{ULRL: "v0.1.0", Go: "go1.24.1", Libtorch: "1.13.1"},
		Machine:    runstore.Machine{OS: "linux/amd64", CPU: "A Fast One", Cores: 2, Device: "cpu", Threads: 4},
		Seed:       math.MaxUint64,
		Inputs:     map[string]runstore.Input{"model": {Path: "models/m.pt", SHA256: strings.Repeat("ab", 32)}},
		Clean:      runstore.Clean{Count: 600, Of: 60000},
		Warnings:   []string{"the model was traced"},
		Started:    "2026-03-01T12:30:05+01:00",
		Command:    []string{"ulrl", "run", "--out", "my demo"},
		Files:      map[string]string{"model": "cleaned.pt"},
	}
}

func someEpochs() []runstore.EpochEvent {
	return []runstore.EpochEvent{
		{Kind: "epoch", Phase: "unlearn", Epoch: 1, LR: 0.01, Loss: 0.4321, Accuracy: 0.91, Seconds: 0.5},
		{Kind: "epoch", Phase: "unlearn", Epoch: 2, LR: 0.01, Loss: 5.25, Accuracy: 0.11, Seconds: 0.5},
		{Kind: "epoch", Phase: "relearn", Epoch: 1, LR: 0.005, Loss: 0.777, Accuracy: 0.654, Cosine: -0.125, Seconds: 0.5},
	}
}

// element is one start tag of a page, with the text before the next tag.
type element struct {
	name string
	attr map[string]string
	text string
}

// render makes the page and parses it as XML, which it is meant to be as well:
// no parser is stricter about what hostile text could break.
func render(t *testing.T, r *runstore.Result, epochs []runstore.EpochEvent) (elements []element, text string) {
	t.Helper()
	var page bytes.Buffer
	if err := HTML(&page, r, epochs); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for d := xml.NewDecoder(&page); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return elements, all.String()
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v", err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := element{name: token.Name.Local, attr: map[string]string{}}
			for _, a := range token.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			elements = append(elements, e)
		case xml.CharData:
			all.Write(token)
			all.WriteByte(' ')
			if n := len(elements); n > 0 {
				elements[n-1].text += string(token)
			}
		}
	}
}

func count(elements []element, name, class string) int {
	n := 0
	for _, e := range elements {
		if e.name == name && e.attr["class"] == class {
			n++
		}
	}
	return n
}

func TestPageHasEveryNumber(t *testing.T) {
	_, text := render(t, badnets(), someEpochs())
	for _, want := range []string{
		"Backdoor gone: ASR 0.993\u00a0→\u00a00.000, accuracy 0.908\u00a0→\u00a00.885", "badnets", "1 March 2026, 12:30",
		"0.908", "0.885", "−0.023", "0.993", "0.000", "−0.993", "0.007", "0.873", "+0.866", "0.985",
		"10,000 clean test images", "9,000 triggered images",
		"6.200", "10.92", "threshold 3.339", "median 1.99", "MAD 0.26", "Rule mad",
		"0.4321", "5.250", "0.01", "0.005", "0.910", "0.110", "0.654", "−0.1250", "Unlearning", "Relearning",
		"0.31 s", "11.2 s", "8.1 s", "3 min 42 s",
		"models/m.pt", strings.Repeat("ab", 32), "v0.1.0", "go1.24.1", "1.13.1", "linux/amd64", "A Fast One",
		"18446744073709551615", "600 of 60,000 (1 %)", "ulrl run --out 'my demo'", "the model was traced", "cleaned.pt",
		"2026-03-01T12:30:05+01:00", "complete",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

func TestPageIsSelfContained(t *testing.T) {
	elements, text := render(t, badnets(), someEpochs())
	for _, e := range elements {
		if slices.Contains([]string{"script", "link", "img", "iframe", "object", "embed", "base", "form", "use", "image", "a"}, e.name) {
			t.Errorf("there is a <%s>", e.name)
		}
		for name, value := range e.attr {
			if slices.Contains([]string{"id", "href", "src", "srcset", "action", "data"}, name) || strings.HasPrefix(name, "on") {
				t.Errorf("<%s> has %s=%q", e.name, name, value)
			}
			if strings.Contains(value, "://") || strings.Contains(value, "url(") {
				t.Errorf("<%s> refers to %q", e.name, value)
			}
		}
	}
	for _, never := range []string{"url(", "@import", "://"} {
		if strings.Contains(text, never) {
			t.Errorf("the page holds %q", never)
		}
	}
	for _, want := range []string{"prefers-color-scheme:dark", "max-width:480px"} {
		if !strings.Contains(text, want) {
			t.Errorf("the style has no %q", want)
		}
	}
}

func TestPageEscapes(t *testing.T) {
	plain, _ := render(t, badnets(), someEpochs())
	known := map[string]bool{}
	for _, e := range plain {
		known[e.name] = true
	}
	known["details"], known["summary"] = true, true
	for i, evil := range []string{
		`</title></style></svg></td><script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='x`,
		`{{.Name}}`, `<!--`, `]]>`, `&lt;b&gt;`, "`${x}`", `javascript:alert(1)`, `expression(alert(1))`, `;}</style>`,
	} {
		r := badnets()
		r.Name, r.Error, r.Started = evil, evil, evil
		r.Warnings, r.Command = []string{evil}, []string{evil}
		r.Layers[0].Name, r.Layers[0].Note, r.Layers[0].Rule = evil, evil, evil
		r.Layers = append(r.Layers, runstore.Layer{Name: evil})
		r.Suspicious[0].Layer = evil
		r.Seconds = map[string]float64{evil: 1}
		r.Inputs = map[string]runstore.Input{evil: {Path: evil, SHA256: evil}}
		r.Files = map[string]string{evil: evil}
		r.Versions.ULRL, r.Machine.CPU, r.After.MeasuredOn = evil, evil, evil
		if i%2 == 1 {
			r.Status = evil
		}
		epochs := someEpochs()
		epochs[0].Phase = evil
		elements, text := render(t, r, epochs)
		for _, e := range elements {
			if !known[e.name] {
				t.Errorf("%q made a <%s>", evil, e.name)
			}
			for name := range e.attr {
				if strings.HasPrefix(name, "on") || name == "src" || name == "href" {
					t.Errorf("%q made an attribute %s", evil, name)
				}
			}
		}
		if n := strings.Count(text, evil); n < 12 {
			t.Errorf("%q is shown %d times only", evil, n)
		}
	}
}

func TestPageWithLittle(t *testing.T) {
	for name, r := range map[string]*runstore.Result{
		"nothing at all": {},
		"failed":         {Status: runstore.StatusFailed, Error: "out of memory"},
		"empty layers":   {Status: runstore.StatusComplete, Layers: []runstore.Layer{{}, {Scores: []float64{math.NaN()}}, {Scores: []float64{0}}}},
		"diverged": {Status: runstore.StatusComplete, DER: ptr(math.NaN()), Before: metrics.Scores{ACC: ptr(math.NaN())}, After: metrics.Scores{ACC: ptr(1)},
			Layers:     []runstore.Layer{{Rule: "mad", Median: math.NaN(), MAD: math.Inf(1), Threshold: math.Inf(1), Scores: []float64{1, math.Inf(1), math.NaN(), -5, 1e308}}},
			Suspicious: []runstore.Neuron{{Score: math.Inf(1), Z: ptr(math.NaN())}}, Seconds: map[string]float64{"x": math.NaN(), "total": math.Inf(1), "y": -1}},
		"odd rows": {Status: runstore.StatusComplete, Layers: []runstore.Layer{{Rule: "mad", MAD: 1, Scores: []float64{1, 2}, Selected: []int{-1, 7, 1, 1}}}},
	} {
		epochs := []runstore.EpochEvent{{Phase: "x", Epoch: math.MinInt, Loss: math.NaN()}, {Phase: "x", Epoch: math.MaxInt, Loss: math.Inf(-1), Seconds: math.NaN()}, {Phase: "x", Loss: -1e299, Accuracy: 7}, {Phase: "x", Loss: 1e299}}
		for _, e := range [][]runstore.EpochEvent{nil, epochs} {
			elements, _ := render(t, r, e)
			for _, el := range elements {
				for attr, value := range el.attr {
					if strings.Contains(value, "NaN") || strings.Contains(value, "Inf") && attr != "aria-label" {
						t.Errorf("%s: <%s %s=%q>", name, el.name, attr, value)
					}
				}
			}
		}
	}
	if err := HTML(io.Discard, nil, nil); err == nil {
		t.Error("no result, no error")
	}
}

func TestPageStaysSmall(t *testing.T) {
	r := badnets()
	scores := make([]float64, 5000)
	selected := make([]int, len(scores)/2)
	for i := range scores {
		scores[i] = 1 + math.Abs(math.Sin(float64(i)))
	}
	for i := range selected {
		selected[i] = 2 * i
		r.Suspicious = append(r.Suspicious, runstore.Neuron{Layer: "l", Index: i, Score: 1})
	}
	for i := range 60 {
		r.Layers = append(r.Layers, runstore.Layer{Name: fmt.Sprint("layer", i), Rule: "ratio", Scores: scores, Selected: selected})
	}
	var page bytes.Buffer
	if err := HTML(&page, r, someEpochs()); err != nil {
		t.Fatal(err)
	}
	if page.Len() > 1<<20 {
		t.Errorf("the page has %d bytes", page.Len())
	}
	elements, text := render(t, r, nil)
	if n := count(elements, "svg", ""); n != 61 {
		t.Errorf("%d charts", n)
	}
	for _, want := range []string{"The 64 highest of 5,000 rows.", "selected rows lie lower", "53 more layers", "Another 2,437 are in neurons.csv"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestHTMLWriteError(t *testing.T) {
	if err := HTML(brokenWriter{}, badnets(), nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
}

// Where there are no neurons the page says why.
func TestNoNeurons(t *testing.T) {
	for name, c := range map[string]struct {
		result runstore.Result
		want   string
	}{
		"none":                       {runstore.Result{Status: "complete"}, "None."},
		"interrupted":                {runstore.Result{Status: "interrupted", Method: "ulrl"}, "The run did not come as far as looking for them."},
		"a method without":           {runstore.Result{Status: "complete", Method: "ft"}, "The method, ft, looks for no neurons."},
		"that method's, interrupted": {runstore.Result{Status: "interrupted", Method: "ft-sam"}, "The method, ft-sam, looks for no neurons."},
	} {
		if got := newPage(&c.result, nil).NoNeurons; got != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
