package torchfile

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/pickle"
	"ulrl/pipeline/testenv"
)

// python runs a program that imports torch and gets a file's name.
func python(t *testing.T, program, file string) {
	t.Helper()
	interpreter := testenv.Python(t, "torch", "numpy")
	cmd := exec.Command(interpreter, "-c", "import collections, sys, numpy, torch\nfile = sys.argv[1]\n"+program, file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func floats(values ...float32) []byte {
	var out []byte
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

func TestReadsWhatTorchSaves(t *testing.T) {
	file := filepath.Join(t.TempDir(), "saved.pt")
	python(t, `
x = torch.arange(6.).reshape(2, 3)
torch.save({
    "model": collections.OrderedDict([("a.weight", torch.nn.Parameter(x)), ("a.turned", x.t()), ("a.part", x[1, 1:]),
        ("a.count", torch.tensor(7)), ("a.half", x[0].half()), ("a.yes", torch.tensor([True, False])), ("a.none", torch.zeros(0, 3)),
        ("a.last", torch.zeros(1, 2, 1, 2).contiguous(memory_format=torch.channels_last))]),
    "name": "preactresnet18", "classes": 10, "size": (32, 32, 3), "nothing": None, "list": [1, 2.5], "shape": x.shape, "device": x.device,
    "index": numpy.array([3, 1, 2]), "flags": numpy.zeros(3), "samples": {numpy.int64(5): {"path": "x/5.png", "other_info": [0, numpy.int32(3)]}},
}, file)
`, file)
	got, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	d := got.(*Dict)
	get := func(d *Dict, key any) any {
		v, ok := d.Get(key)
		if !ok {
			t.Errorf("no %v", key)
		}
		return v
	}
	model := get(d, "model").(*Dict)
	for name, want := range map[string]*Tensor{
		"a.weight": {"float32", []int{2, 3}, floats(0, 1, 2, 3, 4, 5)},
		"a.turned": {"float32", []int{3, 2}, floats(0, 3, 1, 4, 2, 5)},
		"a.part":   {"float32", []int{2}, floats(4, 5)},
		"a.count":  {"int64", []int{}, []byte{7, 0, 0, 0, 0, 0, 0, 0}},
		"a.half":   {"float16", []int{3}, []byte{0, 0, 0, 0x3c, 0, 0x40}},
		"a.yes":    {"bool", []int{2}, []byte{1, 0}},
		"a.none":   {"float32", []int{0, 3}, []byte{}},
		"a.last":   {"float32", []int{1, 2, 1, 2}, floats(0, 0, 0, 0)},
	} {
		if v := get(model, name); !reflect.DeepEqual(v, want) {
			t.Errorf("%s: %v, want %v", name, v, want)
		}
	}
	for key, want := range map[string]any{
		"name": "preactresnet18", "classes": int64(10), "size": pickle.Tuple{int64(32), int64(32), int64(3)}, "nothing": nil, "shape": pickle.Tuple{int64(2), int64(3)}, "device": pickle.Tuple{"cpu"},
		"list": &pickle.List{Items: []any{int64(1), 2.5}},
	} {
		if v := get(d, key); !reflect.DeepEqual(v, want) {
			t.Errorf("%s: %#v, want %#v", key, v, want)
		}
	}
	for key, want := range map[string]*pickle.Array{
		"index": {DType: "<i8", Shape: []int{3}, Data: binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 3), 1), 2)},
		"flags": {DType: "<f8", Shape: []int{3}, Data: make([]byte, 24)},
	} {
		if v := get(d, key); !reflect.DeepEqual(v, want) {
			t.Errorf("%s: %+v, want %+v", key, v, want)
		}
	}
	sample := get(get(d, "samples").(*Dict), int64(5)).(*Dict)
	if v := get(sample, "other_info"); !reflect.DeepEqual(v, &pickle.List{Items: []any{int64(0), int64(3)}}) {
		t.Errorf("other_info: %#v", v)
	}
}

