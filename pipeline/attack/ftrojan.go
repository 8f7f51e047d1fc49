package attack

import (
	"math"

	"ulrl/pipeline/config"
	torch "ulrl/torchbridge"
)

// frequencyTrigger adds peaks at two DCT coefficients of each window, the
// middle and the highest (Wang et al., "FTrojan", arXiv 2111.10991; there
// (15,15) and (31,31) of 32×32), in the two chroma channels, or in the single
// channel of grey images. The transforms are linear, so that the peaks are a
// fixed pattern in the image.
func frequencyTrigger(b *torch.Builder, s *torch.Scope, c config.Attack, f Form) (*torch.Part, error) {
	o := c.FTrojan
	n := min(o.Window, f.H, f.W)
	// What U and V raised by 1 each do to red, green and blue.
	weights := []float64{1.140, -0.395 - 0.581, 2.032}
	if f.C == 1 {
		weights = []float64{1}
	}
	pattern := make([]float32, 0, f.C*f.H*f.W)
	for _, weight := range weights[:f.C] {
		for y := range f.H {
			for x := range f.W {
				v := 0.0
				// Beyond the last whole window there is none.
				if y < f.H/n*n && x < f.W/n*n {
					v = weight * o.Magnitude * (cosineBasis(n/2-1, n, y%n, x%n) + cosineBasis(n-1, n, y%n, x%n))
				}
				pattern = append(pattern, float32(v))
			}
		}
	}
	return added(b, torch.From(s, pattern, f.C, f.H, f.W)), nil
}

// added adds a pattern of C×H×W to every image.
func added(b *torch.Builder, pattern *torch.Tensor) *torch.Part {
	return b.Part("Added").Buffer("pattern", pattern).Define(`
def forward(self, x):
    return x + self.pattern
`)
}

// cosineBasis is the orthonormal inverse DCT of a single 1 at (k, k) of n×n.
func cosineBasis(k, n, y, x int) float64 {
	scale := 2 / float64(n)
	if k == 0 {
		scale = 1 / float64(n)
	}
	wave := func(i int) float64 { return math.Cos(math.Pi * float64(2*i+1) * float64(k) / float64(2*n)) }
	return scale * wave(y) * wave(x)
}
