package dataset

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/testenv"
)

// idxBytes is an IDX file of unsigned bytes with the header's dims and data.
func idxBytes(data []byte, dims ...uint32) []byte {
	out := []byte{0, 0, idxUbyte, byte(len(dims))}
	for _, d := range dims {
		out = binary.BigEndian.AppendUint32(out, d)
	}
	return append(out, data...)
}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// counting is 0, 1, 2, … n-1.
func counting(n int) []byte {
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(i)
	}
	return data
}

func TestReadIDX(t *testing.T) {
	images := idxBytes(counting(24), 4, 2, 3)
	labels := idxBytes([]byte{2, 0, 1, 2}, 4)
	tests := []struct {
		name           string
		files          map[string][]byte
		src            Source
		c, h, w        int
		classes        []string
		setName, image string
	}{
		{"plain", map[string][]byte{"i": images, "l": labels}, Source{Images: "i", Labels: "l"},
			1, 2, 3, []string{"0", "1", "2"}, "i", "\x06\x07\x08\x09\x0a\x0b"},
		{"gzip", map[string][]byte{"i.gz": gzipped(t, images), "l.gz": gzipped(t, labels)}, Source{Images: "i.gz", Labels: "l.gz"},
			1, 2, 3, []string{"0", "1", "2"}, "i", "\x06\x07\x08\x09\x0a\x0b"},
		{"names that lie about gzip", map[string][]byte{"i.gz": images, "l": gzipped(t, labels)}, Source{Images: "i.gz", Labels: "l"},
			1, 2, 3, []string{"0", "1", "2"}, "i", "\x06\x07\x08\x09\x0a\x0b"},
		{"the other form is there", map[string][]byte{"i": images, "l.gz": gzipped(t, labels)}, Source{Images: "i.gz", Labels: "l"},
			1, 2, 3, []string{"0", "1", "2"}, "i", "\x06\x07\x08\x09\x0a\x0b"},
		{"two gzip members", map[string][]byte{"i": append(gzipped(t, images[:20]), gzipped(t, images[20:])...), "l": labels}, Source{Images: "i", Labels: "l"},
			1, 2, 3, []string{"0", "1", "2"}, "i", "\x06\x07\x08\x09\x0a\x0b"},
		{"channels", map[string][]byte{"i": idxBytes(counting(24), 4, 3, 2, 1), "l": labels}, Source{Images: "i", Labels: "l"},
			3, 2, 1, []string{"0", "1", "2"}, "i", "\x06\x07\x08\x09\x0a\x0b"},
		{"class count given", map[string][]byte{"i": images, "l": idxBytes([]byte{0, 0, 3, 3}, 4)}, Source{Images: "i", Labels: "l", Classes: 5},
			1, 2, 3, []string{"0", "1", "2", "3", "4"}, "i", "\x06\x07\x08\x09\x0a\x0b"},
		{"shape as asked for", map[string][]byte{"i": images, "l": labels}, Source{Images: "i", Labels: "l", Channels: 1, Height: 2, Width: 3},
			1, 2, 3, []string{"0", "1", "2"}, "i", "\x06\x07\x08\x09\x0a\x0b"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set, err := Read(context.Background(), inDir(t, tt.src, tt.files))
			if err != nil {
				t.Fatal(err)
			}
			if set.Len() != 4 || set.C != tt.c || set.H != tt.h || set.W != tt.w || set.Name != tt.setName {
				t.Errorf("read %q: %d of %d×%d×%d", set.Name, set.Len(), set.C, set.H, set.W)
			}
			if !slices.Equal(set.Classes, tt.classes) || set.Labels[3] == 0 || set.Labels[1] != 0 {
				t.Errorf("read classes %v, labels %v", set.Classes, set.Labels)
			}
			if got := set.Image(1); string(got) != tt.image || len(set.Images) != 24 {
				t.Errorf("image 1 of %d bytes is %v", len(set.Images), got)
			}
		})
	}
}

