package pipeline

import (
	"archive/zip"
	"bytes"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ulrl/pipeline/config"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/testenv"
)

func TestData(t *testing.T) {
	dir := t.TempDir()
	testenv.SmallImages(t, dir)
	c, err := config.Default(config.Options{Sets: []string{"data.kind=auto", "data.dir=" + dir, "data.classes=3"}})
	if err != nil {
		t.Fatal(err)
	}
	sheet := filepath.Join(dir, "sheet.png")
	in, err := Data(t.Context(), c, DataOptions{Sheet: sheet})
	if err != nil {
		t.Fatal(err)
	}
	if in.Train != 180 || in.Test != 60 || in.Channels != 1 || in.Height != 12 || !slices.Equal(in.Classes, []ClassInfo{{"0", "", 60, 20}, {"1", "", 60, 20}, {"2", "", 60, 20}}) {
		t.Errorf("%+v", in)
	}
	// Two thirds are 40 to 99, one third 140 to 199.
	if m := in.Mean[0]; m < 0.39 || m > 0.41 || in.Std[0] < 0.18 || in.Std[0] > 0.21 {
		t.Errorf("mean %v, std %v", in.Mean, in.Std)
	}
	if n := in.Normalisation; n == nil || n.Mean[0] != 0.2860 || n.From != "data.name fashion-mnist" {
		t.Errorf("%+v", n)
	}
	f, err := os.Open(sheet)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if img, err := png.DecodeConfig(f); err != nil || img.Width < 8*60 {
		t.Errorf("%+v, %v", img, err)
	}
	in, err = Data(t.Context(), c, DataOptions{ByContent: true})
	if err != nil || in.Normalisation != nil || in.Set != "train" {
		t.Errorf("%+v, %v", in, err)
	}
	_, err = Data(t.Context(), c, DataOptions{Sheet: filepath.Join(dir, "no", "s.png")})
	if !fault.IsMisuse(err) || !strings.Contains(err.Error(), "cannot write") {
		t.Error(err)
	}
	c.Data.Name = "cifar10"
	if _, err = Data(t.Context(), c, DataOptions{}); !fault.IsMisuse(err) {
		t.Errorf("a normalisation of three channels for grey images: %v", err)
	}
}

// Each kind is found by the config's keys for it.
func TestDataOfKinds(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for class, name := range []string{"test_batch", "data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"} {
		write("cifar-10-batches-bin/"+name+".bin", append([]byte{byte(class)}, make([]byte, 3072)...))
	}
	array := func(shape, data string) []byte {
		return []byte("\x93NUMPY\x01\x00\x50\x00" + fmt.Sprintf("%-79s\n", "{'descr': '|u1', 'fortran_order': False, 'shape': "+shape+", }") + data)
	}
	x, y := write("x.npy", array("(2, 1, 2)", "abcd")), write("y.npy", array("(2,)", "\x01\x00"))
	for _, kind := range []struct {
		sets        []string
		train, test int
	}{
		{[]string{"data.kind=cifar", "data.dir=" + dir, "data.name=cifar10"}, 5, 1},
		{[]string{"data.kind=auto", "data.dir=" + dir, "data.name=cifar10", "data.test=none"}, 5, 0},
		{[]string{"data.kind=npy", "data.train=" + x, "data.train_labels=" + y, "data.test=" + x, "data.test_labels=" + y, "data.classes=0"}, 2, 2},
	} {
		c, err := config.Default(config.Options{Sets: kind.sets})
		if err != nil {
			t.Fatal(err)
		}
		in, err := Data(t.Context(), c, DataOptions{})
		if err != nil {
			t.Errorf("%q: %v", kind.sets, err)
			continue
		}
		if in.Train != kind.train || in.Test != kind.test {
			t.Errorf("%q: %d and %d images", kind.sets, in.Train, in.Test)
		}
	}
	var archive bytes.Buffer
	out := zip.NewWriter(&archive)
	for name, of := range map[string]string{"images.npy": x, "labels.npy": y} {
		text, err := os.ReadFile(of)
		if err != nil {
			t.Fatal(err)
		}
		w, err := out.Create(name)
		if err == nil {
			_, err = w.Write(text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	npz := write("x.npz", archive.Bytes())
	for test, refused := range map[string]bool{npz: true, "none": false} {
		c, err := config.Default(config.Options{Sets: []string{"data.kind=npy", "data.train=" + npz, "data.test=" + test, "data.classes=0"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Data(t.Context(), c, DataOptions{}); fault.IsMisuse(err) != refused || (err != nil) != refused {
			t.Errorf("one split, tested on %s: %v", test, err)
		}
	}
}
