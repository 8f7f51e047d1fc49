package dataset

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/testenv"
)

// numpyFiles runs a program that saves arrays into a new folder. x is four images
// of 2×5 in colour, N×H×W×C, counted up, and y their labels.
func numpyFiles(t *testing.T, program string) string {
	t.Helper()
	python, dir := testenv.Python(t, "numpy"), t.TempDir()
	program = `
import numpy as np
x = np.arange(4 * 2 * 5 * 3, dtype=np.uint8).reshape(4, 2, 5, 3)
y = np.array([1, 0, 2, 1])
` + program
	cmd := exec.Command(python, "-c", program)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return dir
}

// colourPlanes and greyPlanes are x as planes, and its red alone.
func colourPlanes() (planes []uint8) { return channelsFirst(counting(120), 3, 10) }

func greyPlanes() (planes []uint8) {
	for i := range 40 {
		planes = append(planes, uint8(3*i))
	}
	return planes
}

func TestReadNumPy(t *testing.T) {
	dir := numpyFiles(t, `
def save(name, x, y):
    np.save(name + "_x.npy", x)
    np.save(name + "_y.npy", y)
save("nhwc", x, y)
save("nchw", x.transpose(0, 3, 1, 2), y.astype(">u2"))
save("fortran", np.asfortranarray(x), y.reshape(4, 1).astype(np.int8))
save("grey", x[..., 0], y.astype(np.uint8))
save("grey1", x[..., :1], y.astype(np.int32))
save("shares", (x / 255).astype(np.float32), y.astype(np.uint64))
save("shares8", (x / 255).astype(">f8"), y.astype(np.uint32))
save("floats", x.astype(np.float64), y.astype(np.int16))
np.savez("keras.npz", x_train=x, y_train=y.reshape(4, 1), x_test=x[:2], y_test=y[:2])
np.savez_compressed("medmnist.npz", train_images=x, train_labels=y, test_images=x[:2], test_labels=y[:2], val_images=x, val_labels=y)
np.savez("One.npz", X=x, y=y)
np.savez("images.npz", images=x, labels=y, filenames=np.array(["a", "b"]))
`)
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, x := range []struct {
		name, images, labels, split string
		c, n                        int
	}{
		{"N×H×W×C", "nhwc_x.npy", "nhwc_y.npy", Train, 3, 4},
		{"N×C×H×W", "nchw_x.npy", "nchw_y.npy", Train, 3, 4},
		{"Fortran's order", "fortran_x.npy", "fortran_y.npy", Train, 3, 4},
		{"grey", "grey_x.npy", "grey_y.npy", Train, 1, 4},
		{"grey with a channel", "grey1_x.npy", "grey1_y.npy", Train, 1, 4},
		{"0 to 1", "shares_x.npy", "shares_y.npy", Train, 3, 4},
		{"0 to 1, big-endian", "shares8_x.npy", "shares8_y.npy", Train, 3, 4},
		{"0 to 255", "floats_x.npy", "floats_y.npy", Train, 3, 4},
		{"x_train", "keras.npz", "", Train, 3, 4},
		{"x_test", "keras.npz", "", Test, 3, 2},
		{"train_images", "medmnist.npz", "", Train, 3, 4},
		{"test_images", "medmnist.npz", "", Test, 3, 2},
		{"X", "One.npz", "", Train, 3, 4},
		{"images", "images.npz", "", Test, 3, 4},
	} {
		t.Run(x.name, func(t *testing.T) {
			src := Source{Kind: KindNPY, Images: at(x.images), Split: x.split, Classes: 3, Other: at("keras.npz")}
			if x.labels != "" {
				src.Labels = at(x.labels)
			}
			set, err := Read(context.Background(), src)
			must(t, err)
			want := colourPlanes()
			if x.c == 1 {
				want = greyPlanes()
			}
			if set.C != x.c || set.H != 2 || set.W != 5 || set.Len() != x.n || !bytes.Equal(set.Images, want[:x.n*x.c*10]) {
				t.Errorf("%d images %d×%d×%d: %v", set.Len(), set.C, set.H, set.W, set.Images)
			}
			if !slices.Equal(set.Labels, []int64{1, 0, 2, 1}[:x.n]) || !slices.Equal(set.Classes, []string{"0", "1", "2"}) {
				t.Errorf("labels %v of %q", set.Labels, set.Classes)
			}
		})
	}
	for name, want := range map[string]bool{"keras.npz": true, "medmnist.npz": true, "images.npz": false, "One.npz": false, "grey_x.npy": false, "nowhere.npz": false} {
		if HoldsTest(at(name)) != want {
			t.Errorf("%s holds a test set: %v", name, !want)
		}
	}
}

