package torchbridge

/*
#include "torchbridge.h"
*/
import "C"

// SGDOptions are those of PyTorch's SGD.
type SGDOptions struct {
	LR          float64
	Momentum    float64
	WeightDecay float64
	Nesterov    bool
}

// SGD is stochastic gradient descent over the parameters of a module that
// require gradients. It belongs to a scope.
type SGD struct{ h *C.tb_sgd }

func (o *SGD) free() {
	C.tb_sgd_free(o.h)
	o.h = nil
}

// NewSGD makes an optimiser for the module's parameters.
func (s *Scope) NewSGD(m *Module, o SGDOptions) (*SGD, error) {
	options := C.tb_sgd_options{
		lr: C.double(o.LR), momentum: C.double(o.Momentum),
		weight_decay: C.double(o.WeightDecay), nesterov: cBool(o.Nesterov),
	}
	var out *C.tb_sgd
	if err := statusError(C.tb_sgd_new(m.h, options, &out)); err != nil {
		return nil, err
	}
	opt := &SGD{h: out}
	s.adopt(opt)
	return opt, nil
}

// SetLR sets the learning rate of the steps to come.
func (o *SGD) SetLR(lr float64) error { return statusError(C.tb_sgd_set_lr(o.h, C.double(lr))) }

// ZeroGrad drops all gradients; failures stick to s.
func (o *SGD) ZeroGrad(s *Scope) { s.check(C.tb_sgd_zero_grad(o.h)) }

// ClipGradNorm scales the gradients down to a global L2 norm of limit at most
// and returns the norm before (it waits for the device); failures stick to s.
func (o *SGD) ClipGradNorm(s *Scope, limit float64) float64 {
	var norm C.double
	s.check(C.tb_sgd_clip_grad_norm(s.mode, o.h, C.double(limit), &norm))
	return float64(norm)
}

// Step updates the parameters by their gradients; after an earlier failure in
// s it does nothing, so that a broken step never reaches the weights.
func (o *SGD) Step(s *Scope) {
	if s.err == nil {
		s.check(C.tb_sgd_step(s.mode, o.h))
	}
}
