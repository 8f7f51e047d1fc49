package report

import (
	"math"
	"strconv"
	"strings"
)

// Where a chart of 360 × 202 units has its bars or curve. It is drawn at about that many
// pixels on a phone and a little larger on a desk, so that its text is readable
// on both.
const (
	plotLeft   = 50.0
	plotRight  = 350.0
	plotTop    = 14.0
	plotBottom = 180.0
)

// frame is the ground of a chart: grid lines and the labels of both axes.
type frame struct {
	Title  string
	Alt    string
	Right  float64 // where the grid ends
	XTicks []tick
	YTicks []tick
}

// tick is a mark on an axis.
type tick struct {
	At    float64 // position in the chart
	Label string
}

// scale maps [low, high] onto positions [from, to].
type scale struct{ low, high, from, to float64 }

func (s scale) at(v float64) float64 {
	if s.high == s.low {
		return round((s.from + s.to) / 2)
	}
	return round(s.from + (v-s.low)/(s.high-s.low)*(s.to-s.from))
}

// round keeps positions short: a hundredth of a pixel is enough.
func round(v float64) float64 { return math.Round(v*100) / 100 }

// niceStep is the smallest of 1, 2, 5 times a power of ten that divides span
// into at most parts steps.
func niceStep(span float64, parts int) float64 {
	if !(span > 0) || math.IsInf(span, 0) {
		return 1
	}
	rough := span / float64(parts)
	power := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= rough*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// verticalAxis gives a scale that covers [low, high] in whole steps, and its
// ticks. low and high are finite.
func verticalAxis(low, high float64) (scale, []tick) {
	if high <= low {
		high = low + 1
	}
	step := niceStep(high-low, 5)
	first, last := math.Floor(low/step+1e-9), math.Ceil(high/step-1e-9)
	s := scale{first * step, last * step, plotBottom, plotTop}
	var ticks []tick
	for i := first; i <= last && len(ticks) < 12; i++ {
		ticks = append(ticks, tick{s.at(i * step), tickLabel(i*step, step)})
	}
	return s, ticks
}

// tickLabel shows as many digits as the step has, in at most six characters.
func tickLabel(v, step float64) string {
	if v != 0 && (math.Abs(v) >= 1e5 || step < 1e-3) {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'e', 1, 64), "e")
		power, _ := strconv.Atoi(exponent) // FormatFloat always gives one
		return strings.TrimSuffix(mantissa, ".0") + "e" + strconv.Itoa(power)
	}
	decimals := max(0, int(math.Ceil(-math.Log10(step)-1e-9)))
	if v == 0 && step < 1e-3 {
		decimals = 0
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// epochTicks marks the first epoch and whole multiples of a step after it.
func epochTicks(s scale, first, last int) []tick {
	step := max(1, int(niceStep(float64(last)-float64(first), 6)))
	ticks := []tick{{s.at(float64(first)), strconv.Itoa(first)}}
	for e := (first/step + 1) * step; e > first && e <= last && len(ticks) < 12; e += step {
		if e-first >= (step+1)/2 { // nearer, the two labels would touch
			ticks = append(ticks, tick{s.at(float64(e)), strconv.Itoa(e)})
		}
	}
	return ticks
}

// drawable leaves out what is not finite, and what would overflow on the way.
func drawable(v float64) bool { return math.Abs(v) < 1e300 }