func TestReadNumPyErrors(t *testing.T) {
	dir := numpyFiles(t, `
np.save("x.npy", x)
np.save("y.npy", y)
np.save("y3.npy", y[:3])
np.save("float_y.npy", y.astype(np.float32))
np.save("hot.npy", np.eye(4, dtype=np.uint8))
np.save("gap.npy", np.array([0, 3, 3, 1]))
np.save("minus.npy", -y - 1)
np.save("flat.npy", x.reshape(4, 30))
np.save("both.npy", np.zeros((4, 3, 5, 3), np.uint8))
np.save("neither.npy", np.zeros((4, 4, 5, 4), np.uint8))
np.save("wide.npy", x.astype(np.int32))
np.save("normalised.npy", (x / 255 - 0.5).astype(np.float32))
np.save("half.npy", (x / 2.0).astype(np.float32))
np.save("nan.npy", np.full((4, 2, 5, 3), np.nan, np.float32))
np.save("text.npy", np.array(["a", "b"]))
np.save("objects.npy", np.array([{}, 1], dtype=object))
np.save("record.npy", np.zeros(2, dtype=[("a", "<i4")]))
np.save("scalar.npy", np.uint8(1))
np.save("none.npy", np.zeros((0, 2, 5, 3), np.uint8))
np.savez("train.npz", x_train=x, y_train=y)
np.savez("alone.npz", images=x, labels=y)
def promise(name, shape, type="|u1"):
    with open(name, "wb") as f:
        np.lib.format.write_array_header_1_0(f, {"descr": type, "fortran_order": False, "shape": shape})
promise("many_y.npy", (134217729,))
promise("many_x.npy", (70000, 500, 500, 3))
promise("large_x.npy", (4, 99999, 99999, 3))
import zipfile
with zipfile.ZipFile("many.npz", "w") as f:
    f.write("many_x.npy", "x_train.npy")
    f.write("y.npy", "y_train.npy")
    f.write("x.npy", "x_test.npy")
    f.write("many_y.npy", "y_test.npy")
np.savez("odd.npz", a=x, b=y)
np.savez("short.npz", x_train=x, y_train=y[:3])
`)
	at := func(name string) string { return filepath.Join(dir, name) }
	whole, err := os.ReadFile(at("x.npy"))
	must(t, err)
	writeFile(t, at("cut.npy"), whole[:len(whole)-7])
	writeFile(t, at("long.npy"), append(slices.Clone(whole), 1))
	writeFile(t, at("header.npy"), whole[:40])
	writeFile(t, at("magic.npy"), whole[:5])
	writeFile(t, at("braces.npy"), slices.Concat(whole[:10], bytes.Repeat([]byte("}"), 118)))
	writeFile(t, at("huge.npy"), bytes.Replace(whole, []byte("(4, 2, 5, 3), }"), []byte("(99999999, 99999,99999,3)}"), 1))
	archive, err := os.ReadFile(at("train.npz"))
	must(t, err)
	writeFile(t, at("cut.npz"), archive[:len(archive)/2])
	archive[len(archive)/4] ^= 1
	writeFile(t, at("damaged.npz"), archive)
	for _, x := range []struct {
		name, images, labels string
		src                  Source
		want                 []string
	}{
		{"no images", "none_there.npy", "y.npy", Source{}, []string{"none_there.npy: not found"}},
		{"no labels", "x.npy", "none_there.npy", Source{}, []string{"none_there.npy: not found"}},
		{"labels not named", "x.npy", "", Source{}, []string{"wants a file of labels beside"}},
		{"other numbers", "x.npy", "y3.npy", Source{}, []string{"x.npy holds 4 images", "y3.npy holds 3", "same set"}},
		{"labels that are no numbers", "x.npy", "float_y.npy", Source{}, []string{"float_y.npy: labels of type <f4", "astype"}},
		{"one hot", "x.npy", "hot.npy", Source{}, []string{"hot.npy: labels of 4×4"}},
		{"gap", "x.npy", "gap.npy", Source{}, []string{"gap.npy: class 2 has no samples"}},
		{"beyond", "x.npy", "gap.npy", Source{Classes: 3}, []string{"gap.npy: label 3 of image 1 is beyond the 3 classes"}},
		{"below 0", "x.npy", "minus.npy", Source{}, []string{"minus.npy: label -2 of image 0"}},
		{"flat", "flat.npy", "y.npy", Source{}, []string{"flat.npy: images of 4×30; wanted N×H×W"}},
		{"ambiguous", "both.npy", "y.npy", Source{}, []string{"both.npy: images of 4×3×5×3 may be N×H×W×C or N×C×H×W"}},
		{"no channels", "neither.npy", "y.npy", Source{}, []string{"neither.npy: images of 4×4×5×4; wanted 1 or 3 channels"}},
		{"int32", "wide.npy", "y.npy", Source{}, []string{"wide.npy: images of type <i4", "astype"}},
		{"normalised", "normalised.npy", "y.npy", Source{}, []string{"normalised.npy: images of <f4 from -0.5 to"}},
		{"halves", "half.npy", "y.npy", Source{}, []string{"half.npy: images of <f4 from 0 to 59.5"}},
		{"NaN", "nan.npy", "y.npy", Source{}, []string{"nan.npy: images with NaN"}},
		{"text", "x.npy", "text.npy", Source{}, []string{"text.npy: an array of type \"<U1\""}},
		{"objects", "x.npy", "objects.npy", Source{}, []string{"objects.npy: an array of type \"|O\""}},
		{"records", "x.npy", "record.npy", Source{}, []string{"record.npy: no plain array"}},
		{"a number", "x.npy", "scalar.npy", Source{}, []string{"scalar.npy: a single number"}},
		{"nothing", "none.npy", "y.npy", Source{}, []string{"none.npy: an array of 0×2×5×3"}},
		{"cut", "cut.npy", "y.npy", Source{}, []string{"cut.npy: truncated: 4×2×5×3 of |u1 take 120 bytes, it has 113"}},
		{"long", "long.npy", "y.npy", Source{}, []string{"long.npy: more data than the header promises"}},
		{"half a header", "header.npy", "y.npy", Source{}, []string{"header.npy: not a NumPy file"}},
		{"half a magic number", "magic.npy", "y.npy", Source{}, []string{"magic.npy: not a NumPy file"}},
		{"no dict", "braces.npy", "y.npy", Source{}, []string{"braces.npy: no plain array"}},
		{"huge", "huge.npy", "y.npy", Source{}, []string{"huge.npy: an array of 99999999×99999×99999×3 cannot be read"}},
		{"another size", "x.npy", "y.npy", Source{Height: 9, Width: 9}, []string{"images are 3×2×5", "kind npy are not converted"}},
		{"no test images", "train.npz", "", Source{Split: Test}, []string{"train.npz: no test images in it", "x_train", "wanted x_test and y_test"}},
		{"one split for both", "alone.npz", "", Source{Other: at("./alone.npz")}, []string{"alone.npz: it has the images of one split and is named for both", "data.test: none"}},
		{"labels without end", "x.npy", "many_y.npy", Source{}, []string{"many_y.npy: 134217729 labels are more than the 134217728 allowed"}},
		{"labels without end in one", "many.npz", "", Source{Split: Test}, []string{"many.npz, labels: 134217729 labels are more"}},
		{"images without end", "many_x.npy", "y.npy", Source{}, []string{"many_x.npy holds 70000 images, but", "y.npy holds 4"}},
		{"images without end in one", "many.npz", "", Source{}, []string{"many.npz holds 70000 images, but", "labels holds 4"}},
		{"large images", "large_x.npy", "y.npy", Source{}, []string{"large_x.npy: an array of 4×99999×99999×3 cannot be read"}},
		{"other keys", "odd.npz", "", Source{}, []string{`it has ["a" "b"]`, "wanted x_train and y_train, or images and labels"}},
		{"other numbers in one", "short.npz", "", Source{}, []string{"short.npz holds 4 images, but", "labels holds 3"}},
		{"archive cut", "cut.npz", "", Source{}, []string{"cut.npz: zip: not a valid zip file"}},
		{"archive damaged", "damaged.npz", "", Source{}, []string{"damaged.npz: "}},
		{"a folder", ".", "y.npy", Source{}, []string{"not a regular file"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			x.src.Kind, x.src.Images = KindNPY, at(x.images)
			if x.labels != "" {
				x.src.Labels = at(x.labels)
			}
			if x.src.Split == "" {
				x.src.Split = Train
			}
			_, err := Read(context.Background(), x.src)
			wantMisuse(t, err, x.want...)
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, src := range []Source{{Images: at("x.npy"), Labels: at("y.npy")}, {Images: at("train.npz"), Split: Train}} {
		src.Kind = KindNPY
		if _, err := Read(ctx, src); !errors.Is(err, context.Canceled) || fault.IsMisuse(err) {
			t.Errorf("got %v; want a cancellation, not misuse", err)
		}
	}
}

func FuzzNPY(f *testing.F) {
	f.Add([]byte("\x93NUMPY\x01\x00\x20\x00{'descr': '|u1', 'fortran_order': True, 'shape': (2, 1), }\n12"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := decodeNPY(bytes.NewReader(text), labelShape)
		if err != nil {
			return
		}
		if _, err := a.wholeNumbers(); err == nil && a.shape[0] == 0 {
			t.Error("labels of nothing")
		}
		_, _ = a.bytes()
	})
}
