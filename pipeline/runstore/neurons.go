package runstore

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// madToSigma makes the median absolute deviation of normally distributed
// values estimate their standard deviation.
const madToSigma = 1.4826

// Z is how far row's score lies from the layer's median, in robust standard
// deviations; nil where that is undefined: another rule than "mad", a MAD of 0,
// a score that is not finite, no such row.
func (l Layer) Z(row int) *float64 {
	if l.Rule != "mad" || !(l.MAD > 0) || row < 0 || row >= len(l.Scores) {
		return nil
	}
	z := math.Abs(l.Scores[row]-l.Median) / (madToSigma * l.MAD)
	return optional(&z)
}

// WriteNeurons writes neurons.csv: each row of each scored layer with its score,
// z and threshold (empty where undefined) and whether it is suspicious.
func (r *Run) WriteNeurons(layers []Layer) error {
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	records := [][]string{{"layer", "index", "score", "z", "threshold", "suspicious"}}
	for _, layer := range layers {
		threshold := ""
		if layer.Threshold != 0 {
			threshold = decimal(layer.Threshold)
		}
		for i, score := range layer.Scores {
			z := ""
			if v := layer.Z(i); v != nil {
				z = decimal(*v)
			}
			suspicious := strconv.FormatBool(slices.Contains(layer.Selected, i))
			records = append(records, []string{layer.Name, strconv.Itoa(i), decimal(score), z, threshold, suspicious})
		}
	}
	if err := w.WriteAll(records); err != nil {
		return fmt.Errorf("encode %s: %w", r.Path(FileNeurons), err)
	}
	return r.WriteFile(FileNeurons, buf.Bytes())
}

// decimal is the shortest form that reads back as the same number.
func decimal(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
