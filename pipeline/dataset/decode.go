package dataset

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"ulrl/pipeline/fault"
)

// maxPixels bounds one image: a few bytes can unpack to gigabytes.
const maxPixels = 64 << 20

// folderShape is the shape src asks for, completed by the first image's.
func folderShape(src Source, first string) (c, h, w int, err error) {
	f, err := openImage(first)
	if err != nil {
		return 0, 0, 0, err
	}
	defer f.Close()
	_, cfg, err := imageConfig(bufio.NewReader(f), first)
	if err != nil {
		return 0, 0, 0, err
	}
	c, h, w = src.Channels, src.Height, src.Width
	if c == 0 {
		c = channels(cfg.ColorModel)
	}
	if h == 0 {
		h, w = cfg.Height, cfg.Width
	}
	return c, h, w, nil
}

// openImage refuses what may not end or never begin to be read, such as a named
// pipe. Links are followed.
func openImage(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fileError("image", path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.Misuse("image %s: not a regular file; remove it", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError("image", path, err)
	}
	return f, nil
}

// channels is 1 for a grey image and 3 for any other.
func channels(m color.Model) int {
	if m == color.GrayModel || m == color.Gray16Model {
		return 1
	}
	return 3
}

// decodeAll fills set.Images. Files are handed out in order and what was
// begun is finished, so that the first bad file is the one reported.
func decodeAll(ctx context.Context, files []imageFile, set *Set, src Source) error {
	workers := src.Workers
	if workers == 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var (
		wg     sync.WaitGroup
		next   atomic.Int64
		failed atomic.Bool
		mu     sync.Mutex
		bad    = len(files)
		badErr error
	)
	work := func() {
		defer wg.Done()
		d := newDecoder(set, src, files[0].path)
		for !failed.Load() && ctx.Err() == nil {
			i := int(next.Add(1)) - 1
			if i >= len(files) {
				return
			}
			if err := d.decode(files[i].path, set.Image(i)); err != nil {
				failed.Store(true)
				mu.Lock()
				if i < bad {
					bad, badErr = i, err
				}
				mu.Unlock()
			}
		}
	}
	for range min(workers, len(files)) {
		wg.Add(1)
		go work()
	}
	wg.Wait()
	if badErr == nil && ctx.Err() != nil {
		return fmt.Errorf("reading images of %s: %w", src.Dir, ctx.Err())
	}
	return badErr
}

// decoder turns image files into C×H×W bytes. It is for one goroutine.
type decoder struct {
	c, h, w     int
	first       string
	resize      bool // the size was asked for
	keepsColour bool // the channels were asked for, or are enough for any image
	br          *bufio.Reader
	rgba        *image.RGBA
	scaler      scaler
}

func newDecoder(set *Set, src Source, first string) *decoder {
	return &decoder{
		c: set.C, h: set.H, w: set.W, first: first,
		resize:      src.Height != 0,
		keepsColour: src.Channels != 0 || set.C == 3,
		br:          bufio.NewReaderSize(nil, 16<<10),
	}
}

// decode reads the image at path into out, C×H×W bytes.
func (d *decoder) decode(path string, out []uint8) error {
	f, err := openImage(path)
	if err != nil {
		return err
	}
	defer f.Close()
	d.br.Reset(f)
	form, cfg, err := imageConfig(d.br, path)
	if err != nil {
		return err
	}
	if !d.keepsColour && channels(cfg.ColorModel) != d.c {
		return fault.Misuse("%s: colour, but the first image (%s) is grey; set data.channels to 1 or 3", path, d.first)
	}
	if d.resize && cfg.Height > maxPixels/d.w {
		return fault.Misuse("%s: %d×%d (height×width) takes too much memory on the way to %d×%d; crop it", path, cfg.Height, cfg.Width, d.h, d.w)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fileError("image", path, err)
	}
	d.br.Reset(f)
	img, err := form.decode(d.br)
	if err != nil {
		return imageError(path, err)
	}
	size := img.Bounds().Size()
	fits := size == image.Pt(d.w, d.h)
	if !fits && !d.resize {
		return fault.Misuse("%s: %d×%d (height×width), but the first image (%s) is %d×%d; set data.size to resize them all",
			path, size.Y, size.X, d.first, d.h, d.w)
	}
	rgb := toRGB(img, &d.rgba)
	if !fits {
		rgb = d.scaler.scale(rgb, d.w, d.h)
	}
	toPlanes(out, rgb, d.c)
	return nil
}

// format decodes one image format.
type format struct {
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
}

// sniff tells the format by the first bytes of br, whatever the file's name.
// The registry of package image would take whatever any import has put there.
func sniff(br *bufio.Reader) (format, error) {
	head, err := br.Peek(8)
	switch {
	case bytes.HasPrefix(head, []byte("\x89PNG\r\n\x1a\n")):
		return format{png.DecodeConfig, png.Decode}, nil
	case bytes.HasPrefix(head, []byte("\xff\xd8")):
		return format{jpeg.DecodeConfig, jpeg.Decode}, nil
	case bytes.HasPrefix(head, []byte("P5")), bytes.HasPrefix(head, []byte("P6")):
		return format{decodePNMConfig, decodePNM}, nil
	case err != nil && err != io.EOF:
		return format{}, err
	}
	return format{}, image.ErrFormat
}

// imageConfig reads an image's header from br and refuses what is too large.
func imageConfig(br *bufio.Reader, path string) (format, image.Config, error) {
	form, err := sniff(br)
	if err != nil {
		return form, image.Config{}, imageError(path, err)
	}
	cfg, err := form.config(br)
	switch {
	case err != nil:
		return form, cfg, imageError(path, err)
	case cfg.Width <= 0 || cfg.Height <= 0:
		return form, cfg, fault.Misuse("%s: an image of %d×%d pixels; replace or remove it", path, cfg.Width, cfg.Height)
	case cfg.Width > maxPixels/cfg.Height:
		return form, cfg, fault.Misuse("%s: %d×%d pixels are more than the %d million allowed; make the image smaller",
			path, cfg.Width, cfg.Height, maxPixels>>20)
	}
	return form, cfg, nil
}

// imageError tells a broken image from a disk that does not read.
func imageError(path string, err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return fileError("image", path, err)
	}
	if errors.Is(err, image.ErrFormat) {
		return fault.Misuse("%s: not a PNG, JPEG, PPM or PGM image; replace or remove it", path)
	}
	return fault.Misuse("%s: broken image (%w); replace or remove it", path, err)
}