func TestTorchReadsWhatIsWritten(t *testing.T) {
	state := pickle.NewDict()
	state.Set("w", &Tensor{"float32", []int{2, 2}, floats(1, 2, 3, 4)})
	state.Set("n", &Tensor{"int64", []int{}, []byte{9, 0, 0, 0, 0, 0, 0, 0}})
	record := pickle.NewDict()
	record.Set("model_name", "vgg19_bn")
	record.Set("num_classes", int64(10))
	record.Set("model", state)
	text, err := Write(record, state)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "written.pt")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	python(t, `
got = torch.load(file, weights_only=True)
assert list(got) == ["model_name", "num_classes", "model"] and got["model_name"] == "vgg19_bn" and got["num_classes"] == 10, got
assert type(got["model"]) is collections.OrderedDict and list(got["model"]) == ["w", "n"], got
assert torch.equal(got["model"]["w"], torch.tensor([[1., 2.], [3., 4.]])) and got["model"]["n"].item() == 9, got
`, file)
	again, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if model, _ := again.(*Dict).Get("model"); !reflect.DeepEqual(model.(*Dict).Values, state.Values) {
		t.Errorf("read back: %v", model)
	}
	if _, err := Write(&Tensor{"float32", []int{3}, floats(1)}); err == nil {
		t.Error("a tensor of another size was written")
	}
}

// What is named by a hostile file is refused by name, and nothing runs.
func TestHostileFilesAreRefused(t *testing.T) {
	dir := t.TempDir()
	ran := filepath.Join(dir, "ran")
	file := filepath.Join(dir, "hostile.pt")
	python(t, fmt.Sprintf(`
import os
class Evil:
    def __reduce__(self):
        return os.system, ("touch %s",)
torch.save({"model": Evil()}, file)
`, ran), file)
	_, err := Read(file)
	if err == nil || !fault.IsMisuse(err) || !strings.Contains(err.Error(), "asks for posix.system, which is refused") {
		t.Error(err)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("the file's program was run")
	}
	python(t, `torch.save(torch.nn.Linear(2, 2), file)`, file)
	if _, err := Read(file); err == nil || !strings.Contains(err.Error(), "torch.nn.modules.linear.Linear") || !strings.Contains(err.Error(), "state_dict()") {
		t.Error(err)
	}
}

// archive writes a ZIP with a pickle of one tensor and its storage.
func archive(t *testing.T, shape, stride pickle.Tuple, offset, count int64, storage []byte, method uint16) string {
	t.Helper()
	id := pickle.Persistent{ID: pickle.Tuple{"storage", pickle.Global{Module: "torch", Name: "FloatStorage"}, "0", "cpu", count}}
	text, err := pickle.Write(&pickle.Object{Class: pickle.Global{Module: "torch._utils", Name: "_rebuild_tensor_v2"},
		Args: pickle.Tuple{id, offset, shape, stride, false, nil}})
	if err != nil {
		t.Fatal(err)
	}
	return zipped(t, method, map[string][]byte{"a/data.pkl": text, "a/data/0": storage})
}

