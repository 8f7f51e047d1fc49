package torchbridge

/*
#include "torchbridge.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"unsafe"
)

// SGDOptions are those of PyTorch's SGD.
type SGDOptions struct {
	LR          float64
	Momentum    float64
	WeightDecay float64
	Nesterov    bool
}

// AdamOptions are those of PyTorch's Adam.
type AdamOptions struct{ LR, Beta1, Beta2 float64 }

// Optimizer steps the parameters of a module that require gradients. It
// belongs to a scope.
type Optimizer struct{ h *C.tb_optimizer }

func (o *Optimizer) free() {
	C.tb_optimizer_free(o.h)
	o.h = nil
}

// NewSGD makes stochastic gradient descent for the module's parameters.
func (s *Scope) NewSGD(m *Module, o SGDOptions) (*Optimizer, error) {
	options := C.tb_sgd_options{
		lr: C.double(o.LR), momentum: C.double(o.Momentum),
		weight_decay: C.double(o.WeightDecay), nesterov: cBool(o.Nesterov),
	}
	var out *C.tb_optimizer
	st := C.tb_sgd_new(m.h, options, &out)
	return s.optimizer(st, out)
}

// NewAdam makes Adam (Kingma and Ba, arXiv 1412.6980) for the module's parameters.
func (s *Scope) NewAdam(m *Module, o AdamOptions) (*Optimizer, error) {
	options := C.tb_adam_options{lr: C.double(o.LR), beta1: C.double(o.Beta1), beta2: C.double(o.Beta2)}
	var out *C.tb_optimizer
	st := C.tb_adam_new(m.h, options, &out)
	return s.optimizer(st, out)
}

func (s *Scope) optimizer(st *C.tb_status, h *C.tb_optimizer) (*Optimizer, error) {
	if err := statusError(st); err != nil {
		return nil, err
	}
	opt := &Optimizer{h: h}
	s.adopt(opt)
	return opt, nil
}

// SetLR sets the learning rate of the steps to come.
func (o *Optimizer) SetLR(lr float64) error {
	return statusError(C.tb_optimizer_set_lr(o.h, C.double(lr)))
}

// ZeroGrad drops all gradients; failures stick to s.
func (o *Optimizer) ZeroGrad(s *Scope) { s.check(C.tb_optimizer_zero_grad(o.h)) }

// ClipGradNorm scales the gradients down to a global L2 norm of limit at most;
// failures stick to s.
func (o *Optimizer) ClipGradNorm(s *Scope, limit float64) {
	s.check(C.tb_optimizer_clip_grad_norm(s.mode, o.h, C.double(limit)))
}

// RelateGrad scales the gradients to a global L2 norm of share times that of the
// weights that have them; gradients of 0 stay. Failures stick to s.
func (o *Optimizer) RelateGrad(s *Scope, share float64) {
	s.check(C.tb_optimizer_relate_grad(s.mode, o.h, C.double(share)))
}

// Climb moves every weight up the slope of the loss, each in proportion to its
// own size, w + rho·w²·g/‖|w|·g‖, until Return: the ascent of adaptive
// sharpness-aware minimisation (Kwon et al., arXiv 2102.11600). Failures stick to
// s.
func (o *Optimizer) Climb(s *Scope, rho float64) {
	if s.err == nil {
		s.check(C.tb_optimizer_climb(s.mode, o.h, C.double(rho)))
	}
}

// Lean moves every weight by a share of the way from where it was, before a Climb
// as well, to the same weight of another module, until Return. Failures stick to s.
func (o *Optimizer) Lean(s *Scope, to *Module, share float64) {
	if s.err == nil {
		s.check(C.tb_optimizer_lean(s.mode, o.h, to.h, C.double(share)))
	}
	runtime.KeepAlive(to)
}

// Return takes the weights back to where they were before Climb and Lean, also after
// a failure in s.
func (o *Optimizer) Return(s *Scope) {
	s.check(C.tb_optimizer_return(s.mode, o.h))
}

// Step updates the parameters by their gradients; after an earlier failure in
// s it does nothing, so that a broken step never reaches the weights.
func (o *Optimizer) Step(s *Scope) {
	if s.err == nil {
		s.check(C.tb_optimizer_step(s.mode, o.h))
	}
}

// Save returns what the optimiser remembers of its steps.
func (o *Optimizer) Save() ([]byte, error) {
	var bytes *C.tb_bytes
	if err := statusError(C.tb_optimizer_save(o.h, &bytes)); err != nil {
		return nil, fmt.Errorf("write the optimiser's state: %w", err)
	}
	return takeBytes(bytes), nil
}

// Restore takes the state of an optimiser of the same kind, whose module has
// the same parameters.
func (o *Optimizer) Restore(state []byte) error {
	if err := statusError(C.tb_optimizer_restore(o.h, unsafe.Pointer(unsafe.SliceData(state)), C.size_t(len(state)))); err != nil {
		return fmt.Errorf("read the optimiser's state: %w", err)
	}
	return nil
}
