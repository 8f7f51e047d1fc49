package dataset

import (
	"bytes"
	"context"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestDetect(t *testing.T) {
	idx := func(name string) string {
		return makeFolder(t, map[string][]byte{name: {1}})
	}
	binary := t.TempDir()
	writeBinaryCIFAR(t, binary, "cifar100")
	px := pngBytes(t, plain(2, 2, 1, 2, 3))
	for _, x := range []struct{ dir, kind string }{
		{binary, KindCIFAR},
		{filepath.Join(binary, "cifar-100-binary"), KindCIFAR},
		{makeFolder(t, tinyFiles(t, "")), KindTinyImageNet},
		{makeFolder(t, tinyFiles(t, "tiny-imagenet-200/")), KindTinyImageNet},
		{makeFolder(t, gtsrbFiles("GTSRB/Training", "GTSRB/Final_Test/Images", ".")), KindGTSRB},
		{makeFolder(t, gtsrbFiles("Train", "Test", "Test")), KindGTSRB},
		{idx("train-images-idx3-ubyte.gz"), KindIDX},
		{idx("train-images-idx3-ubyte"), KindIDX},
		{makeFolder(t, map[string][]byte{"train/a/1.png": px, "test/a/1.png": px}), KindFolder},
		{makeFolder(t, map[string][]byte{"train/00000/1.png": px, "train/00042/1.png": px, "test/00000/1.png": px, "test/00042/1.png": px}), KindFolder},
		{makeFolder(t, gtsrbFiles("train", "test", "test")), KindGTSRB},
	} {
		if kind, err := Detect(x.dir); err != nil || kind != x.kind {
			t.Errorf("%s: %q, %v; want %q", x.dir, kind, err, x.kind)
		}
		if x.kind == KindIDX {
			continue // not a whole set
		}
		for _, split := range []string{Train, Test} {
			found, err := Read(context.Background(), SourceIn(KindAuto, x.dir, split))
			must(t, err)
			set, err := Read(context.Background(), SourceIn(x.kind, x.dir, split))
			must(t, err)
			if !bytes.Equal(found.Images, set.Images) || found.Name != set.Name {
				t.Errorf("%s: found as %s, not as %s", x.dir, found.Name, set.Name)
			}
		}
	}
	_, err := Read(context.Background(), SourceIn(KindAuto, makeFolder(t, map[string][]byte{"a/1.txt": nil}), Train))
	wantMisuse(t, err, "no data set is known by what lies there", "set data.kind to one of idx, folder, cifar, gtsrb, tiny-imagenet, npy")
	_, err = Detect(filepath.Join(t.TempDir(), "none"))
	wantMisuse(t, err, "/none: not found")
	file := filepath.Join(t.TempDir(), "x.tar")
	must(t, os.WriteFile(file, nil, 0o600))
	_, err = Detect(file)
	wantMisuse(t, err, "x.tar: neither a folder nor NumPy's")
}

func TestMeanStd(t *testing.T) {
	s := &Set{C: 2, H: 1, W: 2, Labels: make([]int64, 2), Images: []uint8{0, 255, 51, 51, 0, 255, 51, 102}}
	mean, std := s.MeanStd()
	for i, want := range []float64{0.5, 0.25, 0.5, math.Sqrt(0.0075)} {
		if got := append(mean, std...)[i]; math.Abs(got-want) > 1e-12 {
			t.Errorf("%d: %v, want %v", i, got, want)
		}
	}
}

// A sheet shows every class, also of wide, tiny and grey images, and of classes
// without any.
func TestContactSheet(t *testing.T) {
	for _, x := range []struct{ c, h, w, classes, wide, high int }{
		{3, 32, 32, 10, 8*68 + 24, 10*96 + 12},
		{1, 28, 28, 2, 8*60 + 24, 2*88 + 12},
		{3, 1, 1, 3, 8*68 + 24, 3*96 + 12},
		{3, 300, 900, 1, 8*196 + 24, 96 + 12},
		{1, 64, 64, 43, 3*(8*68+12) + 12, 15*96 + 12},
	} {
		s := &Set{C: x.c, H: x.h, W: x.w, Classes: numberNames(x.classes)}
		for i := range 3 * x.classes / 2 {
			s.Images = append(s.Images, bytes.Repeat([]byte{uint8(i)}, x.c*x.h*x.w)...)
			s.Labels = append(s.Labels, int64(i%max(1, x.classes-1)))
		}
		s.Titles = append([]string{"eine sehr lange Überschrift, die nirgends hinpaßt und nirgends hinpaßt und nirgends hinpaßt"}, s.Classes[1:]...)
		text, err := s.ContactSheet()
		must(t, err)
		img, err := png.Decode(bytes.NewReader(text))
		must(t, err)
		if size := img.Bounds().Size(); size.X != x.wide || size.Y != x.high {
			t.Errorf("%d classes of %d×%d: %v, want %d×%d", x.classes, x.h, x.w, size, x.wide, x.high)
		}
		if r, _, _, _ := img.At(sheetMargin+1, sheetMargin+sheetLine+1).RGBA(); r>>8 != 0 {
			t.Errorf("the first image is of %d", r>>8)
		}
	}
}
