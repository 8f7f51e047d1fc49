// Package report shows the result of a run to people.
package report

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"ulrl/pipeline/runstore"
)

//go:embed page.tmpl sweep.tmpl style.tmpl charts.tmpl
var templates embed.FS

// What is shown at once; further rows and charts are folded away.
const (
	openNeurons = 8
	openCharts  = 8
	// maxNeurons: longer lists end with a reference to neurons.csv.
	maxNeurons = 64
)

// page is what the template shows: every number formatted already.
type page struct {
	Name       string
	Started    string
	Verdict    Verdict
	Headline   string // the verdict's, with its numbers kept on one line
	Warnings   []string
	Scores     []scoreRow
	DER        string
	MeasuredOn []string
	Neurons    []neuronRow
	NoNeurons  string // why there are none
	Folded     []neuronRow
	LeftOut    string    // how many neurons are not shown at all; "" for none
	OnlyLayer  *barChart // in place of Layers, where there is one
	Layers     []barChart
	MoreLayers []barChart
	NoScores   []string // layers without a finite score
	Curves     []phaseCurves
	Phases     []phaseRow
	Total      string
	Inputs     []inputRow
	Facts      []fact
	Command    string
	Files      []fact
}

type scoreRow struct{ Short, Long, Before, After, Change string }

type neuronRow struct {
	Layer           []string // its name, cut where a line may break
	Index, Score, Z string
}

type phaseRow struct {
	Name, Seconds string
	Percent       float64 // of the longest phase, for its bar
}

type inputRow struct{ What, Path, SHA256 string }

type fact struct{ Name, Value string }

// HTML writes r as one self-contained HTML page: no scripts, nothing loaded
// from elsewhere. epochs become its curves; none is fine. It reads r.Status, so
// a run that will be finished as complete must say so before.
func HTML(w io.Writer, r *runstore.Result, epochs []runstore.EpochEvent) error {
	if r == nil {
		return errors.New("write the report: there is no result")
	}
	t, err := template.ParseFS(templates, "*.tmpl")
	if err != nil {
		return fmt.Errorf("prepare the report: %w", err)
	}
	if err := t.ExecuteTemplate(w, "page.tmpl", newPage(r, epochs)); err != nil {
		return fmt.Errorf("write the report of run %q: %w", r.Name, err)
	}
	return nil
}

func newPage(r *runstore.Result, epochs []runstore.EpochEvent) page {
	verdict := Judge(r)
	p := page{
		Name: r.Name, Started: date(r.Started), Verdict: verdict, Headline: strings.ReplaceAll(verdict.Headline, " → ", "\u00a0→\u00a0"), Warnings: r.Warnings,
		DER: share(r.DER), MeasuredOn: measuredOn(r), Curves: newCurves(epochs), Command: shellLine(r.Command),
		Scores: []scoreRow{
			{"ACC", "clean accuracy", share(r.Before.ACC), share(r.After.ACC), change(r.Before.ACC, r.After.ACC)},
			{"ASR", "attack success rate", share(r.Before.ASR), share(r.After.ASR), change(r.Before.ASR, r.After.ASR)},
			{"RA", "robust accuracy", share(r.Before.RA), share(r.After.RA), change(r.Before.RA, r.After.RA)},
		},
	}
	switch p.NoNeurons = "None."; {
	case r.OnlyTuned():
		p.NoNeurons = r.NoNeurons()
	case len(r.Layers) == 0 && r.Status != runstore.StatusComplete:
		p.NoNeurons = "The run did not come as far as looking for them."
	}
	p.setNeurons(r.Suspicious)
	p.setLayers(r.Layers)
	p.setSeconds(r.Seconds)
	p.Facts = facts(r)
	for _, what := range sortedKeys(r.Inputs) {
		p.Inputs = append(p.Inputs, inputRow{what, r.Inputs[what].Path, r.Inputs[what].SHA256})
	}
	for _, what := range sortedKeys(r.Files) {
		p.Files = append(p.Files, fact{what, r.Files[what]})
	}
	return p
}

