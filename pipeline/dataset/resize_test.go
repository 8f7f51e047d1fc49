package dataset

import (
	"context"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"ulrl/pipeline/testenv"
)

// resizeProgram resizes pictures with PIL, as training pipelines do: photos out
// of an archive, small ones joined to larger, and one that looks like a photo,
// large. It writes each picture, grey and in colour, and what it became.
const resizeProgram = `
import io, math, os, sys, tarfile
from PIL import Image, ImageDraw, ImageFilter
out, archive = sys.argv[1:]
photos = []
with tarfile.open(archive) as tar:
    for member in tar:
        if member.isfile() and member.name.lower().endswith((".jpg", ".jpeg")):
            photos.append(Image.open(io.BytesIO(tar.extractfile(member).read())).convert("RGB"))
        if len(photos) == 40:
            break
mosaic = Image.new("RGB", (160, 256))
for i, photo in enumerate(photos):
    mosaic.paste(photo, (i % 5 * 32, i // 5 * 32))
large = Image.new("RGB", (1021, 767))
pixels = large.load()
for y in range(767):
    for x in range(1021):
        v = 128 + 90 * math.sin(x / 50) * math.cos(y / 70)
        pixels[x, y] = (int(v), int(255 * x / 1021), int(255 - v * y / 767))
draw = ImageDraw.Draw(large)
for i in range(60):
    draw.line((17 * i, 0, 1021 - 9 * i, 767), fill=(4 * i, 255 - 4 * i, 40), width=1 + i % 4)
noise = Image.effect_noise((1021, 767), 50).convert("RGB")
large = Image.blend(large, noise, 0.25)
cases = [(p, s) for p in photos[:4] for s in ((64, 64), (224, 224), (20, 28), (32, 48), (1, 1), (33, 31))]
cases += [(mosaic, s) for s in ((32, 32), (64, 64), (159, 255), (160, 100), (300, 256), (7, 500))]
cases += [(large, s) for s in ((32, 32), (64, 64), (224, 224), (1024, 768), (3, 700))]
for i, (picture, size) in enumerate(cases):
    for mode in ("RGB", "L"):
        p = picture.convert(mode)
        name = os.path.join(out, "%03d%s" % (i, mode))
        p.save(name + ".png")
        p.resize(size, Image.BILINEAR).save(name + ".to.png")
`

// Pictures must become to the bit what PIL's antialiased bilinear filter makes of them,
// which torchvision's Resize is.
func TestResizeAsPIL(t *testing.T) {
	python := testenv.Python(t, "PIL")
	archive, dir := testenv.Shared(t, "data", "cifar10-jpeg.tar.xz"), t.TempDir()
	if out, err := exec.Command(python, "-c", resizeProgram, dir, archive).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	made, err := filepath.Glob(filepath.Join(dir, "*.to.png"))
	must(t, err)
	if len(made) < 70 {
		t.Fatalf("only %d pictures", len(made))
	}
	worst, off, all := 0, 0, 0
	for _, path := range made {
		c := 3
		if filepath.Base(path)[3] == 'L' {
			c = 1
		}
		want, w, h := pngPlanes(t, path, c, 0, 0)
		got, _, _ := pngPlanes(t, path[:len(path)-len(".to.png")]+".png", c, w, h)
		far := 0
		for i := range want {
			far = max(far, int(want[i])-int(got[i]), int(got[i])-int(want[i]))
			if want[i] != got[i] {
				off++
			}
		}
		all += len(want)
		if worst = max(worst, far); far > 0 {
			t.Errorf("%s, to %d×%d: off by %d", filepath.Base(path), w, h, far)
		}
	}
	t.Logf("%d pictures, off by at most %d, at %.2f %% of the values", len(made), worst, 100*float64(off)/float64(all))
}

// pngPlanes reads a picture as c planes of w×h, 0 for its own size.
func pngPlanes(t *testing.T, path string, c, w, h int) (planes []uint8, width, height int) {
	t.Helper()
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	img, err := png.Decode(f)
	must(t, err)
	if size := img.Bounds().Size(); w == 0 {
		w, h = size.X, size.Y
	}
	return Planes(img, c, h, w), w, h
}

// An image that is one long line would take gigabytes on its way to a small one.
func TestResizeOfLines(t *testing.T) {
	dir := makeFolder(t, map[string][]byte{"a/1.png": pngBytes(t, plain(32, 32, 5, 5, 5)), "a/2.png": hugePNG(1, maxPixels)})
	_, err := Read(context.Background(), Source{Kind: KindFolder, Dir: dir, Height: 32, Width: 32})
	wantMisuse(t, err, "a/2.png: 67108864×1 (height×width) takes too much memory on the way to 32×32; crop it")
}
