package torchfile

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/pickle"
)

// maxPickle bounds the pickle, which holds structure and no weights.
const maxPickle = 256 << 20

// Read reads a file of torch.save, of PyTorch 1.6 or later. Its values are nil,
// bool, int64, float64, string, []byte, *pickle.List, pickle.Tuple, *Dict,
// *Tensor and *pickle.Array. What is wrong with the file is misuse.
func Read(path string) (any, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, openError(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.Misuse("%s: not a file", path)
	}
	value, err := read(f, info.Size())
	if err != nil {
		return nil, fault.Misuse("%s: %w", path, err)
	}
	return value, nil
}

func openError(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Misuse("%s: no such file", path)
	}
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return fault.Misuse("%s: %w", path, err)
}

func read(from io.ReaderAt, size int64) (any, error) {
	if err := looksSaved(from); err != nil {
		return nil, err
	}
	archive, err := zip.NewReader(from, size)
	if err != nil {
		return nil, errors.New("the archive is damaged or truncated (" + strings.TrimPrefix(err.Error(), "zip: ") + "): copy it again")
	}
	a := &archiveReader{records: map[string]*zip.File{}, tensors: map[string][]byte{}, done: map[any]any{}, unread: size, uncopied: size}
	for _, f := range archive.File {
		root, name, _ := strings.Cut(f.Name, "/")
		if a.root == "" {
			a.root = root
		}
		if root != a.root {
			continue // not of this archive
		}
		if a.records[name] != nil {
			return nil, fmt.Errorf("the archive has %s twice", f.Name)
		}
		a.records[name] = f
	}
	switch {
	case a.records["data.pkl"] == nil:
		return nil, errors.New("a ZIP archive of something else, not what torch.save writes")
	case a.records["constants.pkl"] != nil:
		return nil, errors.New("this is TorchScript, not what torch.save writes: name it in model.path")
	}
	if a.records["byteorder"] != nil {
		if order, err := a.record("byteorder", 16); err != nil {
			return nil, err
		} else if string(order) != "little" {
			return nil, errors.New("its numbers are big-endian: save it again on a little-endian machine")
		}
	}
	text, err := a.record("data.pkl", maxPickle)
	if err != nil {
		return nil, err
	}
	value, err := pickle.Read(text, allowed)
	if err != nil {
		return nil, err
	}
	return a.plain(value, 0)
}

// looksSaved tells files of other formats by their first bytes.
func looksSaved(from io.ReaderAt) error {
	var head [4]byte
	n, err := from.ReadAt(head[:], 0)
	switch {
	case n == 0:
		return errors.New("the file is empty")
	case err != nil && !errors.Is(err, io.EOF):
		return err
	case head[0] == 0x80:
		return errors.New("a bare pickle, or of a PyTorch before 1.6: load it in Python and save it again with torch.save")
	case !bytes.Equal(head[:n], []byte("PK\x03\x04")):
		return errors.New("not a file of torch.save")
	}
	return nil
}

// archiveReader is an open archive. What it may still read and copy keeps a file
// from becoming more than it is: by records that overlap, views that repeat.
type archiveReader struct {
	root             string
	records          map[string]*zip.File
	tensors          map[string][]byte // storages that were read, by key
	done             map[any]any       // what shared dicts and objects became
	unread, uncopied int64             // bytes
	values           int               // made plain so far
}

// record reads one, which must be stored as torch.save does, so that its size is
// that of the file.
func (a *archiveReader) record(name string, limit uint64) ([]byte, error) {
	f := a.records[name]
	switch {
	case f == nil:
		return nil, fmt.Errorf("the archive lacks %s: it is damaged", name)
	case f.Method != zip.Store:
		return nil, fmt.Errorf("the archive's %s is compressed, which torch.save does not do", name)
	case f.UncompressedSize64 > limit:
		return nil, fmt.Errorf("the archive's %s takes %d bytes, more than the %d that it may", name, f.UncompressedSize64, limit)
	}
	if a.unread -= int64(f.UncompressedSize64); a.unread < 0 {
		return nil, errors.New("the archive's records overlap")
	}
	r, err := f.Open()
	if err != nil {
		return nil, damaged(name, err)
	}
	defer func() { _ = r.Close() }()
	out, err := io.ReadAll(r)
	if err != nil {
		return nil, damaged(name, err)
	}
	return out, nil
}

func damaged(name string, err error) error {
	return fmt.Errorf("the archive's %s is damaged (%s): copy it again", name, strings.TrimPrefix(err.Error(), "zip: "))
}

// Limits of nesting and of values, of which a hostile file may have many that
// are shared.
const (
	maxDepth  = 100
	maxValues = 16 << 20
)

