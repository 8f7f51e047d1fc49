package dataset

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"

	"ulrl/pipeline/fault"
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

// WriteFolder writes a set as PNG images, dir/<class>/<index>.png, so that it
// can be read again as a folder. dir must not be there, or be empty; it appears
// whole or not at all.
func WriteFolder(ctx context.Context, set *Set, dir string) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fault.Misuse("%s is not empty: choose another folder", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Misuse("folder for images: %w", err)
	}
	above := filepath.Dir(filepath.Clean(dir))
	if err := os.MkdirAll(above, 0o755); err != nil {
		return fault.Misuse("folder for images: %w", err)
	}
	partial, err := os.MkdirTemp(above, ".images-")
	if err != nil {
		return fault.Misuse("folder for images: %w", err)
	}
	defer func() { _ = os.RemoveAll(partial) }() // nothing is there once it was renamed
	if err := fillFolder(ctx, set, partial); err != nil {
		return fmt.Errorf("write images to %s: %w", dir, err)
	}
	if err := os.Chmod(partial, 0o755); err != nil {
		return fmt.Errorf("write images to %s: %w", dir, err)
	}
	if err := os.Rename(partial, dir); err != nil {
		return fmt.Errorf("write images to %s: %w", dir, err)
	}
	return nil
}

func fillFolder(ctx context.Context, set *Set, dir string) error {
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
