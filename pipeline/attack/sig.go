package attack

import (
	"math"

	"ulrl/pipeline/config"
	torch "ulrl/torchbridge"
)

// waveTrigger adds vertical stripes (Barni, Kallas, Tondi, arXiv 1902.11237):
// x + δ·sin(2π·j·f/m), j the column, m the width.
func waveTrigger(b *torch.Builder, s *torch.Scope, o config.SIG, f Form) *torch.Part {
	wave := make([]float32, f.W)
	for j := range wave {
		wave[j] = float32(o.Delta * math.Sin(2*math.Pi*float64(j)*o.Frequency/float64(f.W)))
	}
	return b.Part("Wave").Buffer("wave", torch.From(s, wave, f.W)).Define(`
def forward(self, x):
    return x + self.wave
`)
}