func (p *page) setNeurons(all []runstore.Neuron) {
	for i, n := range all[:min(len(all), maxNeurons)] {
		row := neuronRow{strings.SplitAfter(n.Layer, "."), fmt.Sprint(n.Index), padded(n.Score), optional(n.Z)}
		if i < openNeurons {
			p.Neurons = append(p.Neurons, row)
		} else {
			p.Folded = append(p.Folded, row)
		}
	}
	if len(all) > maxNeurons {
		p.LeftOut = integer(len(all) - maxNeurons)
	}
}

func (p *page) setLayers(layers []runstore.Layer) {
	for _, layer := range layers {
		chart, ok := newBarChart(layer)
		switch {
		case !ok:
			p.NoScores = append(p.NoScores, layer.Name)
		case len(p.Layers) < openCharts:
			p.Layers = append(p.Layers, chart)
		default:
			p.MoreLayers = append(p.MoreLayers, chart)
		}
	}
	if len(p.Layers) == 1 && len(p.NoScores) == 0 {
		p.OnlyLayer, p.Layers = &p.Layers[0], nil
	}
}

// setSeconds lists phases longest first: the question is where the time went.
func (p *page) setSeconds(seconds map[string]float64) {
	names := sortedKeys(seconds)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(seconds[b], seconds[a]) })
	longest := 0.0
	for _, name := range names {
		if name == "total" {
			p.Total = duration(seconds[name])
			continue
		}
		longest = max(longest, seconds[name])
		percent := 0.0
		if longest > 0 {
			percent = round(100 * max(0, seconds[name]) / longest)
		}
		p.Phases = append(p.Phases, phaseRow{name, duration(seconds[name]), percent})
	}
}

// measuredOn says what the scores were measured on, and what that is worth.
func measuredOn(r *runstore.Result) []string {
	scores := r.After
	if scores.CleanImages == 0 && scores.TriggeredImages == 0 {
		scores = r.Before
	}
	var lines []string
	if scores.CleanImages > 0 {
		kind := "clean images"
		if scores.MeasuredOn == "test" {
			kind = "clean test images"
		}
		lines = append(lines, fmt.Sprintf("ACC over %s %s.", integer(scores.CleanImages), kind))
	}
	if scores.TriggeredImages > 0 {
		lines = append(lines, fmt.Sprintf("ASR and RA over %s triggered images whose true class is not the target.", integer(scores.TriggeredImages)))
	}
	switch scores.MeasuredOn {
	case "", "test":
	case "clean samples":
		lines = append(lines, "These are the clean samples that the defence has trained on: on unseen images accuracy would be lower.")
	default:
		lines = append(lines, "Measured on: "+scores.MeasuredOn+".")
	}
	return lines
}

func facts(r *runstore.Result) []fact {
	all := []fact{
		{"Started", r.Started},
		{"Status", r.Status},
		{"Seed", fmt.Sprint(r.Seed)},
		{"Clean samples", cleanText(r.Clean)},
		{"ULRL", r.Versions.ULRL},
		{"Go", r.Versions.Go},
		{"libtorch", r.Versions.Libtorch},
		{"Device", r.Machine.Device},
		{"CPU", r.Machine.CPU},
		{"Cores", positive(r.Machine.Cores)},
		{"Threads", positive(r.Machine.Threads)},
		{"System", r.Machine.OS},
	}
	return slices.DeleteFunc(all, func(f fact) bool { return strings.TrimSpace(f.Value) == "" })
}

func cleanText(c runstore.Clean) string {
	if c.Of <= 0 {
		return positive(c.Count)
	}
	return fmt.Sprintf("%s of %s (%.3g %%)", integer(c.Count), integer(c.Of), 100*float64(c.Count)/float64(c.Of))
}

func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return integer(n)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
