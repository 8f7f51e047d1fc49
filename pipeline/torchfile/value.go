// Package torchfile reads and writes what Python's torch.save leaves, as data:
// nothing that such a file names is imported or run. It knows state dicts and the
// records that hold them: dicts, lists, numbers, texts, tensors, NumPy arrays.
package torchfile

import (
	"fmt"

	"ulrl/pipeline/pickle"
)

// Tensor is one of a file's, C-contiguous and little-endian.
type Tensor struct {
	DType string // torch's, such as "float32"
	Shape []int
	Data  []byte
}

// Dict is a dict whose keys are texts and whole numbers, in the file's order.
type Dict = pickle.Dict

// elements are torch's storage classes and what they hold.
var elements = []struct {
	storage, dtype string
	size           int // bytes
}{
	{"FloatStorage", "float32", 4}, {"DoubleStorage", "float64", 8}, {"HalfStorage", "float16", 2}, {"BFloat16Storage", "bfloat16", 2},
	{"LongStorage", "int64", 8}, {"IntStorage", "int32", 4}, {"ShortStorage", "int16", 2}, {"CharStorage", "int8", 1},
	{"ByteStorage", "uint8", 1}, {"BoolStorage", "bool", 1},
}

func elementOf(storage string) (dtype string, size int, ok bool) {
	for _, e := range elements {
		if e.storage == storage {
			return e.dtype, e.size, true
		}
	}
	return "", 0, false
}

func storageOf(dtype string) (storage string, size int, ok bool) {
	for _, e := range elements {
		if e.dtype == dtype {
			return e.storage, e.size, true
		}
	}
	return "", 0, false
}

// allowed are the classes and functions that a state dict or a record names.
func allowed(g pickle.Global) error {
	name := g.String()
	switch name {
	case "collections.OrderedDict", "torch.Size", "torch.device",
		"torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2",
		"torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state":
		return nil
	}
	if pickle.NumPy(g) {
		return nil
	}
	if g.Module == "torch" {
		if _, _, ok := elementOf(g.Name); ok {
			return nil
		}
	}
	if g.Module == "PIL.Image" {
		return fmt.Errorf("it holds images as %s, which are not read: images must lie beside it as PNG files", name)
	}
	return fmt.Errorf("it asks for %s, which is refused: a state dict (torch.save(model.state_dict(), …)) needs no such thing", name)
}
