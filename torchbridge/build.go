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

// Builder makes a module from parameters and TorchScript source, with no
// Python. The first failure sticks; Module returns it.
type Builder struct {
	s    *Scope
	root *Module
	err  error
}

// NewBuilder starts a module whose parts and result belong to s.
func NewBuilder(s *Scope) *Builder { return &Builder{s: s} }

// Part is a module under construction.
type Part struct {
	b *Builder
	m *Module
}

// Part makes a part of the given class name. All parts of one module come from
// one builder.
func (b *Builder) Part(class string) *Part {
	if b.err != nil {
		return &Part{b: b}
	}
	name := C.CString(class)
	defer C.free(unsafe.Pointer(name))
	var root *C.tb_module
	if b.root != nil {
		root = b.root.h
	}
	var out *C.tb_module
	st := C.tb_module_new(root, name, &out)
	m, err := b.s.module(st, out)
	b.note("make a part "+class, err)
	if b.root == nil {
		b.root = m
	}
	return &Part{b: b, m: m}
}

func (b *Builder) note(what string, err error) {
	if err != nil && b.err == nil {
		b.err = fmt.Errorf("%s: %w", what, err)
	}
}

// Finish returns p as the finished module. It and its parts stay with the
// builder's scope; CopyTo takes the module elsewhere.
func (b *Builder) Finish(p *Part) (*Module, error) {
	if b.err != nil {
		return nil, b.err
	}
	return p.m, nil
}

func (p *Part) do(what string, run func() *C.tb_status) *Part {
	if p.b.err == nil {
		p.b.note(what, statusError(run()))
	}
	return p
}

// Parameter adds a copy of t as a parameter.
func (p *Part) Parameter(name string, t *Tensor) *Part {
	return p.named(name, t, "parameter", func(n *C.char) *C.tb_status { return C.tb_module_add_parameter(p.m.h, n, t.h) })
}

// Buffer adds a copy of t as a buffer.
func (p *Part) Buffer(name string, t *Tensor) *Part {
	return p.named(name, t, "buffer", func(n *C.char) *C.tb_status { return C.tb_module_add_buffer(p.m.h, n, t.h) })
}

func (p *Part) named(name string, t *Tensor, kind string, add func(*C.char) *C.tb_status) *Part {
	if t.h == nil {
		p.b.note("add the "+kind+" "+name, errInvalid(t))
		return p
	}
	return p.do("add the "+kind+" "+name, func() *C.tb_status {
		n := C.CString(name)
		defer C.free(unsafe.Pointer(n))
		return add(n)
	})
}

// Child adds another part under a name.
func (p *Part) Child(name string, child *Part) *Part {
	return p.do("add the part "+name, func() *C.tb_status {
		n := C.CString(name)
		defer C.free(unsafe.Pointer(n))
		return C.tb_module_add_module(p.m.h, n, child.m.h)
	})
}

// Define adds methods in TorchScript source; a part is called by its forward
// method (self.head.forward(x)). The parts and parameters that it
// names must be there already.
func (p *Part) Define(source string) *Part {
	return p.do("compile a method", func() *C.tb_status {
		text := C.CString(source)
		defer C.free(unsafe.Pointer(text))
		return C.tb_module_define(p.m.h, text)
	})
}
