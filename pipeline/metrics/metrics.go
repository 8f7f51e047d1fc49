// Package metrics holds the numbers by which the field judges a defence.
package metrics

// Scores of one model. ASR and RA are nil where no trigger is known, ACC where
// there is nothing to measure it on. All are shares in [0, 1].
type Scores struct {
	// ACC is the clean accuracy: clean images classified as labelled.
	ACC *float64 `json:"acc"`
	// ByClass is that of each class's images, by its index, nil where there are none;
	// empty where there are more than 1,000 classes.
	ByClass []*float64 `json:"acc_by_class,omitempty"`
	// ASR is the attack success rate: of triggered images whose true class is
	// not the target, those classified as the target. Images of the target
	// class never count.
	ASR *float64 `json:"asr"`
	// RA is the robust accuracy: of the same images, those classified as their
	// true class.
	RA *float64 `json:"ra"`
	// CleanImages and TriggeredImages are the denominators.
	CleanImages     int `json:"clean_images"`
	TriggeredImages int `json:"triggered_images"`
	// MeasuredOn says which images: "test" or, where there is no test set,
	// "clean samples", which the defence has trained on.
	MeasuredOn string `json:"measured_on,omitempty"`
}

// DER is the defence effectiveness rating of Zhu et al. (arXiv 2304.11823):
// (max(0, ASR before − after) − max(0, ACC before − after) + 1) / 2, nil where
// an ASR or ACC is missing.
func DER(before, after Scores) *float64 {
	if before.ACC == nil || after.ACC == nil || before.ASR == nil || after.ASR == nil {
		return nil
	}
	der := (max(0, *before.ASR-*after.ASR) - max(0, *before.ACC-*after.ACC) + 1) / 2
	return &der
}

// HeavyLoss is the loss of ACC from which on a defence has cost too much to pass over.
const HeavyLoss = 0.05

// LostACC is by how much ACC fell, 0 where it was not measured.
func LostACC(before, after Scores) float64 {
	if before.ACC == nil || after.ACC == nil {
		return 0
	}
	return *before.ACC - *after.ACC
}

// Count tallies predictions against labels.
type Count struct{ Right, Total int }

// Add counts one batch.
func (c *Count) Add(predicted, want []int64) {
	for i, p := range predicted {
		if p == want[i] {
			c.Right++
		}
	}
	c.Total += len(predicted)
}

// Classes tallies predictions for each class's images, by its index.
type Classes []Count

// Add counts one batch; labels that are no index count nowhere.
func (c Classes) Add(predicted, want []int64) {
	for i, p := range predicted {
		if label := want[i]; label >= 0 && int(label) < len(c) {
			c[label].Add([]int64{p}, []int64{label})
		}
	}
}

// Shares are Right/Total of each class, nil for nothing.
func (c Classes) Shares() []*float64 {
	shares := make([]*float64, len(c))
	for i, count := range c {
		shares[i] = count.Share()
	}
	return shares
}

// Share is Right/Total, nil for nothing.
func (c Count) Share() *float64 {
	if c.Total == 0 {
		return nil
	}
	share := float64(c.Right) / float64(c.Total)
	return &share
}
