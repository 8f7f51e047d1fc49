package torchfile

import (
	"errors"
	"fmt"
	"math"

	"ulrl/pipeline/pickle"
)

// Storage is what a pickle of PyTorch says of a record that holds elements.
type Storage struct {
	Key      string // the record's name behind the folder
	Location string // the device that it was saved from
	DType    string // torch's, such as "float32"
	Element  int    // bytes of one
	Count    int64  // elements
}

// StorageOf reads what a persistent id stands for: ("storage", class, key,
// location, elements).
func StorageOf(value any) (Storage, error) {
	id, ok := value.(pickle.Persistent)
	parts, okTuple := id.ID.(pickle.Tuple)
	if !ok || !okTuple || len(parts) < 5 || parts[0] != "storage" {
		return Storage{}, errors.New("a tensor without its storage")
	}
	class, okClass := parts[1].(pickle.Global)
	key, okKey := parts[2].(string)
	location, okLocation := parts[3].(string)
	count, okCount := parts[4].(int64)
	dtype, element, okType := elementOf(class.Name)
	if !okClass || class.Module != "torch" || !okKey || !okLocation || !okCount || !okType || len(key) > 64 || count < 0 || count > math.MaxInt64/8 {
		return Storage{}, errors.New("a tensor's storage is of a form that is not known")
	}
	return Storage{key, location, dtype, element, count}, nil
}

// Fits wants a record of so many bytes to hold exactly the storage's elements.
func (s Storage) Fits(bytes int) error {
	if int64(bytes) != s.Count*int64(s.Element) {
		return fmt.Errorf("the archive's data/%s has %d bytes, %d elements of %s take %d", s.Key, bytes, s.Count, s.DType, s.Count*int64(s.Element))
	}
	return nil
}

// maxDims is how many dimensions a tensor may have, as in libtorch.
const maxDims = 64

// View is a tensor of elements of a storage.
type View struct {
	Storage       Storage
	Offset        int64
	Shape, Stride []int
}

// ViewOf reads _rebuild_tensor's first arguments: storage, offset, size, stride.
func ViewOf(args pickle.Tuple) (View, error) {
	if len(args) < 4 {
		return View{}, errors.New("a tensor without its shape")
	}
	storage, err := StorageOf(args[0])
	if err != nil {
		return View{}, err
	}
	offset, ok := args[1].(int64)
	shape, okShape := extents(args[2])
	stride, okStride := extents(args[3])
	if len(shape) > maxDims {
		return View{}, fmt.Errorf("a tensor of %d dimensions", len(shape))
	}
	if !ok || !okShape || !okStride || offset < 0 || len(shape) != len(stride) {
		return View{}, errors.New("a tensor of a form that is not known")
	}
	return View{storage, offset, shape, stride}, nil
}

// Len is how many elements the view has, each of which must lie in the storage.
func (v View) Len() (int, error) {
	bytes := v.Storage.Count * int64(v.Storage.Element)
	outside := fmt.Errorf("a tensor of shape %v lies outside of its %d bytes", v.Shape, bytes)
	if v.Offset > v.Storage.Count {
		return 0, outside
	}
	n, last := int64(1), v.Offset
	for i, extent := range v.Shape {
		if extent == 0 {
			return 0, nil
		}
		extent, stride := int64(extent), int64(v.Stride[i])
		if extent > bytes || n > bytes/extent || extent > 1 && stride > bytes {
			return 0, outside
		}
		n *= extent
		last += (extent - 1) * stride
		if last >= v.Storage.Count { // each time, so that the sum stays small
			return 0, outside
		}
	}
	if last >= v.Storage.Count {
		return 0, outside
	}
	return int(n), nil
}

// extents are the whole numbers, from 0, of a tuple.
func extents(value any) ([]int, bool) {
	if o, is := value.(*pickle.Object); is && o.Class.String() == "torch.Size" && len(o.Args) == 1 {
		value = o.Args[0]
	}
	t, ok := value.(pickle.Tuple)
	if !ok {
		return nil, false
	}
	out := make([]int, len(t))
	for i, v := range t {
		n, ok := v.(int64)
		if !ok || n < 0 || n > math.MaxInt32 {
			return nil, false
		}
		out[i] = int(n)
	}
	return out, true
}
