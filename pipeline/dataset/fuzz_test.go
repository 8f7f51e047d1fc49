package dataset

import (
	"bufio"
	"bytes"
	"image"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"ulrl/pipeline/fault"
)

// whole wants an error of a damaged file to be the user's to mend and one line.
func whole(t *testing.T, err error) {
	t.Helper()
	if !fault.IsMisuse(err) || strings.ContainsAny(err.Error(), "\n\r\x1b\x00") {
		t.Fatalf("got %q (misuse %v)", err, fault.IsMisuse(err))
	}
}

func FuzzCIFAR(f *testing.F) {
	f.Add([]byte(strings.Repeat("\x03", 2*(1+cifarPixels))))
	f.Add([]byte("\x80\x02}(X\x04\x00\x00\x00dataX\x06\x00\x00\x00labels]u."))
	f.Add([]byte("\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x00M\x00\x0ctcnumpy\ndtype\n(U\x02u1K\x00K\x01tR\x89U\x00tbU\x06labels]U\x0blabel_names](U\x03catetu."))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, form := range cifarForms() {
			images, labels, err := form.read(form, "batch", text)
			if err != nil {
				whole(t, err)
			} else if len(images) != len(labels)*cifarPixels {
				t.Fatalf("%d bytes for %d labels", len(images), len(labels))
			}
			if _, err := form.names(form, "meta", text); err != nil {
				whole(t, err)
			}
		}
	})
}

// An image of any format that a folder's files may have, as each of them is decoded.
func FuzzImage(f *testing.F) {
	small := image.NewRGBA(image.Rect(0, 0, 3, 2))
	var asPNG, asJPEG bytes.Buffer
	if err := png.Encode(&asPNG, small); err != nil {
		f.Fatal(err)
	}
	if err := jpeg.Encode(&asJPEG, small, nil); err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{asPNG.String(), asJPEG.String(), "P6 1 1 255\nabc", "P5\n# grey\n2 1 65535\nabcd", "P5 99999999 99999999 1\n", "P6 1 1 3\n\x04\x00\x00", "GIF89a"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		form, cfg, err := imageConfig(bufio.NewReader(bytes.NewReader(text)), "x.png")
		if err != nil {
			whole(t, err)
			return
		}
		if cfg.Width*cfg.Height > 1<<20 {
			return // allowed, and slow
		}
		img, err := form.decode(bytes.NewReader(text))
		if err != nil {
			whole(t, imageError("x.png", err))
			return
		}
		if size := img.Bounds().Size(); size != image.Pt(cfg.Width, cfg.Height) {
			t.Fatalf("%v, its header says %d×%d", size, cfg.Width, cfg.Height)
		}
		var rgba *image.RGBA
		toPlanes(make([]uint8, 3*cfg.Width*cfg.Height), toRGB(img, &rgba), 3)
	})
}
