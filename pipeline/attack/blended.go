package attack

import (
	"math/rand/v2"

	"ulrl/pipeline/config"
	torch "ulrl/torchbridge"
)

// blendTrigger mixes a whole picture into the image (Chen et al., arXiv
// 1712.05526): (1 − a)·x + a·pattern. Without a picture the pattern is noise,
// each pixel uniform in 0..255, by seed.
func blendTrigger(b *torch.Builder, s *torch.Scope, c config.Attack, f Form) (*torch.Part, error) {
	o := c.Blended
	pattern := make([]uint8, f.C*f.H*f.W)
	if o.Pattern != "" {
		var err error
		if pattern, _, err = readPNG(o.Pattern, f.C, f); err != nil {
			return nil, err
		}
	} else {
		rng := rand.New(rand.NewPCG(f.Seed, 0x626c656e64))
		for i := range pattern {
			pattern[i] = uint8(rng.UintN(256))
		}
	}
	return b.Part("Blend").
		Buffer("pattern", picture(s, pattern, f)).
		Buffer("alpha", torch.From(s, []float32{float32(o.Alpha)}, 1)).
		Define(`
def forward(self, x):
    return (1.0 - self.alpha) * x + self.alpha * self.pattern
`), nil
}
