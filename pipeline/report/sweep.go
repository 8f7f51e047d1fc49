package report

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"ulrl/pipeline/runstore"
)

// Sweep is what a sweep found.
type Sweep struct {
	Folder  string
	Command string
	Runs    []SweepRun // in the plan's order
	// Previews are PNGs of triggers, by SweepRun.Name.
	Previews map[string][]byte
}

// SweepRun is one job of a sweep.
type SweepRun struct {
	ID, Name, Setting string
	Attack            bool // it made a model, and cleaned none
	Seed              uint64
	Status            string // as package sweep has it
	Error, Log        string
	Page              string                // the run's own report, from the sweep's; "": none
	Result            *runstore.Result      // nil: it did not come so far, or it made a model
	Epochs            []runstore.EpochEvent // of Result
}

// SweepRow is the runs of one config with one setting.
type SweepRow struct {
	Name       string `json:"name"`
	Setting    string `json:"setting"`
	Runs       int    `json:"runs"` // that are complete
	ACCBefore  Spread `json:"acc_before"`
	ACC        Spread `json:"acc"`
	ASRBefore  Spread `json:"asr_before"`
	ASR        Spread `json:"asr"`
	RA         Spread `json:"ra"`
	DER        Spread `json:"der"`
	Seconds    Spread `json:"seconds"`
	Unfinished int    `json:"unfinished"` // runs that are not complete
}

// Spread is the mean and standard deviation (of the sample) over N seeds.
type Spread struct {
	Mean *float64 `json:"mean"` // nil where N is 0
	Std  *float64 `json:"std"`  // nil where N is below 2
	N    int      `json:"n"`
}

func spreadOf(values []*float64) Spread {
	var known []float64
	for _, v := range values {
		if v != nil && drawable(*v) {
			known = append(known, *v)
		}
	}
	s := Spread{N: len(known)}
	if s.N == 0 {
		return s
	}
	mean, squares := 0.0, 0.0
	for _, v := range known {
		mean += v / float64(s.N)
	}
	s.Mean = &mean
	if s.N > 1 {
		for _, v := range known {
			squares += (v - mean) * (v - mean)
		}
		std := math.Sqrt(squares / float64(s.N-1))
		s.Std = &std
	}
	return s
}

// text is mean ± std, with three decimals.
func (s Spread) text() string {
	if s.Std == nil {
		return share(s.Mean)
	}
	return share(s.Mean) + " ± " + share(s.Std)
}

// Rows are the runs by config and setting, in the order of their first runs.
func (s Sweep) Rows() []SweepRow {
	type group struct {
		row     SweepRow
		results []*runstore.Result
	}
	var groups []*group
	known := map[[2]string]*group{}
	for _, run := range s.cleanings() {
		at := [2]string{run.Name, run.Setting}
		g := known[at]
		if g == nil {
			g = &group{row: SweepRow{Name: run.Name, Setting: run.Setting}}
			known[at] = g
			groups = append(groups, g)
		}
		if complete(run) {
			g.results = append(g.results, run.Result)
		} else {
			g.row.Unfinished++
		}
	}
	rows := make([]SweepRow, 0, len(groups))
	for _, g := range groups {
		of := func(get func(r *runstore.Result) *float64) Spread {
			var values []*float64
			for _, r := range g.results {
				values = append(values, get(r))
			}
			return spreadOf(values)
		}
		row := g.row
		row.Runs = len(g.results)
		row.ACCBefore = of(func(r *runstore.Result) *float64 { return r.Before.ACC })
		row.ACC = of(func(r *runstore.Result) *float64 { return r.After.ACC })
		row.ASRBefore = of(func(r *runstore.Result) *float64 { return r.Before.ASR })
		row.ASR = of(func(r *runstore.Result) *float64 { return r.After.ASR })
		row.RA = of(func(r *runstore.Result) *float64 { return r.After.RA })
		row.DER = of(func(r *runstore.Result) *float64 { return r.DER })
		row.Seconds = of(func(r *runstore.Result) *float64 {
			if v, ok := r.Seconds["total"]; ok {
				return &v
			}
			return nil
		})
		rows = append(rows, row)
	}
	return rows
}

func complete(run SweepRun) bool {
	return run.Result != nil && run.Result.Status == runstore.StatusComplete
}

// cleanings are the runs that are no attacks.
func (s Sweep) cleanings() []SweepRun {
	return slices.DeleteFunc(slices.Clone(s.Runs), func(r SweepRun) bool { return r.Attack })
}

// sweepPage is what the template shows.
type sweepPage struct {
	Folder   string
	Headline string
	Tone     string
	Failures []SweepRun
	Rows     []sweepPageRow
	Settings bool // whether rows have any
	Attacks  []sweepAttack
	Command  string
	Facts    []fact
}

type sweepPageRow struct {
	SweepRow
	Cells []sweepCell
}

// sweepCell is a measure with what it is sorted by.
type sweepCell struct {
	Text string
	Sort float64
}

// sweepAttack is a config's part of the page.
type sweepAttack struct {
	Name    string
	Preview template.URL // "": none
	Pairs   []pairBars
	More    []pairBars
	Runs    []sweepRunPart
}

// pairBars is a setting's ACC and ASR before and after, in percent.
type pairBars struct {
	Setting            string
	ACC, ASR           [2]string
	ACCWidth, ASRWidth [2]float64
}

type sweepRunPart struct {
	SweepRun
	Summary string
	Charts  []lineChart
	Bars    []barChart
}

// openPairs is how many settings of a config are shown before the rest is folded.
const openPairs = 12