// inDir writes files to a new folder and returns src as an IDX source there.
func inDir(t *testing.T, src Source, files map[string][]byte) Source {
	t.Helper()
	dir := t.TempDir()
	for name, data := range files {
		writeFile(t, filepath.Join(dir, name), data)
	}
	src.Kind = KindIDX
	src.Images, src.Labels = filepath.Join(dir, src.Images), filepath.Join(dir, src.Labels)
	return src
}

func TestReadIDXErrors(t *testing.T) {
	images := idxBytes(counting(24), 4, 2, 3)
	labels := idxBytes([]byte{2, 0, 1, 2}, 4)
	gzImages := gzipped(t, images)
	badSum := slices.Clone(gzImages)
	badSum[len(badSum)-6] ^= 1
	huge := uint32(0xffffffff)
	tests := []struct {
		name           string
		images, labels []byte // nil: no such file
		src            Source
		want           []string
	}{
		{"no images", nil, labels, Source{}, []string{"/i: not found, nor i.gz", "check the path"}},
		{"no labels", images, nil, Source{}, []string{"/l: not found, nor l.gz"}},
		{"empty file", []byte{}, labels, Source{}, []string{"/i: not an IDX file", "0 bytes"}},
		{"three bytes", []byte{0, 0, 8}, labels, Source{}, []string{"not an IDX file", "3 bytes"}},
		{"a PNG", []byte("\x89PNG\r\n\x1a\n0000"), labels, Source{}, []string{"/i: not an IDX file", "0x89504e47", "0x00000803 or 0x00000804"}},
		{"floats", []byte{0, 0, 13, 3, 0, 0, 0, 1}, labels, Source{}, []string{"element type 0x0d", "unsigned bytes"}},
		{"labels as images", labels, labels, Source{}, []string{"/i: holds labels", "swapped"}},
		{"images as labels", images, images, Source{}, []string{"/l: holds images", "swapped"}},
		{"two dimensions", idxBytes(nil, 2, 2), labels, Source{}, []string{"2 dimensions", "0x00000802"}},
		{"255 dimensions", []byte{0, 0, 8, 255}, labels, Source{}, []string{"255 dimensions"}},
		{"header cut", images[:10], labels, Source{}, []string{"truncated", "takes 16 bytes, the file has 10"}},
		{"data cut", images[:39], labels, Source{}, []string{"/i: truncated", "4×2×3 (24 bytes of data), the file has 23"}},
		{"data cut before gzip", gzipped(t, images[:30]), labels, Source{}, []string{"truncated", "24 bytes of data), the file has 14"}},
		{"gzip cut in its header", gzImages[:5], labels, Source{}, []string{"/i: the gzip data is damaged"}},
		{"gzip cut in the IDX header", gzipped(t, images[:7]), labels, Source{}, []string{"truncated", "the file has 7"}},
		{"gzip cut before its checksum", gzImages[:len(gzImages)-4], labels, Source{}, []string{"truncated"}},
		{"gzip checksum wrong", badSum, labels, Source{}, []string{"/i: the gzip data is damaged", "checksum"}},
		{"gzip with something behind", append(slices.Clone(gzImages), "junk-junk-junk"...), labels, Source{}, []string{"gzip data is damaged"}},
		{"gzip with a bad block", append(slices.Clone(gzImages[:10]), 0xff, 0xff, 0xff), labels, Source{}, []string{"gzip data is damaged"}},
		{"data behind", append(slices.Clone(images), 1), labels, Source{}, []string{"/i: more data", "4×2×3 take 24 bytes"}},
		{"data behind before gzip", gzipped(t, append(slices.Clone(images), 1)), labels, Source{}, []string{"more data"}},
		{"nothing promised", idxBytes(nil, 0, 28, 28), labels, Source{}, []string{"0×28×28", "nothing to read"}},
		{"absurd number", idxBytes(nil, huge, huge, huge), labels, Source{}, []string{"4294967295 images", "GiB", "64 GiB allowed"}},
		{"absurd number, four dimensions", idxBytes(nil, huge, huge, huge, huge), labels, Source{}, []string{"64 GiB allowed"}},
		{"absurd number under the cap", idxBytes(nil, 60000, 1000, 1000), labels, Source{}, []string{"truncated", "60000000000 bytes of data), the file has 0"}},
		{"absurd number under the cap, gzip", gzipped(t, idxBytes(nil, 60000, 1000, 1000)), labels, Source{}, []string{"truncated", "the file has 0"}},
		{"counts differ", images, idxBytes([]byte{0, 1, 2}, 3), Source{}, []string{"/i holds 4 images", "/l holds 3 labels"}},
		{"label beyond the classes", images, labels, Source{Classes: 2}, []string{"/l: label 2 of image 0", "2 classes (0 to 1)"}},
		{"class without samples", images, idxBytes([]byte{3, 0, 1, 3}, 4), Source{}, []string{"/l: class 2 has no samples", "data.classes"}},
		{"channels not as asked for", images, labels, Source{Channels: 3}, []string{"1×2×3", "3×any×any"}},
		{"height not as asked for", images, labels, Source{Height: 32, Width: 3}, []string{"1×2×3", "any×32×3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			files := map[string][]byte{}
			if tt.images != nil {
				files["i"] = tt.images
			}
			if tt.labels != nil {
				files["l"] = tt.labels
			}
			tt.src.Images, tt.src.Labels = "i", "l"
			_, err := Read(context.Background(), inDir(t, tt.src, files))
			wantMisuse(t, err, tt.want...)
		})
	}
}

