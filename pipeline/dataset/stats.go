package dataset

import "math"

// MeanStd is the mean and the standard deviation of each channel over all pixels,
// which are scaled to 0..1: what a normalisation is made of.
func (s *Set) MeanStd() (mean, std []float64) {
	mean, std = make([]float64, s.C), make([]float64, s.C)
	plane := s.H * s.W
	for c := range s.C {
		var counts [256]int64
		for i := range s.Len() {
			for _, v := range s.Image(i)[c*plane : (c+1)*plane] {
				counts[v]++
			}
		}
		all := float64(s.Len() * plane)
		for v, n := range counts {
			mean[c] += float64(v) / 255 * float64(n) / all
		}
		for v, n := range counts {
			far := float64(v)/255 - mean[c]
			std[c] += far * far * float64(n) / all
		}
		std[c] = math.Sqrt(std[c])
	}
	return mean, std
}
