package attack

import (
	"image"
	"image/png"
	"os"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
)

// patch is BadNets' trigger (Gu, Dolan-Gavitt, Garg, arXiv 1708.06733): pixels
// that are overwritten wherever on is set.
type patch struct {
	value []uint8 // C×H×W
	on    []bool
}

func newPatch(t config.Trigger, c, h, w int) (*patch, error) {
	p := &patch{value: make([]uint8, c*h*w), on: make([]bool, c*h*w)}
	if t.Pattern != "" {
		return p, p.fromFiles(t, c, h, w)
	}
	if t.Size+t.Margin > min(h, w) {
		return nil, fault.Misuse("attack.trigger: a patch of %d pixels with margin %d does not fit images of %d×%d", t.Size, t.Margin, h, w)
	}
	for ch := range c {
		for y := h - t.Margin - t.Size; y < h-t.Margin; y++ {
			for x := w - t.Margin - t.Size; x < w-t.Margin; x++ {
				p.value[(ch*h+y)*w+x] = uint8(t.Value)
				p.on[(ch*h+y)*w+x] = true
			}
		}
	}
	return p, nil
}

// fromFiles lays the pattern on wherever the mask is not black.
func (p *patch) fromFiles(t config.Trigger, c, h, w int) error {
	pattern, err := readPNG(t.Pattern, c, h, w)
	if err != nil {
		return err
	}
	mask, err := readPNG(t.Mask, 1, h, w)
	if err != nil {
		return err
	}
	any := false
	for i := range p.value {
		p.value[i] = pattern[i]
		p.on[i] = mask[i%(h*w)] > 0
		any = any || p.on[i]
	}
	if !any {
		return fault.Misuse("attack.trigger.mask %s is black everywhere: no pixel would change", t.Mask)
	}
	return nil
}

func (p *patch) Apply(img []uint8) {
	for i, on := range p.on {
		if on {
			img[i] = p.value[i]
		}
	}
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