func TestReadIDXOddFiles(t *testing.T) {
	labels := idxBytes([]byte{0}, 1)
	src := inDir(t, Source{Images: "i", Labels: "l"}, map[string][]byte{"l": labels})

	t.Run("missing Fashion-MNIST", func(t *testing.T) {
		src := src
		src.Images = filepath.Join(t.TempDir(), "fashion-mnist", "train-images-idx3-ubyte.gz")
		_, err := Read(context.Background(), src)
		wantMisuse(t, err, "nor train-images-idx3-ubyte;", "apt-get install dataset-fashion-mnist")
	})
	t.Run("folder", func(t *testing.T) {
		src := src
		src.Images = t.TempDir()
		_, err := Read(context.Background(), src)
		wantMisuse(t, err, src.Images, "not a regular file")
	})
	t.Run("pipe", func(t *testing.T) {
		src := src
		src.Images = filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(src.Images, 0o600); err != nil {
			t.Skip("no named pipes here:", err)
		}
		_, err := Read(context.Background(), src)
		wantMisuse(t, err, "not a regular file")
	})
	t.Run("below a file", func(t *testing.T) {
		src := src
		src.Images = filepath.Join(src.Labels, "i")
		_, err := Read(context.Background(), src)
		wantMisuse(t, err, "not a directory")
	})
	t.Run("forbidden", func(t *testing.T) {
		if os.Getuid() == 0 {
			t.Skip("root may read anything")
		}
		src := src
		src.Images = filepath.Join(t.TempDir(), "i")
		writeFile(t, src.Images, labels)
		if err := os.Chmod(src.Images, 0); err != nil {
			t.Fatal(err)
		}
		_, err := Read(context.Background(), src)
		wantMisuse(t, err, "no permission")
	})
}

func TestReadIDXCancelled(t *testing.T) {
	src := inDir(t, Source{Images: "i", Labels: "l"},
		map[string][]byte{"i": idxBytes([]byte{7}, 1, 1, 1), "l": idxBytes([]byte{0}, 1)})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Read(ctx, src)
	if !errors.Is(err, context.Canceled) || fault.IsMisuse(err) {
		t.Errorf("got %v; want a cancellation, not misuse", err)
	}
}

