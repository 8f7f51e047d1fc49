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
		name, ok := pickle.Bytes(item)
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
		if name, ok := pickle.Bytes(key); ok {
			out[string(name)] = dict.Values[i]
		}
	}
	return out, nil
}

// allowArrays lets through what NumPy's arrays and, in old protocols, bytes are
// made by.
func allowArrays(g pickle.Global) error {
	if pickle.NumPy(g) {
		return nil
	}
	return fmt.Errorf("the pickle names %s, which a data set has no use for", g)
}

// pickledArray is an array as NumPy pickles it, in C's order.
func pickledArray(v any) (array, error) {
	a, ok, err := pickle.ArrayOf(v)
	if !ok {
		err = errors.New("no NumPy array")
	}
	if err != nil {
		return array{}, err
	}
	return array{shape: a.Shape, dtype: a.DType, data: a.Data}.inOrder(a.Fortran)
}
