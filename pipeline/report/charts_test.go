package report

import (
	"math"
	"slices"
	"strings"
	"testing"

	"ulrl/pipeline/runstore"
)

func TestBarChart(t *testing.T) {
	layer := runstore.Layer{Name: "l", Rule: "mad", Median: 2, MAD: 0.5, Threshold: 4, Scores: []float64{1, 8, 2, math.NaN(), 5}, Selected: []int{1, 4}}
	chart, ok := newBarChart(layer)
	if !ok || len(chart.Selected) != 2 || strings.Count(chart.Plain, "M") != 2 {
		t.Fatalf("%+v", chart)
	}
	highest, second := chart.Selected[0], chart.Selected[1]
	if highest.X >= second.X || highest.Height != 2*(plotBottom-chart.Cut.At) || highest.Y+highest.Height != plotBottom {
		t.Errorf("8 is drawn at %+v, 5 at %+v, the threshold of 4 at %v", highest, second, chart.Cut.At)
	}
	if chart.Median == nil || chart.Median.At <= chart.Cut.At {
		t.Errorf("median %+v, threshold %+v", chart.Median, chart.Cut)
	}
	if highest.Title != "row 1: score 8, z 8.094" {
		t.Errorf("title %q", highest.Title)
	}
	var labels []string
	for _, l := range chart.XTicks {
		labels = append(labels, l.Label)
	}
	if !slices.Equal(labels, []string{"1", "4", "2", "0"}) {
		t.Errorf("labels %q", labels)
	}
	if !strings.Contains(chart.Caption, "1 score is not finite") {
		t.Errorf("caption %q", chart.Caption)
	}
}

func TestBarChartThreshold(t *testing.T) {
	for name, c := range map[string]struct {
		threshold float64
		drawn     bool
		caption   string
	}{
		"none":      {0, false, ""},
		"above all": {2, true, ""},
		"far off":   {20, false, "The threshold, 20, lies far above the bars."},
	} {
		chart, _ := newBarChart(runstore.Layer{Rule: "mad", Threshold: c.threshold, Scores: []float64{1, 0.5}})
		if (chart.Cut != nil) != c.drawn || !strings.Contains(chart.Caption, c.caption) {
			t.Errorf("%s: %+v", name, chart)
		}
		if c.drawn && (chart.Cut.At < plotTop || chart.Cut.At > plotBottom) {
			t.Errorf("%s: drawn outside, at %v", name, chart.Cut.At)
		}
	}
}

func TestLineChart(t *testing.T) {
	nan := math.NaN()
	chart, ok := newLineChart("Loss", []int{1, 2, 3, 4}, []float64{4, nan, 2, 1}, false)
	if !ok || strings.Count(chart.Path, "M") != 2 || strings.Count(chart.Path, "L") != 1 || len(chart.Dots) != 3 {
		t.Errorf("%+v", chart)
	}
	if chart.Last == nil || chart.Last.Title != "1" || chart.Last.X != curveRight {
		t.Errorf("last %+v", chart.Last)
	}
	if chart.Note != "1 value is not finite and not shown." || chart.Dots[0].Title != "epoch 1: loss 4" {
		t.Errorf("note %q, dot %+v", chart.Note, chart.Dots[0])
	}
	if _, ok := newLineChart("Loss", []int{1}, []float64{nan}, false); ok {
		t.Error("a chart of nothing")
	}
	for value, want := range map[float64]string{1234567: "1.2e6", 0.00051234: "5.1e-4", 0.25: "0.25", 0: "0"} {
		if chart, _ := newLineChart("Loss", []int{1}, []float64{value}, false); chart.Last.Title != want {
			t.Errorf("%v is labelled %q, want %q", value, chart.Last.Title, want)
		}
	}
	many := make([]int, maxDots+1)
	for i := range many {
		many[i] = i + 1
	}
	if chart, _ := newLineChart("Loss", many, make([]float64, len(many)), true); len(chart.Dots) != 0 || chart.Last == nil {
		t.Errorf("%d dots, last %v", len(chart.Dots), chart.Last)
	}
}

func labels(ticks []tick) string {
	var out []string
	for _, t := range ticks {
		out = append(out, t.Label)
	}
	return strings.Join(out, " ")
}

func TestVerticalAxis(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      string
	}{
		{0, 1, "0.0 0.2 0.4 0.6 0.8 1.0"},
		{0, 6.2, "0 2 4 6 8"},
		{0, 0.034, "0.00 0.01 0.02 0.03 0.04"},
		{0, 0.0034, "0.000 0.001 0.002 0.003 0.004"},
		{0, 0.00012, "0 5e-5 1e-4 1.5e-4"},
		{0, 130000, "0 50000 1e5 1.5e5"},
		{-3, 2, "-3 -2 -1 0 1 2"},
		{0, 0, "0.0 0.2 0.4 0.6 0.8 1.0"},
	} {
		s, ticks := verticalAxis(c.low, c.high)
		if got := labels(ticks); got != c.want {
			t.Errorf("[%v, %v]: %s, want %s", c.low, c.high, got, c.want)
		}
		if at := s.at(c.high); at < plotTop || at > plotBottom {
			t.Errorf("[%v, %v]: the highest is drawn at %v", c.low, c.high, at)
		}
	}
}

func TestEpochTicks(t *testing.T) {
	for _, c := range []struct {
		first, last int
		want        string
	}{
		{1, 1, "1"}, {1, 7, "1 2 3 4 5 6 7"}, {1, 20, "1 5 10 15 20"}, {1, 100, "1 20 40 60 80 100"}, {0, 5, "0 1 2 3 4 5"},
	} {
		got := labels(epochTicks(scale{float64(c.first), float64(c.last), 0, 1}, c.first, c.last))
		if got != c.want {
			t.Errorf("%d to %d: %s, want %s", c.first, c.last, got, c.want)
		}
	}
}
