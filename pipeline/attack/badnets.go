package attack

import (
	"slices"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
	torch "ulrl/torchbridge"
)

// patchTrigger is BadNets' (Gu, Dolan-Gavitt, Garg, arXiv 1708.06733): pixels
// that are overwritten wherever the mask is set.
func patchTrigger(b *torch.Builder, s *torch.Scope, c config.Attack, f Form) (*torch.Part, error) {
	t := c.Trigger
	pattern, mask := make([]uint8, f.C*f.H*f.W), make([]uint8, f.C*f.H*f.W)
	var err error
	if t.Pattern != "" {
		pattern, mask, err = patchFromFiles(t, f)
	} else {
		err = square(pattern, mask, t, f)
	}
	if err != nil {
		return nil, err
	}
	return patch(b, picture(s, pattern, f), picture(s, mask, f).Sign()), nil
}

// patch lays pixels on where a mask is 1; both are C×H×W.
func patch(b *torch.Builder, pattern, mask *torch.Tensor) *torch.Part {
	return b.Part("Patch").
		Buffer("pattern", pattern).
		Buffer("mask", mask).
		Define(`
def forward(self, x):
    return x * (1.0 - self.mask) + self.pattern * self.mask
`)
}

// square marks a patch in the lower right corner.
func square(pattern, mask []uint8, t config.Trigger, f Form) error {
	if t.Size+t.Margin > min(f.H, f.W) {
		return fault.Misuse("attack.trigger: a patch of %d pixels with margin %d does not fit images of %d×%d", t.Size, t.Margin, f.H, f.W)
	}
	for c := range f.C {
		for y := f.H - t.Margin - t.Size; y < f.H-t.Margin; y++ {
			for x := f.W - t.Margin - t.Size; x < f.W-t.Margin; x++ {
				pattern[(c*f.H+y)*f.W+x] = uint8(t.Value)
				mask[(c*f.H+y)*f.W+x] = 1
			}
		}
	}
	return nil
}

// patchFromFiles lays the pattern on wherever the mask is not black; of a mask
// that is resized, where it is at least half as bright as at its brightest.
func patchFromFiles(t config.Trigger, f Form) (pattern, mask []uint8, err error) {
	if pattern, _, err = readPNG(t.Pattern, f.C, f); err != nil {
		return nil, nil, err
	}
	plane, resized, err := readPNG(t.Mask, 1, f)
	if err != nil {
		return nil, nil, err
	}
	brightest := slices.Max(plane)
	if brightest == 0 {
		return nil, nil, fault.Misuse("attack.trigger.mask %s is black everywhere: no pixel would change", t.Mask)
	}
	for i, v := range plane {
		if resized && 2*int(v) < int(brightest) {
			plane[i] = 0
		}
	}
	return pattern, slices.Repeat(plane, f.C), nil
}
