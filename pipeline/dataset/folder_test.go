package dataset

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ulrl/pipeline/fault"
)

func pngBytes(t testing.TB, img image.Image) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func jpegBytes(t testing.TB, img image.Image) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := jpeg.Encode(&buf, img, &jpeg.Options{Quality: 100}); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// plain is a w×h image of one opaque colour.
func plain(w, h int, r, g, b uint8) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for i := 0; i < len(img.Pix); i += 4 {
		img.Pix[i], img.Pix[i+1], img.Pix[i+2], img.Pix[i+3] = r, g, b, 0xff
	}
	return img
}

func grey(w, h int, v uint8) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = v
	}
	return img
}

// hugePNG is the header of a PNG of w×h pixels with nothing behind it.
func hugePNG(w, h uint32) []byte {
	chunk := []byte("IHDR")
	chunk = binary.BigEndian.AppendUint32(chunk, w)
	chunk = binary.BigEndian.AppendUint32(chunk, h)
	chunk = append(chunk, 8, 2, 0, 0, 0)
	out := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	return binary.BigEndian.AppendUint32(append(out, chunk...), crc32.ChecksumIEEE(chunk))
}

// makeFolder writes files, by path below a new folder; an empty name's end in
// a slash makes a folder.
func makeFolder(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "pictures")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		writeFile(t, filepath.Join(dir, name), data)
	}
	return dir
}

func TestReadFolder(t *testing.T) {
	px := func(v uint8) []byte { return pngBytes(t, plain(2, 1, v, v+1, v+2)) }
	want := func(vs ...uint8) (planes []byte) {
		for _, v := range vs {
			planes = append(planes, v, v, v+1, v+1, v+2, v+2)
		}
		return planes
	}
	greyPNG := func(v uint8) []byte { return pngBytes(t, grey(2, 1, v)) }
	tests := []struct {
		name    string
		files   map[string][]byte
		src     Source
		classes []string
		labels  []int64
		c       int
		images  []byte
	}{
		{"by name", map[string][]byte{"dog/b.png": px(20), "dog/a.png": px(10), "cat/z.png": px(30)}, Source{},
			[]string{"cat", "dog"}, []int64{0, 1, 1}, 3, want(30, 10, 20)},
		{"by number", map[string][]byte{"10/a.png": px(3), "9/a.png": px(2), "001/a.png": px(1)}, Source{Classes: 3},
			[]string{"001", "9", "10"}, []int64{0, 1, 2}, 3, want(1, 2, 3)},
		{"one name is no number", map[string][]byte{"10/a.png": px(1), "9/a.png": px(2), "x/a.png": px(3)}, Source{},
			[]string{"10", "9", "x"}, []int64{0, 1, 2}, 3, want(1, 2, 3)},
		{"what is ignored", map[string][]byte{
			"a/1.PNG": px(1), "a/notes.txt": []byte("x"), "a/._1.png": []byte("x"), "a/.cache/2.png": []byte("x"),
			".git/1.png": []byte("x"), "README.md": []byte("x"), "stray.png": []byte("x"), "b/1.png": px(2)}, Source{},
			[]string{"a", "b"}, []int64{0, 1}, 3, want(1, 2)},
		{"folders in class folders", map[string][]byte{"a/images/2.png": px(2), "a/1.png": px(1)}, Source{},
			[]string{"a"}, []int64{0, 0}, 3, want(1, 2)},
		{"a JPEG named PNG", map[string][]byte{"a/1.png": jpegBytes(t, grey(2, 1, 9))}, Source{},
			[]string{"a"}, []int64{0}, 1, []byte{9, 9}},
		{"grey as found", map[string][]byte{"a/1.png": greyPNG(5), "a/2.png": greyPNG(6)}, Source{},
			[]string{"a"}, []int64{0, 0}, 1, []byte{5, 5, 6, 6}},
		{"grey among colour", map[string][]byte{"a/1.png": px(5), "a/2.png": greyPNG(6)}, Source{},
			[]string{"a"}, []int64{0, 0}, 3, append(want(5), 6, 6, 6, 6, 6, 6)},
		{"grey to RGB", map[string][]byte{"a/1.png": greyPNG(5)}, Source{Channels: 3},
			[]string{"a"}, []int64{0}, 3, []byte{5, 5, 5, 5, 5, 5}},
		{"colour to grey", map[string][]byte{"a/1.png": pngBytes(t, plain(2, 1, 200, 100, 50)), "a/2.png": greyPNG(77)}, Source{Channels: 1},
			[]string{"a"}, []int64{0, 0}, 1, []byte{124, 124, 77, 77}},
		{"resized", map[string][]byte{"a/1.png": px(5), "a/2.png": pngBytes(t, plain(9, 7, 50, 60, 255))}, Source{Height: 2, Width: 1},
			[]string{"a"}, []int64{0, 0}, 3, []byte{5, 5, 6, 6, 7, 7, 50, 50, 60, 60, 255, 255}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.src.Kind, tt.src.Dir = KindFolder, makeFolder(t, tt.files)
			for _, tt.src.Workers = range []int{0, 1, 7} {
				set, err := Read(context.Background(), tt.src)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(set.Classes, tt.classes) || !slices.Equal(set.Labels, tt.labels) || set.Name != "pictures" {
					t.Errorf("%d workers: %q has classes %q, labels %v", tt.src.Workers, set.Name, set.Classes, set.Labels)
				}
				if set.C != tt.c || !bytes.Equal(set.Images, tt.images) {
					t.Errorf("%d workers: %d channels of %v; want %d of %v", tt.src.Workers, set.C, set.Images, tt.c, tt.images)
				}
			}
		})
	}
}

