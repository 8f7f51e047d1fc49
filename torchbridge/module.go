package torchbridge

/*
#include <stdlib.h>
#include "torchbridge.h"
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Module is a TorchScript module. It belongs to a scope.
type Module struct {
	s *Scope
	h *C.tb_module
}

func (m *Module) free() {
	C.tb_module_free(m.h)
	m.h = nil
}

// Close frees the module before its scope closes. Closing again does nothing.
func (m *Module) Close() {
	if m.h != nil {
		m.s.release(m)
		m.free()
	}
}

func (s *Scope) module(st *C.tb_status, h *C.tb_module) (*Module, error) {
	if err := statusError(st); err != nil {
		return nil, err
	}
	m := &Module{s: s, h: h}
	s.adopt(m)
	return m, nil
}

// LoadModule loads a TorchScript archive onto the scope's device. Loading runs
// code of the archive: see docs/security.md.
func (s *Scope) LoadModule(archive []byte) (*Module, error) {
	device := C.CString(s.dev.name)
	defer C.free(unsafe.Pointer(device))
	var out *C.tb_module
	st := C.tb_module_load(unsafe.Pointer(unsafe.SliceData(archive)), C.size_t(len(archive)), device, &out)
	return s.module(st, out)
}

// Save returns the module as a TorchScript archive. The same module gives the same bytes.
func (m *Module) Save() ([]byte, error) {
	var bytes *C.tb_bytes
	if err := statusError(C.tb_module_save(m.h, &bytes)); err != nil {
		return nil, fmt.Errorf("write the module as TorchScript: %w", err)
	}
	return takeBytes(bytes), nil
}

// takeBytes copies bytes of the bridge and frees them.
func takeBytes(bytes *C.tb_bytes) []byte {
	defer C.tb_bytes_free(bytes)
	view := unsafe.Slice((*byte)(C.tb_bytes_data(bytes)), int(C.tb_bytes_size(bytes)))
	return append([]byte(nil), view...)
}

// Forward runs the module on a tensor, and on more if its forward takes more;
// the result belongs to x's scope.
func (m *Module) Forward(x *Tensor, more ...*Tensor) *Tensor {
	inputs, ok := x.s.handles(append([]*Tensor{x}, more...))
	if !ok {
		return &Tensor{s: x.s}
	}
	return x.unaryWith(func(out **C.tb_tensor) *C.tb_status {
		return C.tb_module_forward(x.s.mode, m.h, &inputs[0], C.size_t(len(inputs)), out)
	})
}

// Train switches between training (BatchNorm and dropout active) and evaluation.
func (m *Module) Train(on bool) error { return statusError(C.tb_module_train(m.h, cBool(on))) }

// ToDevice moves parameters and buffers.
func (m *Module) ToDevice(name string) error {
	device := C.CString(name)
	defer C.free(unsafe.Pointer(device))
	return statusError(C.tb_module_to_device(m.h, device))
}

// To converts floating-point parameters and buffers to Float32 or Float64.
func (m *Module) To(dtype DType) error {
	return statusError(C.tb_module_to_dtype(m.h, C.tb_dtype(dtype)))
}

// ChannelsLast puts convolution weights in channels-last order (the fast one
// for training on a CPU), or back to the usual one.
func (m *Module) ChannelsLast(on bool) error {
	return statusError(C.tb_module_channels_last(m.h, cBool(on)))
}

// RequireGrad turns gradients of all floating-point parameters on or off.
func (m *Module) RequireGrad(on bool) error {
	return statusError(C.tb_module_requires_grad(m.h, cBool(on)))
}

// CopyTo makes an independent copy that belongs to s.
func (m *Module) CopyTo(s *Scope) (*Module, error) {
	var out *C.tb_module
	st := C.tb_module_copy(m.h, &out)
	return s.module(st, out)
}

// ForInference makes a copy that belongs to s, for evaluation only: constants
// folded, layers fused. Its logits differ from the module's by rounding.
func (m *Module) ForInference(s *Scope) (*Module, error) {
	var out *C.tb_module
	st := C.tb_module_for_inference(m.h, &out)
	return s.module(st, out)
}

func (m *Module) names(kind C.tb_member) ([]string, error) {
	var list *C.tb_strings
	if err := statusError(C.tb_module_names(m.h, kind, &list)); err != nil {
		return nil, err
	}
	return takeStrings(list), nil
}

// Parameters lists the dotted names of the parameters in the module's order.
func (m *Module) Parameters() ([]string, error) { return m.names(C.TB_PARAMETERS) }

// Buffers lists the dotted names of the buffers in the module's order.
func (m *Module) Buffers() ([]string, error) { return m.names(C.TB_BUFFERS) }

// Member is a parameter or a buffer of modules of one kind.
type Member struct {
	Name string // dotted
	kind C.tb_member
}

// State lists the parameters, then the buffers, in the module's order.
func (m *Module) State() ([]Member, error) {
	var state []Member
	for _, kind := range []C.tb_member{C.TB_PARAMETERS, C.TB_BUFFERS} {
		names, err := m.names(kind)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			state = append(state, Member{name, kind})
		}
	}
	return state, nil
}

// NotFinite names the first parameter or buffer that is not finite throughout; "" where all are.
func (m *Module) NotFinite(s *Scope) (string, error) {
	state, err := m.State()
	if err != nil {
		return "", err
	}
	found := ""
	s.NoGrad(func() {
		for _, at := range state {
			if m.Tensor(s, at).IsFinite().All().Item() == 0 && s.Err() == nil {
				found = at.Name
				return
			}
		}
	})
	return found, s.Err()
}

// Tensor is what the module has for a member, sharing memory with it; the handle
// belongs to s.
func (m *Module) Tensor(s *Scope, of Member) *Tensor { return m.member(s, of.kind, of.Name) }

// Submodules lists the dotted names of all parts; the module itself is "".
func (m *Module) Submodules() ([]string, error) { return m.names(C.TB_SUBMODULES) }

// Parameter is a parameter by its dotted name, sharing memory with the module;
// the handle belongs to s.
func (m *Module) Parameter(s *Scope, name string) *Tensor {
	return m.member(s, C.TB_PARAMETERS, name)
}

// Buffer is a buffer by its dotted name, sharing memory with the module; the
// handle belongs to s.
func (m *Module) Buffer(s *Scope, name string) *Tensor { return m.member(s, C.TB_BUFFERS, name) }

func (m *Module) member(s *Scope, kind C.tb_member, name string) *Tensor {
	cName := C.CString(name)
	defer C.free(unsafe.Pointer(cName))
	var out *C.tb_tensor
	st := C.tb_module_get(m.h, kind, cName, &out)
	return s.tensor(st, out)
}

// Class is the class name of a part as its author wrote it, such as "Linear".
func (m *Module) Class(name string) (string, error) {
	cName := C.CString(name)
	defer C.free(unsafe.Pointer(cName))
	var list *C.tb_strings
	if err := statusError(C.tb_module_class(m.h, cName, &list)); err != nil {
		return "", err
	}
	return takeStrings(list)[0], nil
}

// Arity tells how many arguments forward must be given and how many it may.
func (m *Module) Arity() (required, most int, err error) {
	var must, may C.int32_t
	err = statusError(C.tb_module_arity(m.h, &must, &may))
	return int(must), int(may), err
}

// Operators lists, sorted, the operators of all code that was loaded with the
// module, whether forward reaches it or not; torchbridge.h says how calls are named.
func (m *Module) Operators() ([]string, error) {
	var list *C.tb_strings
	if err := statusError(C.tb_module_operators(m.h, &list)); err != nil {
		return nil, err
	}
	return takeStrings(list), nil
}
