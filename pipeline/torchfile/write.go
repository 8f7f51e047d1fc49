package torchfile

import (
	"archive/zip"
	"bytes"
	"fmt"
	"hash/crc32"

	"ulrl/pipeline/pickle"
)

// Write is the file of torch.save for a value of Read's kinds, NumPy arrays
// excepted; Python reads it with torch.load(…, weights_only=True). Dicts that are
// in ordered come out as OrderedDict, as state_dict() gives them.
func Write(value any, ordered ...*Dict) ([]byte, error) {
	w := &writer{ordered: ordered}
	tree, err := w.tree(value)
	if err != nil {
		return nil, err
	}
	text, err := pickle.Write(tree)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	put := func(name string, data []byte) {
		if err == nil {
			err = store(archive, "archive/"+name, data)
		}
	}
	put("data.pkl", text)
	put("byteorder", []byte("little"))
	for i, t := range w.tensors {
		put(fmt.Sprintf("data/%d", i), t.Data)
	}
	put("version", []byte("3\n"))
	if err != nil {
		return nil, fmt.Errorf("write a file of torch.save: %w", err)
	}
	if err := archive.Close(); err != nil {
		return nil, fmt.Errorf("write a file of torch.save: %w", err)
	}
	return out.Bytes(), nil
}

// store adds a record as torch.save does: not compressed, its size in front.
func store(archive *zip.Writer, name string, data []byte) error {
	size := uint64(len(data))
	f, err := archive.CreateRaw(&zip.FileHeader{
		Name: name, Method: zip.Store, CRC32: crc32.ChecksumIEEE(data), CompressedSize64: size, UncompressedSize64: size,
	})
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return err
}

type writer struct {
	ordered []*Dict
	tensors []*Tensor
}

// tree is the pickle's value for value.
func (w *writer) tree(value any) (any, error) {
	switch v := value.(type) {
	case *Tensor:
		return w.tensor(v)
	case *pickle.List:
		items, err := w.all(v.Items)
		return &pickle.List{Items: items}, err
	case pickle.Tuple:
		items, err := w.all(v)
		return pickle.Tuple(items), err
	case *Dict:
		values, err := w.all(v.Values)
		if err != nil {
			return nil, err
		}
		out := pickle.NewDict()
		for i, key := range v.Keys {
			out.Set(key, values[i])
		}
		for _, d := range w.ordered {
			if d == v {
				return &pickle.Object{Class: pickle.Global{Module: "collections", Name: "OrderedDict"}, Args: pickle.Tuple{}, Entries: out}, nil
			}
		}
		return out, nil
	}
	return value, nil
}

func (w *writer) all(items []any) ([]any, error) {
	out := make([]any, len(items))
	for i, item := range items {
		var err error
		if out[i], err = w.tree(item); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (w *writer) tensor(t *Tensor) (any, error) {
	storage, size, ok := storageOf(t.DType)
	if !ok {
		return nil, fmt.Errorf("write a file of torch.save: a tensor of type %q", t.DType)
	}
	n := 1
	shape, stride := make(pickle.Tuple, len(t.Shape)), make(pickle.Tuple, len(t.Shape))
	for d := len(t.Shape) - 1; d >= 0; d-- {
		shape[d], stride[d] = int64(t.Shape[d]), int64(n)
		n *= t.Shape[d]
	}
	if n*size != len(t.Data) {
		return nil, fmt.Errorf("write a file of torch.save: a tensor of shape %v takes %d bytes, it has %d", t.Shape, n*size, len(t.Data))
	}
	id := pickle.Persistent{ID: pickle.Tuple{"storage", pickle.Global{Module: "torch", Name: storage}, fmt.Sprint(len(w.tensors)), "cpu", int64(n)}}
	w.tensors = append(w.tensors, t)
	hooks := &pickle.Object{Class: pickle.Global{Module: "collections", Name: "OrderedDict"}, Args: pickle.Tuple{}}
	return &pickle.Object{Class: pickle.Global{Module: "torch._utils", Name: "_rebuild_tensor_v2"},
		Args: pickle.Tuple{id, int64(0), shape, stride, false, hooks}}, nil
}
