// Package torchbridge drives libtorch (1.13 and 2.x, CPU and CUDA) through a
// small C library of our own, libtorchbridge.so, whose interface is
// torchbridge.h.
//
// # Threads
//
// A Device owns one locked OS thread. Device.Do hands it a function, usually a
// whole training step, and waits for it; libtorch's per-thread settings
// (gradient mode, thread count) travel with each call, so nothing depends on
// what ran before. A call of libtorch cannot be interrupted: Do looks at its
// context before the function starts.
//
// # Memory
//
// Go's garbage collector does not see tensor memory. Every tensor, module and
// optimiser belongs to a Scope, which frees it when it closes; the scope that
// Do passes closes when the function returns. What must live longer is moved
// out by name: t.MoveTo(outer). LiveHandles counts what exists.
//
// # Errors
//
// Tensor operations do not return errors, so that formulas read like formulas.
// The first failure sticks to the scope, later operations on its tensors do
// nothing, and Do returns it. Ask Scope.Err before deciding on a value that
// was read from a tensor.
package torchbridge