// A disk that does not read is a failure, not the user's misuse.
func TestDecodeIDXDiskError(t *testing.T) {
	file := idxBytes(counting(24), 4, 2, 3)
	for _, at := range []int{0, 6, 20} {
		r := io.MultiReader(bytes.NewReader(file[:at]), failingReader{})
		_, err := decodeIDX(r, int64(len(file)), "disk/i", 3)
		if !errors.Is(err, syscall.EIO) || fault.IsMisuse(err) || !strings.Contains(err.Error(), "disk/i") {
			t.Errorf("failing at byte %d gave %v", at, err)
		}
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) {
	return 0, &os.PathError{Op: "read", Path: "disk/i", Err: syscall.EIO}
}

// What a gzip file's IDX header promises must not be allocated before it is there.
func TestDecodeIDXAllocation(t *testing.T) {
	file := gzipped(t, idxBytes(nil, 60000, 1000, 1000))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := decodeIDX(bytes.NewReader(file), int64(len(file)), "i", 3)
	runtime.ReadMemStats(&after)
	wantMisuse(t, err, "truncated")
	if got := after.TotalAlloc - before.TotalAlloc; got > 2*firstChunk {
		t.Errorf("allocated %d bytes for a file of %d", got, len(file))
	}
}

func TestReadExactlyGrows(t *testing.T) {
	const n = 5*firstChunk/2 + 3
	data, err := readExactly(io.LimitReader(ones{}, n+1), n, false)
	if err != nil || len(data) != n || data[n-1] != 1 {
		t.Errorf("read %d of %d bytes: %v", len(data), n, err)
	}
}

type ones struct{}

func (ones) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 1
	}
	return len(p), nil
}

func TestReadFashionMNIST(t *testing.T) {
	dir := testenv.FashionMNIST(t)
	for prefix, n := range map[string]int{"train": 60000, "t10k": 10000} {
		set, err := Read(context.Background(), Source{
			Kind: KindIDX, Classes: 10,
			Images: filepath.Join(dir, prefix+"-images-idx3-ubyte"), // only the .gz is there
			Labels: filepath.Join(dir, prefix+"-labels-idx1-ubyte.gz"),
		})
		if err != nil {
			t.Fatal(err)
		}
		if set.Len() != n || set.C != 1 || set.H != 28 || set.W != 28 || len(set.Images) != n*28*28 {
			t.Errorf("%s: %d of %d×%d×%d", prefix, set.Len(), set.C, set.H, set.W)
		}
		for class, count := range set.CountByClass() {
			if count != n/10 {
				t.Errorf("%s: %d images of class %d, want %d", prefix, count, class, n/10)
			}
		}
		if prefix == "train" && set.Labels[0] != 9 {
			t.Errorf("the first label is %d, want 9", set.Labels[0])
		}
	}
}

func FuzzReadIDX(f *testing.F) {
	images := idxBytes(counting(24), 4, 2, 3)
	for _, seed := range [][]byte{
		images, images[:30], images[:9], append(slices.Clone(images), 0), gzipped(f, images), gzipped(f, images)[:20],
		idxBytes([]byte{1, 2}, 2), idxBytes(counting(8), 2, 1, 2, 2), idxBytes(nil, 0xffffffff, 0xffffffff, 0xffffffff),
		idxBytes(nil, 0, 1, 1), idxBytes(nil, 60000, 1000, 1000), gzipped(f, idxBytes(nil, 60000, 1000, 1000)),
		{}, {0}, {0, 0, 8, 255}, {0, 0, 13, 3}, {0x1f, 0x8b}, []byte("not IDX at all"),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, wantDims := range [][]int{{1}, {3, 4}} {
			got, err := decodeIDX(bytes.NewReader(file), int64(len(file)), "fuzz", wantDims...)
			if err != nil {
				wantMisuse(t, err, "fuzz")
				continue
			}
			size := 1
			var dims []uint32
			for _, d := range got.dims {
				size *= d
				dims = append(dims, uint32(d))
			}
			if len(got.data) != size || !slices.Contains(wantDims, len(dims)) {
				t.Fatalf("%d bytes of %v", len(got.data), got.dims)
			}
			if file[0] == 0 && !bytes.Equal(idxBytes(got.data, dims...), file) {
				t.Fatalf("%v does not give the file back", got.dims)
			}
		}
	})
}
