package report

import (
	"fmt"
	"math"
	"strings"

	"ulrl/pipeline/runstore"
)

const (
	// maxDots: longer curves go without a dot per epoch.
	maxDots = 60
	// curveRight leaves room for the last value beside the curve.
	curveRight = 306.0
)

// lineChart is one quantity over the epochs of one phase.
type lineChart struct {
	frame
	Path string // broken where a value is not finite
	Dots []dot
	Last *dot // labelled with the last finite value
	Note string
}

type dot struct {
	X, Y  float64
	Title string
}

// newLineChart draws values (one per epoch) over their epoch numbers; shares
// are drawn on [0, 1]. ok is false where nothing is finite.
func newLineChart(title string, epochs []int, values []float64, shares bool) (chart lineChart, ok bool) {
	low, high, broken := math.Inf(1), math.Inf(-1), 0
	for _, v := range values {
		if !drawable(v) {
			broken++
			continue
		}
		low, high = min(low, v), max(high, v)
	}
	if broken == len(values) {
		return lineChart{}, false
	}
	if low > 0 {
		low = 0 // losses are read from 0
	}
	format := decimal
	if shares {
		low, high = 0, 1
		format = func(v float64) string { return share(&v) }
	}
	first, last := epochs[0], epochs[0]
	for _, e := range epochs {
		first, last = min(first, e), max(last, e)
	}
	x := scale{float64(first), float64(last), plotLeft + 8, curveRight}
	y, yTicks := verticalAxis(low, high)
	chart = lineChart{frame: frame{Title: title, XTicks: epochTicks(x, first, last), YTicks: yTicks, Right: curveRight + 4}}
	chart.draw(epochs, values, x, y, format)
	chart.Alt = fmt.Sprintf("%s over %d epochs, at the end %s", title, len(epochs), format(values[len(values)-1]))
	if broken > 0 {
		chart.Note = plural(broken, "value is", "values are") + " not finite and not shown."
	}
	return chart, true
}

func (c *lineChart) draw(epochs []int, values []float64, x, y scale, format func(float64) string) {
	var path strings.Builder
	pen := " M"
	for i, v := range values {
		if !drawable(v) {
			pen = " M"
			continue
		}
		p := dot{x.at(float64(epochs[i])), y.at(v), fmt.Sprintf("epoch %d: %s %s", epochs[i], strings.ToLower(c.Title), format(v))}
		fmt.Fprintf(&path, "%s%g %g", pen, p.X, p.Y)
		pen = " L"
		if len(values) <= maxDots {
			c.Dots = append(c.Dots, p)
		}
		p.Title = format(v)
		if a := math.Abs(v); a >= 1e5 || a > 0 && a < 1e-3 && p.Title != share(&v) {
			p.Title = tickLabel(v, 1e-4) // the room beside the curve is for six characters
		}
		c.Last = &p
	}
	c.Path = strings.TrimSpace(path.String())
}

// phaseCurves are the charts of one phase and the numbers behind them.
type phaseCurves struct {
	Title  string
	Charts []lineChart
	Epochs []epochRow
	Cosine bool // whether any epoch has one
}

type epochRow struct{ Epoch, LR, Loss, Accuracy, Cosine, Seconds string }

// newCurves groups epochs by phase, in the order in which the phases began.
func newCurves(events []runstore.EpochEvent) []phaseCurves {
	var names []string
	byPhase := map[string][]runstore.EpochEvent{}
	for _, e := range events {
		if _, known := byPhase[e.Phase]; !known {
			names = append(names, e.Phase)
		}
		byPhase[e.Phase] = append(byPhase[e.Phase], e)
	}
	var out []phaseCurves
	for _, name := range names {
		out = append(out, newPhase(name, byPhase[name]))
	}
	return out
}

func newPhase(name string, events []runstore.EpochEvent) phaseCurves {
	phase := phaseCurves{Title: phaseTitle(name)}
	n := len(events)
	epochs, loss, accuracy, cosine := make([]int, n), make([]float64, n), make([]float64, n), make([]float64, n)
	for i, e := range events {
		epochs[i], loss[i], accuracy[i], cosine[i] = e.Epoch, e.Loss, e.Accuracy, e.Cosine
		phase.Cosine = phase.Cosine || e.Cosine != 0
		phase.Epochs = append(phase.Epochs, epochRow{
			fmt.Sprint(e.Epoch), decimal(e.LR), padded(e.Loss), share(&e.Accuracy), padded(e.Cosine), duration(e.Seconds),
		})
	}
	add := func(title string, values []float64, shares bool) {
		if chart, ok := newLineChart(title, epochs, values, shares); ok {
			phase.Charts = append(phase.Charts, chart)
		}
	}
	add("Loss", loss, false)
	add("Accuracy", accuracy, true)
	return phase
}

func phaseTitle(name string) string {
	switch name {
	case "unlearn":
		return "Unlearning"
	case "relearn":
		return "Relearning"
	case "train":
		return "Training"
	}
	if attempt, ok := strings.CutPrefix(name, "relearn "); ok {
		return "Relearning, attempt " + attempt
	}
	return name
}