func zipped(t *testing.T, method uint16, records map[string][]byte) string {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for name, data := range records {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err == nil {
			_, err = f.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "made.pt")
	if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestDamagedFiles(t *testing.T) {
	tuple := func(values ...int64) (out pickle.Tuple) {
		for _, v := range values {
			out = append(out, v)
		}
		return out
	}
	data := floats(1, 2, 3, 4)
	write := func(text string) string {
		file := filepath.Join(t.TempDir(), "made.pt")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good, err := os.ReadFile(archive(t, tuple(2, 2), tuple(2, 1), 0, 4, data, zip.Store))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, want string }{
		"missing":              {filepath.Join(t.TempDir(), "no.pt"), "no such file"},
		"folder":               {t.TempDir(), "not a file"},
		"empty":                {write(""), "empty"},
		"pickle":               {write("\x80\x02N."), "before 1.6"},
		"text":                 {write("hello"), "not a file of torch.save"},
		"truncated":            {write(string(good[:len(good)-30])), "truncated"},
		"another archive":      {zipped(t, zip.Store, map[string][]byte{"a/b": nil}), "something else"},
		"TorchScript":          {zipped(t, zip.Store, map[string][]byte{"a/data.pkl": nil, "a/constants.pkl": nil}), "TorchScript"},
		"no storage":           {zipped(t, zip.Store, map[string][]byte{"a/data.pkl": []byte("\x80\x02N")}), "too early"},
		"compressed":           {archive(t, tuple(2, 2), tuple(2, 1), 0, 4, data, zip.Deflate), "compressed"},
		"beyond its storage":   {archive(t, tuple(2, 3), tuple(3, 1), 0, 4, data, zip.Store), "outside"},
		"offset":               {archive(t, tuple(2, 2), tuple(2, 1), 1, 4, data, zip.Store), "outside"},
		"offset, far":          {archive(t, tuple(1), tuple(1), math.MaxInt64, 4, data, zip.Store), "outside"},
		"offset, wrapping":     {archive(t, tuple(2), tuple(1), math.MaxInt64, 4, data, zip.Store), "outside"},
		"big-endian":           {zipped(t, zip.Store, map[string][]byte{"a/data.pkl": []byte("N."), "a/byteorder": []byte("big")}), "big-endian"},
		"a key that is a list": {zipped(t, zip.Store, map[string][]byte{"a/data.pkl": []byte("}]Ns.")}), "a dict has a list as key"},
		"strides":              {archive(t, tuple(2, 2), tuple(3, 1), 0, 4, data, zip.Store), "outside"},
		"repeated":             {archive(t, tuple(5, 4), tuple(0, 0), 0, 4, data, zip.Store), "outside"},
		"huge":                 {archive(t, tuple(1<<30, 1<<30, 1<<30), tuple(1, 1, 1), 0, 4, data, zip.Store), "outside"},
		"negative":             {archive(t, tuple(-1), tuple(1), 0, 4, data, zip.Store), "form"},
		"storage of more":      {archive(t, tuple(2, 2), tuple(2, 1), 0, 5, data, zip.Store), "5 elements of float32 take 20"},
		"storage of too many":  {archive(t, tuple(2, 2), tuple(2, 1), 0, math.MaxInt64, data, zip.Store), "form"},
		"shape without stride": {archive(t, tuple(2, 2), tuple(1), 0, 4, data, zip.Store), "form"},
	} {
		v, err := Read(c.file)
		if err == nil || !fault.IsMisuse(err) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	// A flipped bit in the weights is found by the archive's checksum.
	at := bytes.Index(good, data)
	good[at] ^= 1
	if _, err := Read(write(string(good))); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Error(err)
	}
}

// A dict of dicts that hold the same one twice becomes no more than it is.
func TestSharedDictsStayShared(t *testing.T) {
	text := []byte("\x80\x02}q\x000")
	for range 60 {
		text = append(text, "}(K\x00h\x00K\x01h\x00uq\x000"...)
	}
	text = append(text, "h\x00."...)
	got, err := Read(zipped(t, zip.Store, map[string][]byte{"a/data.pkl": text}))
	if err != nil {
		t.Fatal(err)
	}
	if d := got.(*Dict); d.Values[0] != d.Values[1] {
		t.Error("a dict that is shared became two")
	}
}

// Values that are shared many times over cost no more than the limit.
func TestSharedValuesEnd(t *testing.T) {
	text := []byte("\x80\x02)q\x000")
	for range 90 {
		text = append(text, "(h\x00h\x00tq\x000"...)
	}
	text = append(text, "h\x00."...)
	_, err := Read(zipped(t, zip.Store, map[string][]byte{"a/data.pkl": text}))
	if err == nil || !strings.Contains(err.Error(), "too many") {
		t.Error(err)
	}
}

// Whatever the pickle says, reading ends with values or with an error of one line.
func FuzzRead(f *testing.F) {
	tensor := func(offset int64, shape, stride pickle.Tuple) []byte {
		id := pickle.Persistent{ID: pickle.Tuple{"storage", pickle.Global{Module: "torch", Name: "FloatStorage"}, "0", "cpu", int64(4)}}
		text, err := pickle.Write(&pickle.Object{Class: pickle.Global{Module: "torch._utils", Name: "_rebuild_tensor_v2"},
			Args: pickle.Tuple{id, offset, shape, stride, false, nil}})
		if err != nil {
			f.Fatal(err)
		}
		return text
	}
	f.Add(tensor(0, pickle.Tuple{int64(2), int64(2)}, pickle.Tuple{int64(2), int64(1)}))
	f.Add(tensor(1, pickle.Tuple{int64(2)}, pickle.Tuple{int64(2)}))
	f.Add([]byte("\x80\x02cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(U\x02i8tRU\x0812345678tR."))
	f.Add([]byte("}(U\x01a]U\x01b)u."))
	f.Fuzz(func(t *testing.T, text []byte) {
		var out bytes.Buffer
		w := zip.NewWriter(&out)
		for name, data := range map[string][]byte{"a/data.pkl": text, "a/data/0": floats(1, 2, 3, 4)} {
			if err := store(w, name, data); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		v, err := read(bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil && (err.Error() == "" || strings.Contains(err.Error(), "\n") || len(err.Error()) > 4096) {
			t.Errorf("an error of %d bytes: %.200q", len(err.Error()), err)
		}
		if tensor, is := v.(*Tensor); is && err == nil {
			n := 4
			for _, extent := range tensor.Shape {
				n *= extent
			}
			if n != len(tensor.Data) {
				t.Errorf("a tensor of %v with %d bytes", tensor.Shape, len(tensor.Data))
			}
		}
	})
}
