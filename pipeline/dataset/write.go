package dataset

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
)

// Picture is an image of the set, grey or RGB.
func (s *Set) Picture(i int) image.Image {
	pixels, plane := s.Image(i), s.H*s.W
	if s.C == 1 {
		return &image.Gray{Pix: pixels, Stride: s.W, Rect: image.Rect(0, 0, s.W, s.H)}
	}
	out := image.NewNRGBA(image.Rect(0, 0, s.W, s.H))
	for k := range plane {
		out.Pix[4*k], out.Pix[4*k+1], out.Pix[4*k+2], out.Pix[4*k+3] = pixels[k], pixels[plane+k], pixels[2*plane+k], 255
	}
	return out
}

// FillFolder writes a set as PNG images, dir/<class>/<index>.png, so that it can be
// read again as a folder. dir is there, and empty.
func FillFolder(ctx context.Context, set *Set, dir string) error {
	for _, class := range set.Classes {
		if err := os.Mkdir(filepath.Join(dir, class), 0o755); err != nil {
			return err
		}
	}
	for i, label := range set.Labels {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writePNG(filepath.Join(dir, set.Classes[label], fmt.Sprintf("%06d.png", i)), set.Picture(i)); err != nil {
			return err
		}
	}
	return nil
}

func writePNG(path string, img image.Image) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(png.Encode(f, img), f.Close())
}
