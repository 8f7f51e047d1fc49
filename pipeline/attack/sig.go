package attack

import (
	"math"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
	torch "ulrl/torchbridge"
)

// waveTrigger adds vertical stripes (Barni, Kallas, Tondi, arXiv 1902.11237):
// x + δ·sin(2π·j·f/m), j the column, m the width.
func waveTrigger(b *torch.Builder, s *torch.Scope, c config.Attack, f Form) (*torch.Part, error) {
	o := c.SIG
	wave := make([]float32, f.W)
	height := 0.0
	for j := range wave {
		v := o.Delta * math.Sin(2*math.Pi*float64(j)*o.Frequency/float64(f.W))
		wave[j] = float32(v)
		height = max(height, math.Abs(v))
	}
	// Of 6 stripes over 12 columns every column is a zero of the sine.
	if height < 0.5 {
		return nil, fault.Misuse("attack.sig: %v stripes of %v grey values change no pixel of images %d wide: choose another frequency", o.Frequency, o.Delta, f.W)
	}
	return b.Part("Wave").Buffer("wave", torch.From(s, wave, f.W)).Define(`
def forward(self, x):
    return x + self.wave
`), nil
}
