package train

import "math"

// MultiStep is PyTorch's MultiStepLR: lr times gamma for each milestone that
// epoch (from 0) has reached.
func MultiStep(lr float64, milestones []int, gamma float64, epoch int) float64 {
	for _, milestone := range milestones {
		if epoch >= milestone {
			lr *= gamma
		}
	}
	return lr
}

// Cosine is PyTorch's CosineAnnealingLR from lr at step 0 down to 0 at steps.
func Cosine(lr float64, step, steps int) float64 {
	return lr * (1 + math.Cos(math.Pi*float64(step)/float64(steps))) / 2
}

// OneCycle rises from lr/25 to lr over the first 30 % of the steps and falls
// to nearly 0 after, along cosines (Smith and Topin, arXiv 1708.07120; the
// defaults of PyTorch's OneCycleLR).
func OneCycle(lr float64, step, steps int) float64 {
	const start, end, warm = 25.0, 25e4, 0.3
	between := func(from, to, share float64) float64 {
		return to + (from-to)*(1+math.Cos(math.Pi*share))/2
	}
	peak := math.Max(1, warm*float64(steps)-1)
	if at := float64(step); at <= peak {
		return between(lr/start, lr, at/peak)
	}
	return between(lr, lr/end, math.Min(1, (float64(step)-peak)/math.Max(1, float64(steps)-1-peak)))
}