// plain turns a pickle's value, objects and all, into one of Read's.
func (a *archiveReader) plain(value any, depth int) (any, error) {
	if a.values++; depth > maxDepth || a.values > maxValues {
		return nil, errors.New("the values are too many or nested too deeply")
	}
	switch v := value.(type) {
	case *pickle.List:
		return a.once(v, func() (any, error) { return v, a.all(v.Items, depth) })
	case pickle.Tuple:
		return v, a.all(v, depth)
	case *pickle.Dict:
		return a.once(v, func() (any, error) { return a.dict(v, depth) })
	case *pickle.Object:
		return a.once(v, func() (any, error) { return a.object(v, depth) })
	case pickle.Global, pickle.Persistent, *pickle.Set:
		return nil, fmt.Errorf("it holds %s where a value was expected", pickle.Kind(value))
	}
	return value, nil
}

// once makes a value that may be shared plain once: copies of copies would grow
// without end.
func (a *archiveReader) once(key any, make func() (any, error)) (any, error) {
	if made, ok := a.done[key]; ok {
		return made, nil
	}
	made, err := make()
	if err == nil {
		a.done[key] = made
	}
	return made, err
}

// all makes items plain in place.
func (a *archiveReader) all(items []any, depth int) error {
	for i := range items {
		var err error
		if items[i], err = a.plain(items[i], depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (a *archiveReader) dict(from *pickle.Dict, depth int) (*Dict, error) {
	out := pickle.NewDict()
	if from == nil {
		return out, nil
	}
	for i, key := range from.Keys {
		key, err := pickle.Plain(key)
		if err != nil {
			return nil, err
		}
		switch key.(type) {
		case string, int64:
		default:
			return nil, fmt.Errorf("a dict has %s as key, wanted text or a whole number", pickle.Kind(key))
		}
		value, err := a.plain(from.Values[i], depth+1)
		if err != nil {
			return nil, err
		}
		out.Set(key, value)
	}
	return out, nil
}

func (a *archiveReader) object(o *pickle.Object, depth int) (any, error) {
	switch o.Class.String() {
	case "collections.OrderedDict":
		return a.dict(o.Entries, depth)
	case "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2":
		return a.tensor(o.Args)
	case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state":
		if len(o.Args) == 0 {
			return nil, errors.New("a parameter without its tensor")
		}
		return a.plain(o.Args[0], depth+1)
	case "torch.Size":
		if len(o.Args) != 1 {
			return nil, errors.New("a shape of a form that is not known")
		}
		return a.plain(o.Args[0], depth+1)
	case "torch.device":
		return a.plain(o.Args, depth+1)
	}
	if array, is, err := pickle.ArrayOf(o); is {
		return array, err
	}
	value, err := pickle.Plain(o)
	if _, still := value.(*pickle.Object); still && err == nil {
		err = fmt.Errorf("it holds a %s of a form that is not known", o.Class)
	}
	return value, err
}

// tensor makes one of _rebuild_tensor's arguments.
func (a *archiveReader) tensor(args pickle.Tuple) (*Tensor, error) {
	v, err := ViewOf(args)
	if err != nil {
		return nil, err
	}
	storage, err := a.storage(v.Storage)
	if err != nil {
		return nil, err
	}
	n, err := v.Len()
	if err != nil {
		return nil, err
	}
	t := &Tensor{DType: v.Storage.DType, Shape: v.Shape}
	element := v.Storage.Element
	if n == 0 || contiguous(v.Shape, v.Stride) {
		from, to := int(v.Offset)*element, (int(v.Offset)+n)*element
		if n == 0 {
			from, to = 0, 0
		}
		t.Data = storage[from:to:to]
		return t, nil
	}
	if a.uncopied -= int64(n * element); a.uncopied < 0 {
		return nil, errors.New("its tensors are more than the file holds")
	}
	t.Data = gather(storage, element, int(v.Offset), v.Shape, v.Stride, n)
	return t, nil
}

// gather copies a view's elements into the usual order. The view lies inside.
func gather(storage []byte, element, offset int, shape, stride []int, n int) []byte {
	out := make([]byte, 0, n*element)
	index := make([]int, len(shape))
	for range n {
		at := offset
		for d, i := range index {
			at += i * stride[d]
		}
		out = append(out, storage[at*element:(at+1)*element]...)
		for d := len(shape) - 1; d >= 0; d-- {
			if index[d]++; index[d] < shape[d] {
				break
			}
			index[d] = 0
		}
	}
	return out
}

func contiguous(shape, stride []int) bool {
	want := 1
	for d := len(shape) - 1; d >= 0; d-- {
		if shape[d] != 1 && stride[d] != want {
			return false
		}
		want *= shape[d]
	}
	return true
}

// storage reads a storage's record.
func (a *archiveReader) storage(s Storage) ([]byte, error) {
	data, there := a.tensors[s.Key]
	if !there {
		var err error
		if data, err = a.record("data/"+s.Key, math.MaxInt64); err != nil {
			return nil, err
		}
		a.tensors[s.Key] = data
	}
	if err := s.Fits(len(data)); err != nil {
		return nil, err
	}
	return data, nil
}
