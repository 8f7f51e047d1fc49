package torchbridge

/*
#include "torchbridge.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
)

// Scope owns tensors, modules and optimisers and frees them when it closes.
// One goroutine uses it at a time.
type Scope struct {
	dev   *Device
	mode  C.tb_mode
	owned []handle
	err   error
	watch *atomic.Int64 // how much it owns, for the leak report
}

type handle interface{ free() }

// NewScope makes a scope that lives until its Close. A scope that is garbage
// while it still owns something is reported as a leak; nothing is freed then.
func (d *Device) NewScope() *Scope {
	s := &Scope{dev: d, mode: d.mode, watch: new(atomic.Int64)}
	report := d.lib.onLeak
	runtime.AddCleanup(s, func(owned *atomic.Int64) {
		if n := owned.Load(); n > 0 {
			report(fmt.Sprintf("a scope with %d handles was never closed", n))
		}
	}, s.watch)
	return s
}

// Device is the device that the scope's tensors live on.
func (s *Scope) Device() *Device { return s.dev }

// Err is the first failure of an operation on the scope's tensors.
func (s *Scope) Err() error { return s.err }

// NoGrad runs f with gradient recording off.
func (s *Scope) NoGrad(f func()) {
	before := s.mode.grad
	s.mode.grad = 0
	defer func() { s.mode.grad = before }()
	f()
}

// Precision is what is multiplied in.
type Precision int

// The precisions. Float32 weights stay what they are: for the 16-bit types, the
// convolutions and matrix products of modules' forward passes cast them and
// their inputs, as torch.autocast does; their results are float32. TF32 is how a
// GPU multiplies float32 with a mantissa of 10 bits, in whatever runs.
const (
	FullPrecision Precision = C.TB_PRECISION_FULL     // as the weights are
	BFloat16      Precision = C.TB_PRECISION_BFLOAT16 // on a CPU or GPU
	Float16       Precision = C.TB_PRECISION_FLOAT16  // on a GPU; see Scope.Backward
	TF32          Precision = C.TB_PRECISION_TF32     // on a GPU; elsewhere it is full
)

// With runs f in a precision.
func (s *Scope) With(p Precision, f func()) {
	before := s.mode.precision
	s.mode.precision = C.int32_t(p)
	defer func() { s.mode.precision = before }()
	f()
}

// lossScale lifts the gradients of float16 out of where they underflow; a power
// of two, so that it changes no digit. Cross-entropy's stay far below what
// float16 can hold even so, and what overflows shows as a loss that is NaN.
const lossScale = 1024

// Backward computes the gradients of a scalar for optimisers, of all whose
// weights it depends on. In Float16 they are scaled in between.
func (s *Scope) Backward(loss *Tensor, opts ...*Optimizer) {
	if Precision(s.mode.precision) != Float16 {
		loss.Backward()
		return
	}
	s.scaledBackward(loss, opts)
}

func (s *Scope) scaledBackward(loss *Tensor, opts []*Optimizer) {
	loss.MulScalar(lossScale).Backward()
	for _, o := range opts {
		s.check(C.tb_optimizer_scale_grad(s.mode, o.h, 1.0/lossScale))
	}
}

// Close frees what the scope owns. Closing again does nothing.
func (s *Scope) Close() {
	for i := len(s.owned) - 1; i >= 0; i-- {
		s.owned[i].free()
	}
	s.owned = nil
	s.count()
}

func (s *Scope) adopt(h handle) {
	s.owned = append(s.owned, h)
	s.count()
}

// release gives up ownership of h without freeing it.
func (s *Scope) release(h handle) {
	if i := slices.Index(s.owned, h); i >= 0 {
		s.owned = slices.Delete(s.owned, i, i+1)
	}
	s.count()
}

func (s *Scope) count() {
	if s.watch != nil {
		s.watch.Store(int64(len(s.owned)))
	}
}

// check takes a status over; false means that it was an error, which sticks.
func (s *Scope) check(st *C.tb_status) bool {
	err := statusError(st)
	if err != nil && s.err == nil {
		s.err = err
	}
	return err == nil
}

// tensor wraps the result of an operation; h is nil when it failed.
func (s *Scope) tensor(st *C.tb_status, h *C.tb_tensor) *Tensor {
	if !s.check(st) {
		return &Tensor{s: s}
	}
	t := &Tensor{s: s, h: h}
	s.adopt(t)
	return t
}
