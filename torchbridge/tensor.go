package torchbridge

/*
#include <stdlib.h>
#include "torchbridge.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// DType is the type of a tensor's elements.
type DType int

// The element types that cross the bridge.
const (
	Uint8   DType = C.TB_UINT8
	Int64   DType = C.TB_INT64
	Float32 DType = C.TB_FLOAT32
	Float64 DType = C.TB_FLOAT64
	Bool    DType = C.TB_BOOL
	Other   DType = C.TB_OTHER // one that the bridge does not carry, such as float16
)

func (d DType) String() string {
	names := []string{"uint8", "int64", "float32", "float64", "bool"}
	if d < 0 || int(d) >= len(names) {
		return "other"
	}
	return names[d]
}

// Element is a Go type that has a DType.
type Element interface {
	uint8 | int64 | float32 | float64 | bool
}

func dtypeOf[T Element]() DType {
	var zero T
	switch any(zero).(type) {
	case uint8:
		return Uint8
	case int64:
		return Int64
	case float32:
		return Float32
	case float64:
		return Float64
	default:
		return Bool
	}
}

// Tensor is an n-dimensional array in libtorch's memory. It belongs to a
// scope; the results of its operations belong to the same scope. After a
// failed operation it is invalid: its operations do nothing.
type Tensor struct {
	s *Scope
	h *C.tb_tensor
}

func (t *Tensor) free() {
	C.tb_tensor_free(t.h)
	t.h = nil
}

// MoveTo takes the tensor out of its scope and into another, and returns it.
func (t *Tensor) MoveTo(s *Scope) *Tensor {
	if t.h != nil {
		t.s.release(t)
		s.adopt(t)
	}
	t.s = s
	return t
}

// In returns another handle on the same memory that belongs to s, so that
// results of its operations do too.
func (t *Tensor) In(s *Scope) *Tensor {
	if t.h == nil {
		s.fail(errInvalid(t))
		return &Tensor{s: s}
	}
	var out *C.tb_tensor
	st := C.tb_tensor_alias(t.h, &out)
	return s.tensor(st, out)
}

// Free frees the tensor before its scope closes.
func (t *Tensor) Free() {
	if t.h != nil {
		t.s.release(t)
		t.free()
	}
}

func errInvalid(t *Tensor) error {
	if t.s != nil && t.s.err != nil {
		return t.s.err
	}
	return errors.New("a tensor was used after it was freed or after its operation failed")
}

func (s *Scope) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// ready reports whether all the tensors can be used, and notes it if not.
func (s *Scope) ready(ts ...*Tensor) bool {
	for _, t := range ts {
		if t == nil || t.h == nil {
			if t == nil {
				s.fail(errors.New("a nil tensor"))
			} else {
				s.fail(errInvalid(t))
			}
			return false
		}
	}
	return true
}

// handles are the tensors' for a C function that takes several.
func (s *Scope) handles(ts []*Tensor) ([]*C.tb_tensor, bool) {
	if len(ts) == 0 || !s.ready(ts...) {
		s.fail(errors.New("no tensor was given"))
		return nil, false
	}
	out := make([]*C.tb_tensor, len(ts))
	for i, t := range ts {
		out[i] = t.h
	}
	return out, true
}

func cShape(shape []int) (*C.int64_t, C.size_t) {
	if len(shape) == 0 {
		return nil, 0
	}
	out := make([]C.int64_t, len(shape))
	for i, n := range shape {
		out[i] = C.int64_t(n)
	}
	return &out[0], C.size_t(len(out))
}

// From copies data, laid out C-contiguously, into a new tensor on the scope's device.
func From[T Element](s *Scope, data []T, shape ...int) *Tensor {
	var zero T
	var out *C.tb_tensor
	p, n := cShape(shape)
	size := C.size_t(len(data)) * C.size_t(unsafe.Sizeof(zero))
	st := C.tb_tensor_from(unsafe.Pointer(unsafe.SliceData(data)), size, C.tb_dtype(dtypeOf[T]()), p, n, &out)
	t := s.tensor(st, out)
	if s.dev.name == "cpu" || t.h == nil {
		return t
	}
	defer t.Free()
	return t.ToDevice(s.dev.name)
}

// Full makes a tensor on the scope's device with every element set to value.
func (s *Scope) Full(value float64, dtype DType, shape ...int) *Tensor {
	var out *C.tb_tensor
	p, n := cShape(shape)
	device := C.CString(s.dev.name)
	defer C.free(unsafe.Pointer(device))
	st := C.tb_tensor_full(p, n, C.double(value), C.tb_dtype(dtype), device, &out)
	return s.tensor(st, out)
}

// Values copies a tensor's elements out, C-contiguously. Its element type must
// be T's; a mismatch sticks to the scope and gives nil.
func Values[T Element](t *Tensor) []T {
	if !t.s.ready(t) {
		return nil
	}
	if got, want := t.DType(), dtypeOf[T](); got != want {
		t.s.fail(fmt.Errorf("read a tensor of %v as %v", got, want))
		return nil
	}
	out := make([]T, t.Len())
	var zero T
	if !t.s.check(C.tb_tensor_read(t.h, unsafe.Pointer(unsafe.SliceData(out)), C.size_t(len(out))*C.size_t(unsafe.Sizeof(zero)))) {
		return nil
	}
	return out
}

// Item is the value of a tensor of one element; 0 after a failure.
func (t *Tensor) Item() float64 {
	var out C.double
	if !t.s.ready(t) || !t.s.check(C.tb_tensor_item(t.h, &out)) {
		return 0
	}
	return float64(out)
}

// DType is the type of the elements; Other for an invalid tensor.
func (t *Tensor) DType() DType {
	if t.h == nil {
		return Other
	}
	return DType(C.tb_tensor_dtype(t.h))
}

// Shape is the extent of each dimension; nil for an invalid tensor.
func (t *Tensor) Shape() []int {
	if t.h == nil {
		return nil
	}
	shape := make([]int, int(C.tb_tensor_dims(t.h)))
	for i := range shape {
		shape[i] = int(C.tb_tensor_size(t.h, C.size_t(i)))
	}
	return shape
}

// Len is the number of elements; 0 for an invalid tensor.
func (t *Tensor) Len() int {
	if t.h == nil {
		return 0
	}
	return int(C.tb_tensor_numel(t.h))
}

// RequiresGrad reports whether operations on the tensor are recorded.
func (t *Tensor) RequiresGrad() bool { return t.h != nil && C.tb_tensor_requires_grad(t.h) != 0 }

// IsChannelsLast reports whether a 4-D tensor lies in N×H×W×C order in memory.
func (t *Tensor) IsChannelsLast() bool { return t.h != nil && C.tb_tensor_is_channels_last(t.h) != 0 }

// SetRequiresGrad turns recording for a leaf tensor on or off and returns it.
func (t *Tensor) SetRequiresGrad(on bool) *Tensor {
	if t.s.ready(t) {
		t.s.check(C.tb_tensor_set_requires_grad(t.h, cBool(on)))
	}
	return t
}

// ToDevice copies to a device such as "cpu" or "cuda:0"; the same memory where it is there already.
func (t *Tensor) ToDevice(name string) *Tensor {
	device := C.CString(name)
	defer C.free(unsafe.Pointer(device))
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status {
		return C.tb_tensor_to_device(t.s.mode, t.h, device, out)
	})
}

// To converts the elements; the same memory where they have that type already.
func (t *Tensor) To(dtype DType) *Tensor {
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status {
		return C.tb_tensor_to_dtype(t.s.mode, t.h, C.tb_dtype(dtype), out)
	})
}

// ChannelsLast reorders a 4-D tensor's memory to N×H×W×C; its shape stays.
func (t *Tensor) ChannelsLast() *Tensor {
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status {
		return C.tb_tensor_channels_last(t.s.mode, t.h, out)
	})
}

// Clone copies memory; the copy has no history.
func (t *Tensor) Clone() *Tensor {
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status { return C.tb_tensor_clone(t.h, out) })
}

// Detach is the same memory without history.
func (t *Tensor) Detach() *Tensor {
	return t.unaryWith(func(out **C.tb_tensor) *C.tb_status { return C.tb_tensor_detach(t.h, out) })
}

// Backward computes the gradients of a scalar.
func (t *Tensor) Backward() {
	if t.s.ready(t) {
		t.s.check(C.tb_tensor_backward(t.s.mode, t.h))
	}
}

// Grad is the gradient that Backward left; nil where there is none.
func (t *Tensor) Grad() *Tensor {
	var out *C.tb_tensor
	if !t.s.ready(t) || !t.s.check(C.tb_tensor_grad(t.h, &out)) || out == nil {
		return nil
	}
	return t.s.tensor(nil, out)
}

// CopyFrom overwrites the elements with src's (broadcast), outside of any history.
func (t *Tensor) CopyFrom(src *Tensor) {
	if t.s.ready(t, src) {
		t.s.check(C.tb_tensor_copy_from(t.s.mode, t.h, src.h))
	}
}

// CopyRows overwrites rows index[i] with src's rows i, outside of any history.
func (t *Tensor) CopyRows(index []int, src *Tensor) {
	if !t.s.ready(t, src) {
		return
	}
	p, n := cShape(index)
	t.s.check(C.tb_tensor_copy_rows(t.s.mode, t.h, p, n, src.h))
}

// unaryWith runs an operation on t alone.
func (t *Tensor) unaryWith(run func(out **C.tb_tensor) *C.tb_status) *Tensor {
	if !t.s.ready(t) {
		return &Tensor{s: t.s}
	}
	var out *C.tb_tensor
	st := run(&out)
	return t.s.tensor(st, out)
}

func cBool(on bool) C.int32_t {
	if on {
		return 1
	}
	return 0
}