func TestReadFolderErrors(t *testing.T) {
	ok := pngBytes(t, plain(4, 4, 1, 2, 3))
	small := pngBytes(t, plain(4, 3, 1, 2, 3))
	var animation bytes.Buffer
	if err := gif.Encode(&animation, plain(4, 4, 1, 2, 3), nil); err != nil {
		t.Fatal(err)
	}
	many := map[string][]byte{}
	for i := range 360 {
		many[fmt.Sprintf("a/%d.png", i)] = ok
	}
	tests := []struct {
		name  string
		files map[string][]byte
		src   Source
		want  []string
	}{
		{"empty", nil, Source{}, []string{"/pictures: no class folders", "CLASS/IMAGE"}},
		{"images without class folders", map[string][]byte{"1.png": ok, "2.JPG": ok}, Source{}, []string{"only 2 images", "CLASS/IMAGE"}},
		{"no image at all", map[string][]byte{"a/": nil, "b/x.txt": nil}, Source{}, []string{"/pictures: no image (PNG, JPEG, PPM, PGM) in its 2 class folders"}},
		{"images of a form that is not read", map[string][]byte{"a/1.png": ok, "a/2.WebP": ok, "a/3.gif": ok}, Source{}, []string{"a/2.WebP: images of this form are not read; convert it to PNG, or remove it"}},
		{"class without samples", map[string][]byte{"a/1.png": ok, "b/x.txt": nil}, Source{}, []string{`/pictures: class "b" has no samples`}},
		{"too many classes", map[string][]byte{"a/1.png": ok, "b/1.png": ok}, Source{Classes: 1}, []string{"2 class folders, but data.classes is 1; which of a, b is none?"}},
		{"too few classes", map[string][]byte{"a/1.png": ok, "b/1.png": ok}, Source{Classes: 3}, []string{"2 class folders, but data.classes is 3"}},
		{"numbered class missing", map[string][]byte{"0/1.png": ok, "1/1.png": ok, "3/1.png": ok}, Source{Classes: 4}, []string{"class 2 has no folder"}},
		{"last numbered class missing", map[string][]byte{"0/1.png": ok, "1/1.png": ok}, Source{Classes: 3}, []string{"class 2 has no folder"}},
		{"sizes differ", map[string][]byte{"a/1.png": ok, "a/2.png": small, "b/1.png": small}, Source{}, []string{"a/2.png: 3×4", "a/1.png) is 4×4", "data.size"}},
		{"colour after grey", map[string][]byte{"a/1.png": pngBytes(t, grey(4, 4, 1)), "a/2.png": ok}, Source{}, []string{"a/2.png: colour", "a/1.png) is grey", "data.channels"}},
		{"empty file", map[string][]byte{"a/1.png": {}}, Source{}, []string{"a/1.png: not a PNG, JPEG, PPM or PGM"}},
		{"a GIF named PNG", map[string][]byte{"a/1.png": ok, "a/2.png": animation.Bytes()}, Source{}, []string{"a/2.png: not a PNG, JPEG, PPM or PGM"}},
		{"no image inside", map[string][]byte{"a/1.png": ok, "a/2.jpg": []byte("hello")}, Source{}, []string{"a/2.jpg: not a PNG, JPEG, PPM or PGM"}},
		{"cut PNG", map[string][]byte{"a/1.png": ok, "a/2.png": ok[:len(ok)-20]}, Source{}, []string{"a/2.png: broken image"}},
		{"cut first PNG", map[string][]byte{"a/1.png": ok[:20]}, Source{}, []string{"a/1.png: broken image"}},
		{"cut JPEG", map[string][]byte{"a/1.jpg": jpegBytes(t, plain(40, 40, 1, 2, 3))[:400]}, Source{}, []string{"a/1.jpg: broken image"}},
		{"too many pixels", map[string][]byte{"a/1.png": hugePNG(8193, 8192)}, Source{}, []string{"a/1.png: 8193×8192 pixels", "64 million"}},
		{"too many pixels later", map[string][]byte{"a/1.png": ok, "a/2.png": hugePNG(1<<30, 1<<20)}, Source{Height: 4, Width: 4}, []string{"a/2.png: 1073741824×1048576"}},
		{"too much memory", many, Source{Height: 8192, Width: 8192}, []string{"360 images of 3×8192×8192", "67.5 GiB", "64 GiB"}},
		{"the first of many bad", map[string][]byte{"a/1.png": ok, "a/2.png": []byte("bad"), "a/3.png": []byte("bad"), "b/1.png": small}, Source{}, []string{"a/2.png: not a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.src.Kind, tt.src.Dir = KindFolder, makeFolder(t, tt.files)
			for _, tt.src.Workers = range []int{0, 1, 7} {
				_, err := Read(context.Background(), tt.src)
				wantMisuse(t, err, tt.want...)
			}
		})
	}
}