// SweepHTML writes s as one self-contained HTML page, which loads nothing.
func SweepHTML(w io.Writer, s Sweep) error {
	t, err := template.ParseFS(templates, "*.tmpl")
	if err != nil {
		return fmt.Errorf("prepare the report: %w", err)
	}
	if err := t.ExecuteTemplate(w, "sweep.tmpl", newSweepPage(s)); err != nil {
		return fmt.Errorf("write the report of sweep %s: %w", s.Folder, err)
	}
	return nil
}

func newSweepPage(s Sweep) sweepPage {
	p := sweepPage{Folder: s.Folder, Command: s.Command, Tone: "good"}
	done := 0
	for _, run := range s.Runs {
		switch run.Status {
		case "done":
			done++
		case "failed":
			p.Failures = append(p.Failures, run)
		}
	}
	names := map[string]bool{}
	for _, run := range s.cleanings() {
		names[run.Name] = true
	}
	p.Headline = fmt.Sprintf("%s of %s: %s of %s done", plural(len(s.cleanings()), "cleaning", "cleanings"),
		plural(len(names), "config", "configs"), integer(done), plural(len(s.Runs), "job", "jobs"))
	if n := len(p.Failures); n > 0 {
		p.Headline += ", " + integer(n) + " failed"
		p.Tone = "bad"
	} else if done < len(s.Runs) {
		p.Tone = "warn"
	}
	rows := s.Rows()
	for _, row := range rows {
		p.Settings = p.Settings || row.Setting != ""
		p.Rows = append(p.Rows, sweepPageRow{row, cells(row)})
	}
	p.Attacks = s.attacks(rows)
	p.Facts = s.facts()
	return p
}

// facts are how the runs were made: each with the values that it has, but for the times,
// of which the first is told.
func (s *Sweep) facts() []fact {
	var names []string
	values := map[string][]string{}
	for _, run := range s.Runs {
		if run.Result == nil || run.Result.Versions.ULRL == "" {
			continue
		}
		for _, f := range facts(run.Result) {
			if f.Name == "Status" || f.Name == "Seed" { // the table has them
				continue
			}
			if values[f.Name] == nil {
				names = append(names, f.Name)
			}
			if !slices.Contains(values[f.Name], f.Value) {
				values[f.Name] = append(values[f.Name], f.Value)
			}
		}
	}
	var all []fact
	for _, name := range names {
		of := values[name]
		if name == "Started" {
			of = []string{slices.Min(of)}
		}
		all = append(all, fact{name, strings.Join(of, "; ")})
	}
	return all
}

func cells(row SweepRow) []sweepCell {
	var out []sweepCell
	for _, s := range []Spread{row.ACCBefore, row.ACC, row.ASRBefore, row.ASR, row.RA, row.DER} {
		cell := sweepCell{s.text(), -1}
		if s.Mean != nil {
			cell.Sort = *s.Mean
		}
		out = append(out, cell)
	}
	seconds := sweepCell{missing, -1}
	if row.Seconds.Mean != nil {
		seconds = sweepCell{duration(*row.Seconds.Mean), *row.Seconds.Mean}
	}
	return append(out, seconds)
}

func (s Sweep) attacks(rows []SweepRow) []sweepAttack {
	var out []*sweepAttack
	known := map[string]*sweepAttack{}
	for _, row := range rows {
		a := known[row.Name]
		if a == nil {
			a = &sweepAttack{Name: row.Name}
			if png := s.Previews[row.Name]; png != nil {
				a.Preview = template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png))
			}
			known[row.Name] = a
			out = append(out, a)
		}
		pair := pairBars{
			Setting: row.Setting, ACC: [2]string{share(row.ACCBefore.Mean), share(row.ACC.Mean)}, ASR: [2]string{share(row.ASRBefore.Mean), share(row.ASR.Mean)},
			ACCWidth: [2]float64{percentOf(row.ACCBefore.Mean), percentOf(row.ACC.Mean)}, ASRWidth: [2]float64{percentOf(row.ASRBefore.Mean), percentOf(row.ASR.Mean)},
		}
		if len(a.Pairs) < openPairs {
			a.Pairs = append(a.Pairs, pair)
		} else {
			a.More = append(a.More, pair)
		}
	}
	for _, run := range s.cleanings() {
		if run.Result != nil {
			known[run.Name].Runs = append(known[run.Name].Runs, newRunPart(run))
		}
	}
	attacks := make([]sweepAttack, 0, len(out))
	for _, a := range out {
		attacks = append(attacks, *a)
	}
	slices.SortStableFunc(attacks, func(a, b sweepAttack) int { return cmp.Compare(a.Name, b.Name) })
	return attacks
}

func newRunPart(run SweepRun) sweepRunPart {
	r := run.Result
	part := sweepRunPart{SweepRun: run, Summary: fmt.Sprintf("seed %d", run.Seed)}
	if run.Setting != "" {
		part.Summary += ", " + run.Setting
	}
	part.Summary += fmt.Sprintf(": ACC %s → %s, ASR %s → %s", share(r.Before.ACC), share(r.After.ACC), share(r.Before.ASR), share(r.After.ASR))
	for _, curves := range newCurves(run.Epochs) {
		for _, chart := range curves.Charts {
			chart.Title = curves.Title + ": " + chart.Title
			part.Charts = append(part.Charts, chart)
		}
	}
	for _, layer := range r.Layers[:min(len(r.Layers), openCharts)] {
		if chart, ok := newBarChart(layer); ok {
			part.Bars = append(part.Bars, chart)
		}
	}
	return part
}

func percentOf(v *float64) float64 {
	if v == nil || !drawable(*v) {
		return 0
	}
	return round(100 * min(max(*v, 0), 1))
}
