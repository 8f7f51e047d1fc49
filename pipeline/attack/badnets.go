package attack

import (
	"image"
	"image/png"
	"os"
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

// patchFromFiles lays the pattern on wherever the mask is not black.
func patchFromFiles(t config.Trigger, f Form) (pattern, mask []uint8, err error) {
	if pattern, err = readPNG(t.Pattern, f.C, f.H, f.W); err != nil {
		return nil, nil, err
	}
	plane, err := readPNG(t.Mask, 1, f.H, f.W)
	if err != nil {
		return nil, nil, err
	}
	if slices.Max(plane) == 0 {
		return nil, nil, fault.Misuse("attack.trigger.mask %s is black everywhere: no pixel would change", t.Mask)
	}
	return pattern, slices.Repeat(plane, f.C), nil
}

// readPNG reads a picture of exactly h×w as C×H×W bytes, c 1 (grey) or 3.
func readPNG(path string, c, h, w int) ([]uint8, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.Misuse("trigger picture: %w", err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		return nil, fault.Misuse("trigger picture %s: not a PNG: %w", path, err)
	}
	if b := img.Bounds(); b.Dx() != w || b.Dy() != h {
		return nil, fault.Misuse("trigger picture %s is %d×%d pixels, the images are %d×%d", path, b.Dx(), b.Dy(), w, h)
	}
	return planes(img, c, h, w), nil
}

func planes(img image.Image, c, h, w int) []uint8 {
	out := make([]uint8, c*h*w)
	origin := img.Bounds().Min
	for y := range h {
		for x := range w {
			r, g, b, _ := img.At(origin.X+x, origin.Y+y).RGBA()
			at := y*w + x
			if c == 1 {
				// ITU-R 601 luma, as everywhere in the field.
				out[at] = uint8((299*r + 587*g + 114*b) / 1000 >> 8)
				continue
			}
			for ch, v := range []uint32{r, g, b} {
				out[ch*h*w+at] = uint8(v >> 8)
			}
		}
	}
	return out
}
