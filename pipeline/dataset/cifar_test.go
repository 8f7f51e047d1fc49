package dataset

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"ulrl/pipeline/testenv"
)

// cifarImage is image i of a test's set: each byte tells where it lies.
func cifarImage(i int) []byte {
	image := make([]byte, cifarPixels)
	for k := range image {
		image[k] = byte(i*7 + k)
	}
	return image
}

// writeCIFAR writes the Python archive of one of the sets, with two images per
// batch, labelled 0, 1, 2 and so on; old is how Python 2 has strings of bytes,
// as in the archives that are given out.
func writeCIFAR(t *testing.T, dir, set, how string) {
	t.Helper()
	python := testenv.Python(t, "numpy")
	const program = `
import io, os, pickle, struct, sys
import numpy as np
dir, set, how = sys.argv[1:]
protocol = int(how) if how.isdigit() else 2

class Old(pickle._Pickler):
    dispatch = dict(pickle._Pickler.dispatch)
    def save_bytes(self, b):
        self.write(b"U" + bytes([len(b)]) + b if len(b) < 256 else b"T" + struct.pack("<i", len(b)) + b)
    def save_str(self, s):
        self.save_bytes(s.encode())
    dispatch[bytes] = save_bytes
    dispatch[str] = save_str

def dump(value, *name):
    f = open(os.path.join(dir, *name), "wb")
    if how == "old":
        value = {k.encode(): v for k, v in value.items()}
        Old(f, 2).dump(value)
    else:
        pickle.dump(value, f, protocol)

def image(i):
    return [(i * 7 + k) % 256 for k in range(3072)]

def batch(first, key, order="C"):
    data = np.asarray([image(first), image(first + 1)], dtype=np.uint8, order=order)
    return {"batch_label": "a batch", key: [first, first + 1], "data": data, "filenames": ["a.png", "b.png"]}

if set == "cifar10":
    root = "cifar-10-batches-py"
    os.mkdir(os.path.join(dir, root))
    for i in range(5):
        dump(batch(2 * i, "labels", "F" if i == 1 else "C"), root, "data_batch_%d" % (i + 1))
    dump(batch(3, "labels"), root, "test_batch")
    dump({"label_names": ["class %d" % i for i in range(10)], "num_vis": 3072}, root, "batches.meta")
else:
    root = "cifar-100-python"
    os.mkdir(os.path.join(dir, root))
    for i, name in enumerate(["train", "test"]):
        b = batch(97 + i, "fine_labels")
        b["coarse_labels"] = [1, 2]
        dump(b, root, name)
    dump({"fine_label_names": ["class %d" % i for i in range(100)], "coarse_label_names": ["x"] * 20}, root, "meta")
`
	if out, err := exec.Command(python, "-c", program, dir, set, how).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// writeBinaryCIFAR writes the same sets as the binary archives.
func writeBinaryCIFAR(t *testing.T, dir, set string) {
	t.Helper()
	records := func(first int, coarse bool) (text []byte) {
		for i := first; i < first+2; i++ {
			if coarse {
				text = append(text, 19)
			}
			text = append(append(text, byte(i)), cifarImage(i)...)
		}
		return text
	}
	names := func(n int) (text []byte) {
		for i := range n {
			text = append(text, "class_"+numberNames(n)[i]+"\n"...)
		}
		return append(text, '\n') // as the archives have it
	}
	if set == "cifar10" {
		at := filepath.Join(dir, "cifar-10-batches-bin")
		for i := range 5 {
			writeFile(t, filepath.Join(at, "data_batch_"+numberNames(6)[i+1]+".bin"), records(2*i, false))
		}
		writeFile(t, filepath.Join(at, "test_batch.bin"), records(3, false))
		writeFile(t, filepath.Join(at, "batches.meta.txt"), names(10))
		return
	}
	at := filepath.Join(dir, "cifar-100-binary")
	writeFile(t, filepath.Join(at, "train.bin"), records(97, true))
	writeFile(t, filepath.Join(at, "test.bin"), records(98, true))
	writeFile(t, filepath.Join(at, "fine_label_names.txt"), names(100))
}

func TestReadCIFAR(t *testing.T) {
	for _, x := range []struct{ set, how, folder, name string }{
		{"cifar10", "old", "cifar-10-batches-py", "class 3"},
		{"cifar10", "2", "cifar-10-batches-py", "class 3"},
		{"cifar10", "4", "cifar-10-batches-py", "class 3"},
		{"cifar10", "binary", "cifar-10-batches-bin", "class_3"},
		{"cifar100", "old", "cifar-100-python", "class 3"},
		{"cifar100", "2", "cifar-100-python", "class 3"},
		{"cifar100", "binary", "cifar-100-binary", "class_3"},
	} {
		t.Run(x.set+" "+x.how, func(t *testing.T) {
			dir := t.TempDir()
			if x.how == "binary" {
				writeBinaryCIFAR(t, dir, x.set)
			} else {
				writeCIFAR(t, dir, x.set, x.how)
			}
			classes, train, test := 10, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, []int{3, 4}
			if x.set == "cifar100" {
				classes, train, test = 100, []int{97, 98}, []int{98, 99}
			}
			for _, at := range []string{dir, filepath.Join(dir, x.folder)} {
				for split, want := range map[string][]int{Train: train, Test: test} {
					src := SourceIn(KindCIFAR, at, split)
					src.Classes = classes
					set, err := Read(context.Background(), src)
					if err != nil {
						t.Fatal(err)
					}
					if set.Name != x.set || set.C != 3 || set.H != 32 || set.W != 32 || set.Len() != len(want) {
						t.Fatalf("%s: %q, %d images %d×%d×%d", split, set.Name, set.Len(), set.C, set.H, set.W)
					}
					if len(set.Classes) != classes || set.Classes[3] != x.name {
						t.Errorf("classes %q", set.Classes)
					}
					for i, label := range want {
						if set.Labels[i] != int64(label) || !bytes.Equal(set.Image(i), cifarImage(label)) {
							t.Errorf("%s: image %d has label %d and %v…", split, i, set.Labels[i], set.Image(i)[:4])
						}
					}
				}
			}
		})
	}
}

func TestReadCIFARErrors(t *testing.T) {
	binary := func(t *testing.T) string {
		dir := t.TempDir()
		writeBinaryCIFAR(t, dir, "cifar10")
		return dir
	}
	in := func(dir, name string) string { return filepath.Join(dir, "cifar-10-batches-bin", name) }
	pickled := func(t *testing.T) string {
		dir := t.TempDir()
		writeCIFAR(t, dir, "cifar10", "2")
		return dir
	}
	for _, x := range []struct {
		name string
		make func(t *testing.T) string
		src  Source
		want []string
	}{
		{"no folder", func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") }, Source{}, []string{"/none: not found"}},
		{"nothing in it", func(t *testing.T) string { return t.TempDir() }, Source{}, []string{"no CIFAR in it", "cifar-10-batches-py"}},
		{"a folder of images", func(t *testing.T) string { return makeFolder(t, map[string][]byte{"train/a/1.png": {1}}) }, Source{}, []string{"no CIFAR in it"}},
		{"a batch missing", func(t *testing.T) string {
			dir := binary(t)
			must(t, os.Remove(in(dir, "data_batch_3.bin")))
			return dir
		}, Source{}, []string{"data_batch_3.bin: not found"}},
		{"cut", func(t *testing.T) string {
			dir := binary(t)
			must(t, os.Truncate(in(dir, "data_batch_2.bin"), 5000))
			return dir
		}, Source{}, []string{"data_batch_2.bin: 5000 bytes", "records of 3073"}},
		{"empty", func(t *testing.T) string {
			dir := binary(t)
			must(t, os.Truncate(in(dir, "data_batch_2.bin"), 0))
			return dir
		}, Source{}, []string{"data_batch_2.bin: 0 bytes"}},
		{"label", func(t *testing.T) string {
			dir := binary(t)
			writeFile(t, in(dir, "data_batch_4.bin"), append([]byte{10}, cifarImage(1)...))
			return dir
		}, Source{}, []string{"data_batch_4.bin: label 10 of image 0 is beyond the 10 classes"}},
		{"names", func(t *testing.T) string {
			dir := binary(t)
			writeFile(t, in(dir, "batches.meta.txt"), []byte("a b c"))
			return dir
		}, Source{}, []string{"batches.meta.txt: it names 3 classes, wanted 10"}},
		{"classes", binary, Source{Classes: 100}, []string{"cifar10, of 10 classes, but data.classes is 100", "10 or 0"}},
		{"size", binary, Source{Height: 64, Width: 64}, []string{"images are 3×32×32", "not the any×64×64 asked for", "kind cifar are not converted"}},
		{"both sets", func(t *testing.T) string {
			dir := binary(t)
			writeBinaryCIFAR(t, dir, "cifar100")
			return dir
		}, Source{}, []string{"holds cifar-10-batches-bin and cifar-100-binary", "data.classes"}},
		{"no split", binary, Source{Split: "val"}, []string{`split "val"`}},
		{"a pickle cut", func(t *testing.T) string {
			dir := pickled(t)
			must(t, os.Truncate(filepath.Join(dir, "cifar-10-batches-py", "data_batch_1"), 300))
			return dir
		}, Source{}, []string{"data_batch_1: pickle, byte", "unpack the archive again"}},
		{"a pickle that runs", func(t *testing.T) string {
			dir := pickled(t)
			writeFile(t, filepath.Join(dir, "cifar-10-batches-py", "data_batch_5"), []byte("cos\nsystem\n(S'id'\ntR."))
			return dir
		}, Source{}, []string{"data_batch_5: the pickle names os.system"}},
		{"a pickle of something else", func(t *testing.T) string {
			dir := pickled(t)
			writeFile(t, filepath.Join(dir, "cifar-10-batches-py", "data_batch_5"), []byte("\x80\x02}."))
			return dir
		}, Source{}, []string{"data_batch_5: its data: no NumPy array"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			src := SourceIn(KindCIFAR, x.make(t), Train)
			src.Classes, src.Height, src.Width = x.src.Classes, x.src.Height, x.src.Width
			if x.src.Split != "" {
				src.Split = x.src.Split
			}
			_, err := Read(context.Background(), src)
			wantMisuse(t, err, x.want...)
		})
	}
}

// Where both sets lie in one folder, the number of classes tells which is meant;
// without a list of names the classes are numbered.
func TestCIFARByClasses(t *testing.T) {
	dir := t.TempDir()
	writeBinaryCIFAR(t, dir, "cifar10")
	writeBinaryCIFAR(t, dir, "cifar100")
	must(t, os.Remove(filepath.Join(dir, "cifar-10-batches-bin", "batches.meta.txt")))
	for classes, want := range map[int]string{10: "cifar10", 100: "cifar100"} {
		src := SourceIn(KindCIFAR, dir, Test)
		src.Classes = classes
		set, err := Read(context.Background(), src)
		if err != nil {
			t.Fatal(err)
		}
		if set.Name != want || len(set.Classes) != classes || classes == 10 && !slices.Equal(set.Classes, numberNames(10)) {
			t.Errorf("%d classes: %s with %q", classes, set.Name, set.Classes)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
