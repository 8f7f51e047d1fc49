package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"ulrl/pipeline/runstore"
)

const (
	maxBars = 64
	// labelWidth is the room that a row's number needs below its bar.
	labelWidth = 24.0
	// farOff: a threshold this many times above the highest score is named, not
	// drawn, because it would press the bars flat.
	farOff = 4.0
)

// barChart is the scores of one layer, highest first.
type barChart struct {
	frame
	Caption  string
	Plain    string // path of all bars that were not selected
	Selected []bar
	Cut      *tick // the threshold
	Median   *tick
}

type bar struct {
	X, Y, Width, Height float64
	Title               string
}

// newBarChart draws the scores of layer; ok is false where none is finite.
func newBarChart(layer runstore.Layer) (chart barChart, ok bool) {
	order := rankedRows(layer.Scores)
	if len(order) == 0 {
		return barChart{}, false
	}
	selected := map[int]bool{}
	for _, row := range layer.Selected {
		selected[row] = true
	}
	shown := order[:min(len(order), maxBars)]
	top := max(0, layer.Scores[order[0]])
	drawCut := layer.Threshold > 0 && layer.Threshold <= farOff*top
	if drawCut {
		top = max(top, layer.Threshold)
	}
	y, yTicks := verticalAxis(0, top)
	chart = barChart{frame: frame{Title: layer.Name, YTicks: yTicks, Right: plotRight}, Caption: barCaption(layer, order, selected, drawCut)}
	chart.draw(layer, shown, selected, y)
	if drawCut {
		chart.Cut = &tick{y.at(layer.Threshold), "threshold " + decimal(layer.Threshold)}
	}
	if layer.Rule == "mad" && layer.Median > 0 && layer.Median <= y.high {
		chart.Median = &tick{y.at(layer.Median), "median " + decimal(layer.Median)}
	}
	chart.Alt = fmt.Sprintf("Scores of %d rows of %s, highest first, %d selected", len(shown), layer.Name, len(chart.Selected))
	return chart, true
}

func (c *barChart) draw(layer runstore.Layer, shown []int, selected map[int]bool, y scale) {
	slot := (plotRight - plotLeft) / float64(max(len(shown), 8))
	width := round(min(slot*0.78, slot-0.8))
	var plain strings.Builder
	lastLabel := math.Inf(-1)
	for rank, row := range shown {
		left := round(plotLeft + float64(rank)*slot + (slot-width)/2)
		top := y.at(max(0, layer.Scores[row]))
		if selected[row] {
			c.Selected = append(c.Selected, bar{left, top, width, round(plotBottom - top), rowTitle(layer, row)})
		} else {
			fmt.Fprintf(&plain, "M%g %gV%gh%gV%gz", left, plotBottom, top, width, plotBottom)
		}
		centre := round(left + width/2)
		if (selected[row] || slot >= labelWidth) && centre-lastLabel >= labelWidth {
			c.XTicks = append(c.XTicks, tick{centre, fmt.Sprint(row)})
			lastLabel = centre
		}
	}
	c.Plain = plain.String()
}

// rankedRows are the rows with a finite score, highest score first.
func rankedRows(scores []float64) []int {
	var rows []int
	for i, s := range scores {
		if drawable(s) {
			rows = append(rows, i)
		}
	}
	slices.SortStableFunc(rows, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	return rows
}

func rowTitle(layer runstore.Layer, row int) string {
	title := fmt.Sprintf("row %d: score %s", row, decimal(layer.Scores[row]))
	if z := layer.Z(row); z != nil {
		title += ", z " + decimal(*z)
	}
	return title
}

func barCaption(layer runstore.Layer, order []int, selected map[int]bool, drawn bool) string {
	var parts []string
	if len(order) > maxBars {
		hidden := 0
		for _, row := range order[maxBars:] {
			if selected[row] {
				hidden++
			}
		}
		part := fmt.Sprintf("The %d highest of %s rows.", maxBars, integer(len(order)))
		if hidden > 0 {
			part += " " + plural(hidden, "selected row lies", "selected rows lie") + " lower."
		}
		parts = append(parts, part)
	} else {
		parts = append(parts, plural(len(order), "row", "rows")+", highest score first.")
	}
	if lost := len(layer.Scores) - len(order); lost > 0 {
		parts = append(parts, plural(lost, "score is", "scores are")+" not finite and not shown.")
	}
	parts = append(parts, fmt.Sprintf("Rule %s, median %s, MAD %s.", layer.Rule, decimal(layer.Median), decimal(layer.MAD)))
	if layer.Threshold > 0 && !drawn {
		parts = append(parts, fmt.Sprintf("The threshold, %s, lies far above the bars.", decimal(layer.Threshold)))
	}
	if layer.Note != "" {
		parts = append(parts, "Note: "+layer.Note)
	}
	return strings.Join(parts, " ")
}
