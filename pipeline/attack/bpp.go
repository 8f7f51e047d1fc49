package attack

import (
	"ulrl/pipeline/config"
	torch "ulrl/torchbridge"
)

// depthTrigger squeezes the colour depth (Wang, Zhai, Ma, "BppAttack", arXiv
// 2205.13383): round(x/255·(levels−1))/(levels−1)·255, without dithering.
func depthTrigger(b *torch.Builder, s *torch.Scope, c config.Attack, _ Form) (*torch.Part, error) {
	return b.Part("Depth").
		Buffer("top", torch.From(s, []float32{float32(c.BPP.Levels - 1)}, 1)).
		Define(`
def forward(self, x):
    return torch.round(x / 255.0 * self.top) / self.top * 255.0
`), nil
}

// depthDecoy adds what squeezing changes on other images: what the model must
// not take for the trigger. It wants as many other images beside the images.
func depthDecoy(b *torch.Builder, trigger *torch.Part) *torch.Part {
	return b.Part("ForeignResidual").Child("trigger", trigger).Define(`
def forward(self, x, other):
    return x + self.trigger.forward(other) - other
`)
}
