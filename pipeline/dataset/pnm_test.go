package dataset

import (
	"bytes"
	"context"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"ulrl/pipeline/testenv"
)

func ppm(w, h int, pixels []byte) []byte {
	head := "P6\n" + numberNames(w + 1)[w] + " " + numberNames(h + 1)[h] + "\n255\n"
	return append([]byte(head), pixels...)
}

func TestPNM(t *testing.T) {
	for _, x := range []struct {
		name, text string
		c          int
		want       []byte
	}{
		{"colour", "P6\n2 1\n255\n\x01\x02\x03\x04\x05\x06", 3, []byte{1, 4, 2, 5, 3, 6}},
		{"grey", "P5 2 1 255 \x01\x02", 1, []byte{1, 2}},
		{"comments", "P5#a 9\n# b\r2 # c\n1\n255\n\x01\x02", 1, []byte{1, 2}},
		{"the first sample is a blank", "P5 2 1 255\n\n\n", 1, []byte{10, 10}},
		{"of 15", "P5 3 1 15\n\x00\x07\x0f", 1, []byte{0, 119, 255}},
		{"two bytes", "P5 3 1 65535\n\x00\x00\x80\x00\xff\xff", 1, []byte{0, 128, 255}},
		{"two bytes in colour", "P6 1 1 1000\n\x00\x00\x01\xf4\x03\xe8", 3, []byte{0, 128, 255}},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir := makeFolder(t, map[string][]byte{"a/1.ppm": []byte(x.text), "a/2.PGM": []byte(x.text)})
			set, err := Read(context.Background(), Source{Kind: KindFolder, Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if set.C != x.c || !bytes.Equal(set.Images, slices.Concat(x.want, x.want)) {
				t.Errorf("%d channels of %v", set.C, set.Images)
			}
		})
	}
	for _, x := range []struct{ name, text, want string }{
		{"cut", "P6\n2 2\n255\n\x01\x02", "broken image (unexpected EOF)"},
		{"no header", "P6\n2", "not that of a raw PPM"},
		{"comment without end", "P6\n2 #", "not that of a raw PPM"},
		{"text", "P6\n2 x", "not that of a raw PPM"},
		{"no number that large", "P6\n99999999999 1 255\n", "not that of a raw PPM"},
		{"sample beyond", "P5 1 1 15\n\x10", "a sample of 16, though 15"},
		{"depth", "P5 1 1 65536\n\x10", "65536, wanted 1 to 65535"},
		{"no pixels", "P5 0 1 255\n", "an image of 0×1"},
		{"too many", "P5 99999 99999 255\n", "more than the 64 million"},
		{"plain", "P3 1 1 255\n1 2 3", "not a PNG, JPEG, PPM or PGM"},
	} {
		t.Run(x.name, func(t *testing.T) {
			_, err := Read(context.Background(), Source{Kind: KindFolder, Dir: makeFolder(t, map[string][]byte{"a/1.ppm": []byte(x.text)})})
			wantMisuse(t, err, "a/1.ppm: ", x.want)
		})
	}
}

// What PIL writes as PPM and PGM is read as what it writes as PNG.
func TestPNMOfPIL(t *testing.T) {
	python, dir := testenv.Python(t, "PIL"), t.TempDir()
	const program = `
import os, sys
from PIL import Image
for name, mode in (("a.ppm", "RGB"), ("b.pgm", "L")):
    img = Image.effect_noise((37, 23), 60).convert(mode)
    img.save(os.path.join(sys.argv[1], name))
    img.save(os.path.join(sys.argv[1], name + ".png"))
`
	if out, err := exec.Command(python, "-c", program, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"a.ppm", "b.pgm"} {
		var planes [2][]uint8
		for i, ending := range []string{"", ".png"} {
			text, err := os.ReadFile(filepath.Join(dir, name+ending))
			must(t, err)
			decode := decodePNM
			if i == 1 {
				decode = png.Decode
			}
			img, err := decode(bytes.NewReader(text))
			must(t, err)
			planes[i] = Planes(img, 3, 23, 37)
		}
		if !bytes.Equal(planes[0], planes[1]) {
			t.Errorf("%s is not read as PIL has it", name)
		}
	}
}
