package dataset

import (
	"errors"
	"fmt"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/pickle"
)

// pickledBatch reads a Python batch: a dict of "data", N×3072 bytes, and a list
// of labels. The pickle is read as data; nothing in it is run.
func pickledBatch(f cifarForm, path string, text []byte) ([]uint8, []int64, error) {
	images, labels, err := unpickleBatch(f, text)
	if err != nil {
		return nil, nil, fault.Misuse("CIFAR batch %s: %w; unpack the archive again", path, err)
	}
	return images, labels, nil
}

func unpickleBatch(f cifarForm, text []byte) ([]uint8, []int64, error) {
	batch, err := unpickleDict(text)
	if err != nil {
		return nil, nil, err
	}
	data, err := pickledArray(batch["data"])
	if err != nil {
		return nil, nil, fmt.Errorf("its data: %w", err)
	}
	if len(data.shape) != 2 || data.shape[1] != cifarPixels || data.dtype != "u1" {
		return nil, nil, fmt.Errorf("its data are %s of type %q, wanted N×%d of u1", joinDims(data.shape), data.dtype, cifarPixels)
	}
	list, ok := batch[f.labels].(*pickle.List)
	if !ok {
		return nil, nil, fmt.Errorf("it has no list %s", f.labels)
	}
	labels := make([]int64, len(list.Items))
	for i, item := range list.Items {
		if labels[i], ok = item.(int64); !ok {
			return nil, nil, fmt.Errorf("label %d is no whole number", i)
		}
	}
	if len(labels) != data.shape[0] {
		return nil, nil, fmt.Errorf("it has %d images and %d labels", data.shape[0], len(labels))
	}
	return data.data, labels, nil
}

// pickledNames reads the names out of a Python meta file.
func pickledNames(f cifarForm, path string, text []byte) ([]string, error) {
	meta, err := unpickleDict(text)
	if err != nil {
		return nil, fault.Misuse("class names %s: %w; unpack the archive again", path, err)
	}
	list, ok := meta[f.labelNames].(*pickle.List)
	if !ok {
		return nil, fault.Misuse("class names %s: it has no list %s; unpack the archive again", path, f.labelNames)
	}
	names := make([]string, len(list.Items))
	for i, item := range list.Items {
		name, ok := pickledBytes(item)
		if !ok {
			return nil, fault.Misuse("class names %s: name %d is no text; unpack the archive again", path, i)
		}
		names[i] = string(name)
	}
	return names, nil
}

// unpickleDict reads a dict whose keys are text.
func unpickleDict(text []byte) (map[string]any, error) {
	value, err := pickle.Read(text, allowArrays)
	var refused *pickle.Refused
	if errors.As(err, &refused) {
		return nil, refused // without where it stands
	}
	if err != nil {
		return nil, err
	}
	dict, ok := value.(*pickle.Dict)
	if !ok {
		return nil, errors.New("the pickle is no dict")
	}
	out := make(map[string]any, dict.Len())
	for i, key := range dict.Keys {
		if name, ok := pickledBytes(key); ok {
			out[string(name)] = dict.Values[i]
		}
	}
	return out, nil
}

// allowArrays lets through what NumPy's arrays and, in old protocols, bytes are
// made by.
func allowArrays(g pickle.Global) error {
	switch g.String() {
	case "numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype", "_codecs.encode":
		return nil
	}
	return fmt.Errorf("the pickle names %s, which a data set has no use for", g)
}

// pickledBytes is a string of bytes: Python 2 has them as text, Python 3 as
// bytes or, in the protocols of Python 2, as a call that encodes text.
func pickledBytes(v any) ([]byte, bool) {
	switch v := v.(type) {
	case string:
		return []byte(v), true
	case []byte:
		return v, true
	case *pickle.Object:
		if v.Class.String() != "_codecs.encode" || len(v.Args) != 2 || v.Args[1] != "latin1" {
			return nil, false
		}
		text, ok := v.Args[0].(string)
		if !ok {
			return nil, false
		}
		out := make([]byte, 0, len(text))
		for _, r := range text {
			if r > 0xff {
				return nil, false
			}
			out = append(out, byte(r))
		}
		return out, true
	}
	return nil, false
}

// pickledArray is an array as NumPy pickles it: the call of _reconstruct, whose
// state is version, shape, type, order and bytes.
func pickledArray(v any) (array, error) {
	object, ok := v.(*pickle.Object)
	if !ok || object.Class.Name != "_reconstruct" {
		return array{}, errors.New("no NumPy array")
	}
	state, ok := object.State.(pickle.Tuple)
	if !ok || len(state) != 5 {
		return array{}, errors.New("a NumPy array without its state")
	}
	shape, ok := state[1].(pickle.Tuple)
	dtype, isType := state[2].(*pickle.Object)
	fortran, isFlag := flag(state[3])
	data, isData := pickledBytes(state[4])
	if !ok || !isType || !isFlag || !isData || dtype.Class.String() != "numpy.dtype" || len(dtype.Args) == 0 {
		return array{}, errors.New("a NumPy array whose state is not understood")
	}
	name, ok := pickledBytes(dtype.Args[0])
	if !ok {
		return array{}, errors.New("a NumPy array of a type that is not understood")
	}
	a := array{dtype: string(name), data: data}
	for _, extent := range shape {
		n, ok := extent.(int64)
		if !ok {
			return array{}, errors.New("a NumPy array whose shape is not of whole numbers")
		}
		a.shape = append(a.shape, int(n))
	}
	return a.inOrder(fortran)
}

// flag is a truth value; Python 2 has some as numbers.
func flag(v any) (value, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case int64:
		return v != 0, true
	}
	return false, false
}