func TestReadFolderOddFiles(t *testing.T) {
	ok := pngBytes(t, plain(4, 4, 1, 2, 3))
	read := func(dir string) (*Set, error) {
		return Read(context.Background(), Source{Kind: KindFolder, Dir: dir})
	}
	link := func(t *testing.T, target, name string) {
		if err := os.Symlink(target, name); err != nil {
			t.Skip("no links here:", err)
		}
	}
	t.Run("missing", func(t *testing.T) {
		_, err := read(filepath.Join(t.TempDir(), "none"))
		wantMisuse(t, err, "/none: not found", "check the path")
	})
	t.Run("a file", func(t *testing.T) {
		_, err := read(filepath.Join(makeFolder(t, map[string][]byte{"f": nil}), "f"))
		wantMisuse(t, err, "/f: not a directory")
	})
	t.Run("linked class and image", func(t *testing.T) {
		dir := makeFolder(t, map[string][]byte{"a/1.png": ok})
		link(t, "a", filepath.Join(dir, "b"))
		link(t, filepath.Join(dir, "a", "1.png"), filepath.Join(dir, "a", "2.png"))
		set, err := read(dir)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(set.Labels, []int64{0, 0, 1, 1}) {
			t.Errorf("labels %v", set.Labels)
		}
	})
	t.Run("link to nowhere", func(t *testing.T) {
		dir := makeFolder(t, map[string][]byte{"a/1.png": ok})
		link(t, "gone", filepath.Join(dir, "a", "2.png"))
		_, err := read(dir)
		wantMisuse(t, err, "a/2.png: not found")
	})
	t.Run("pipe", func(t *testing.T) {
		dir := makeFolder(t, map[string][]byte{"a/1.png": ok})
		if err := syscall.Mkfifo(filepath.Join(dir, "a", "2.png"), 0o600); err != nil {
			t.Skip("no named pipes here:", err)
		}
		_, err := read(dir)
		wantMisuse(t, err, "a/2.png: not a regular file")
	})
	t.Run("forbidden image", func(t *testing.T) {
		if os.Getuid() == 0 {
			t.Skip("root may read anything")
		}
		dir := makeFolder(t, map[string][]byte{"a/1.png": ok})
		if err := os.Chmod(filepath.Join(dir, "a", "1.png"), 0); err != nil {
			t.Fatal(err)
		}
		_, err := read(dir)
		wantMisuse(t, err, "a/1.png: no permission")
	})
}

func TestReadFolderCancelled(t *testing.T) {
	dir := makeFolder(t, map[string][]byte{"a/1.png": pngBytes(t, plain(4, 4, 1, 2, 3))})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Read(ctx, Source{Kind: KindFolder, Dir: dir})
	if !errors.Is(err, context.Canceled) || fault.IsMisuse(err) {
		t.Errorf("got %v; want a cancellation, not misuse", err)
	}
	set := numbered(1, 1)
	err = decodeAll(ctx, []imageFile{{path: filepath.Join(dir, "a", "1.png")}}, set, Source{Dir: dir})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), dir) {
		t.Errorf("decoding gave %v; want a cancellation", err)
	}
}

func TestImageErrorOfDisk(t *testing.T) {
	err := imageError("a.png", fmt.Errorf("decoding: %w", &os.PathError{Op: "read", Path: "a.png", Err: syscall.EIO}))
	if fault.IsMisuse(err) || !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v; want a failure", err)
	}
}

func BenchmarkReadFolder(b *testing.B) {
	const n = 2000
	files := map[string][]byte{}
	for i := range n {
		img := image.NewNRGBA(image.Rect(0, 0, 32, 32))
		for j := range img.Pix {
			img.Pix[j] = uint8(i + j*j/7)
		}
		for j := 3; j < len(img.Pix); j += 4 {
			img.Pix[j] = 0xff
		}
		files[fmt.Sprintf("%d/%d.jpg", i%10, i)] = jpegBytes(b, img)
	}
	dir := makeFolder(b, files)
	for _, size := range []int{0, 64} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			for range b.N {
				if _, err := Read(context.Background(), Source{Kind: KindFolder, Dir: dir, Height: size, Width: size}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "images/s")
		})
	}
}
