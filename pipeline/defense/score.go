package defense

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"ulrl/pipeline/config"
	"ulrl/pipeline/model"
	torch "ulrl/torchbridge"
)

// madToSigma makes the median absolute deviation of a normal distribution its
// standard deviation.
const madToSigma = 1.4826

// Scores says how much each neuron of a layer changed under unlearning.
type Scores struct {
	Layer  string
	Change []float64 // cᵢ = Σⱼ |W′ᵢⱼ − Wᵢⱼ|
	Norm   []float64 // Σⱼ |Wᵢⱼ|
}

// Score compares the layers of the model before and after unlearning. Filters
// of convolutions count as flattened rows.
func Score(ctx context.Context, dev *torch.Device, before, after *torch.Module, layers []model.Layer) ([]Scores, error) {
	var scores []Scores
	err := dev.Do(ctx, func(s *torch.Scope) error {
		s.NoGrad(func() {
			for _, l := range layers {
				rows := func(m *torch.Module) *torch.Tensor {
					return m.Parameter(s, l.Weight).To(torch.Float64).Reshape(l.Rows(), -1)
				}
				old := rows(before)
				scores = append(scores, Scores{
					Layer:  l.Name,
					Change: torch.Values[float64](rows(after).Sub(old).Abs().SumDim(1, false)),
					Norm:   torch.Values[float64](old.Abs().SumDim(1, false)),
				})
			}
		})
		return s.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("score the neurons: %w", err)
	}
	return scores, nil
}

// Selection is the judgement over one layer.
type Selection struct {
	Scores
	Rule      string    // "mad" or "ratio", the one that was applied
	Note      string    // why that differs from what was asked
	Median    float64   // of Change
	MAD       float64   // median of |Change − Median|
	Z         []float64 // nil where MAD is 0
	Threshold float64   // mad: the change above which a neuron is suspicious; 0 under ratio
	Beyond    []int     // mad: all that are beyond the threshold, ascending
	Selected  []int     // the suspicious neurons, ascending
}

// Select finds the suspicious neurons of one layer.
//
// Rule mad: z = |c − med| / (1.4826·MAD); suspicious where z > threshold and
// c > med; of more than max, those with the highest scores or the first are
// kept. Rule ratio: the ⌈ratio·n⌉ neurons that changed most relative to their
// own L1 norm. Where MAD is 0, z is undefined and ratio takes its place.
func Select(scores Scores, o config.Suspicious) Selection {
	sel := Selection{Scores: scores, Rule: o.Rule}
	sel.Median = lowerMedian(scores.Change)
	deviations := make([]float64, len(scores.Change))
	for i, c := range scores.Change {
		deviations[i] = math.Abs(c - sel.Median)
	}
	sel.MAD = lowerMedian(deviations)
	if sel.MAD > 0 {
		sel.Z = make([]float64, len(deviations))
		for i, d := range deviations {
			sel.Z[i] = d / (madToSigma * sel.MAD)
		}
	} else if o.Rule == "mad" {
		sel.Rule = "ratio"
		sel.Note = "the median absolute deviation of the scores is 0, so that z is undefined: the ratio rule was used"
	}
	if sel.Rule == "ratio" {
		sel.Selected = highestRatio(scores, o.Ratio)
		return sel
	}
	sel.Threshold = sel.Median + o.Threshold*madToSigma*sel.MAD
	for i, z := range sel.Z {
		if z > o.Threshold && scores.Change[i] > sel.Median {
			sel.Beyond = append(sel.Beyond, i)
		}
	}
	sel.Selected = capped(sel.Beyond, scores.Change, o)
	return sel
}

// lowerMedian is PyTorch's median: of an even count, the lower middle value.
func lowerMedian(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

// capped keeps o.Max of the neurons, ascending; 0 keeps all.
func capped(beyond []int, change []float64, o config.Suspicious) []int {
	kept := slices.Clone(beyond)
	if o.Max == 0 || len(kept) <= o.Max {
		return kept
	}
	if o.Order == "score" {
		slices.SortStableFunc(kept, func(a, b int) int { return descending(change[a], change[b]) })
	}
	kept = kept[:o.Max]
	slices.Sort(kept)
	return kept
}

func highestRatio(scores Scores, ratio float64) []int {
	n := len(scores.Change)
	relative := make([]float64, n)
	for i, c := range scores.Change {
		switch {
		case scores.Norm[i] > 0:
			relative[i] = c / scores.Norm[i]
		case c > 0: // a row of zeros that woke up changed without bound
			relative[i] = math.Inf(1)
		}
	}
	// The product of a share and a count may exceed its integer by rounding.
	take := min(n, int(math.Ceil(ratio*float64(n)-1e-9)))
	// What did not change at all is not suspicious.
	picked := slices.DeleteFunc(highestOf(relative, take), func(i int) bool { return scores.Change[i] == 0 })
	slices.Sort(picked)
	return picked
}

// highestOf are the places of the k highest values, the highest first.
func highestOf[T cmp.Ordered](values []T, k int) []int {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return descending(values[a], values[b]) })
	return order[:k]
}

// descending sorts the highest first, and last what is not a number.
func descending[T cmp.Ordered](a, b T) int { return cmp.Compare(b, a) }
