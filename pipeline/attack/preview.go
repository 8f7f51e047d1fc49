package attack

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"

	"ulrl/pipeline/dataset"
)

// Rows of a preview, and how it is drawn.
const (
	previewScale  = 3 // screen pixels per pixel
	previewGap    = 4
	previewAmount = 10 // how much differences are amplified
)

// Preview is a PNG with a column for each of a few images: clean above,
// triggered below, and below that their difference, ten times amplified around
// grey. The two sets hold the same images in the same order.
func Preview(clean, triggered *dataset.Set) ([]byte, error) {
	w, h := clean.W*previewScale+previewGap, clean.H*previewScale+previewGap
	sheet := image.NewRGBA(image.Rect(0, 0, clean.Len()*w+previewGap, 3*h+previewGap))
	for i := range sheet.Pix {
		sheet.Pix[i] = 255
	}
	for i := range clean.Len() {
		a, b := clean.Image(i), triggered.Image(i)
		diff := make([]uint8, len(a))
		for k := range diff {
			diff[k] = uint8(min(max(128+previewAmount*(int(b[k])-int(a[k])), 0), 255))
		}
		for row, pixels := range [][]uint8{a, b, diff} {
			draw(sheet, image.Pt(previewGap+i*w, previewGap+row*h), pixels, clean)
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, sheet); err != nil {
		return nil, fmt.Errorf("draw the preview: %w", err)
	}
	return out.Bytes(), nil
}

func draw(sheet *image.RGBA, at image.Point, pixels []uint8, set *dataset.Set) {
	plane := set.H * set.W
	for y := range set.H * previewScale {
		for x := range set.W * previewScale {
			k := y/previewScale*set.W + x/previewScale
			c := color.RGBA{pixels[k], pixels[k], pixels[k], 255}
			if set.C == 3 {
				c.G, c.B = pixels[plane+k], pixels[2*plane+k]
			}
			sheet.SetRGBA(at.X+x, at.Y+y, c)
		}
	}
}
