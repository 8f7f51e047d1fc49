package attack

import (
	"fmt"
	"math"
	"math/rand/v2"

	"ulrl/pipeline/config"
	torch "ulrl/torchbridge"
)

// warpTrigger moves an image's pixels along a smooth field (Nguyen and Tran,
// arXiv 2102.10369): a k×k grid of noise, divided by its mean magnitude,
// upsampled to the image (bicubic), times strength/height, and added to the
// identity.
func warpTrigger(b *torch.Builder, s *torch.Scope, c config.Attack, f Form) (*torch.Part, error) {
	return warp(b, s, warpNoise(s, c.WaNet.Grid, f.Seed), c.WaNet.Strength, f), nil
}

func warp(b *torch.Builder, s *torch.Scope, noise *torch.Tensor, strength float64, f Form) *torch.Part {
	return b.Part("Warp").
		Buffer("noise", noise).
		Buffer("identity", identityGrid(s, f)).
		Buffer("step", torch.From(s, []float32{float32(strength / float64(f.H))}, 1)).
		Define(fmt.Sprintf(`
def grid(self):
    field = torch.upsample_bicubic2d(self.noise, [%d, %d], True)
    return torch.clamp(self.identity + field.permute([0, 2, 3, 1]) * self.step, -1.0, 1.0)

def forward(self, x):
    return torch.grid_sampler(x, self.grid().expand([x.size(0), -1, -1, -1]), 0, 0, True)
`, f.H, f.W))
}

// warpDecoy warps each image along the same field, shaken by noise of one
// pixel: what the model must not take for the trigger. It wants N×2×H×W values
// in 0..1 beside the images.
func warpDecoy(b *torch.Builder, trigger *torch.Part) *torch.Part {
	return b.Part("ShakenWarp").Child("trigger", trigger).Define(`
def forward(self, x, shake):
    jitter = (shake * 2.0 - 1.0).permute([0, 2, 3, 1]) / float(x.size(2))
    grid = torch.clamp(self.trigger.grid() + jitter, -1.0, 1.0)
    return torch.grid_sampler(x, grid, 0, 0, True)
`)
}

func warpNoise(s *torch.Scope, k int, seed uint64) *torch.Tensor {
	rng := rand.New(rand.NewPCG(seed, 0x77616e6574))
	noise := make([]float64, 2*k*k)
	mean := 0.0
	for i := range noise {
		noise[i] = 2*rng.Float64() - 1
		mean += math.Abs(noise[i]) / float64(len(noise))
	}
	out := make([]float32, len(noise))
	for i := range noise {
		out[i] = float32(noise[i] / mean)
	}
	return torch.From(s, out, 1, 2, k, k)
}

// identityGrid is each pixel's own place, (x, y) in −1..1 with the corners at
// the ends.
func identityGrid(s *torch.Scope, f Form) *torch.Tensor {
	place := func(i, n int) float32 { return float32(2*float64(i)/float64(max(1, n-1)) - 1) }
	grid := make([]float32, 0, f.H*f.W*2)
	for y := range f.H {
		for x := range f.W {
			grid = append(grid, place(x, f.W), place(y, f.H))
		}
	}
	return torch.From(s, grid, 1, f.H, f.W, 2)
}
