package pickle

import (
	"errors"
	"fmt"
)

func (r *reader) global(module, name string) error {
	if n := len(module) + len(name); n > maxKey {
		return fmt.Errorf("a name of %d bytes", n)
	}
	g := Global{module, name}
	if err := r.allow(g); err != nil {
		return &Refused{g, err}
	}
	return r.push(g)
}

func (r *reader) stepObject(code byte) error {
	switch code {
	case 'c', 'i', 0x93:
		return r.stepName(code)
	case 'o':
		items, err := r.toMark()
		if err != nil {
			return err
		}
		if len(items) == 0 {
			return errors.New("a call of nothing")
		}
		if err := r.push(items[0]); err != nil {
			return err
		}
		return r.call(Tuple(items[1:]), nil)
	case 'P':
		id, err := r.line()
		if err != nil {
			return err
		}
		return r.push(Persistent{id})
	case 'Q':
		id, err := r.pop()
		if err != nil {
			return err
		}
		return r.push(Persistent{id})
	case 'b':
		state, err := r.pop()
		if err != nil {
			return err
		}
		return r.build(state)
	}
	return r.stepCall(code)
}

// stepName names a class or function, by lines or by texts on the stack; INST
// calls it as well.
func (r *reader) stepName(code byte) error {
	if code == 0x93 {
		name, err := r.pop()
		if err != nil {
			return err
		}
		module, err := r.pop()
		if err != nil {
			return err
		}
		m, ok := module.(string)
		n, ok2 := name.(string)
		if !ok || !ok2 {
			return errors.New("a name that is no text")
		}
		return r.global(m, n)
	}
	module, err := r.line()
	if err != nil {
		return err
	}
	name, err := r.line()
	if err != nil {
		return err
	}
	if code == 'c' {
		return r.global(module, name)
	}
	args, err := r.toMark()
	if err != nil {
		return err
	}
	if err := r.global(module, name); err != nil {
		return err
	}
	return r.call(Tuple(args), nil)
}

// stepCall is REDUCE, NEWOBJ and NEWOBJ_EX: class, arguments and, of the last,
// keyword arguments lie on the stack.
func (r *reader) stepCall(code byte) error {
	last, err := r.pop()
	if err != nil {
		return err
	}
	var named *Dict
	if code == 0x92 {
		d, ok := last.(*Dict)
		if !ok {
			return errors.New("keyword arguments that are no dict")
		}
		named = d
		if last, err = r.pop(); err != nil {
			return err
		}
	}
	args, ok := last.(Tuple)
	if !ok {
		return errors.New("arguments that are no tuple")
	}
	return r.call(args, named)
}

// call puts what is called, which lies on the stack, and its arguments into an
// Object. Of functions that were themselves made by a call there is none.
func (r *reader) call(args Tuple, named *Dict) error {
	v, err := r.pop()
	if err != nil {
		return err
	}
	class, ok := v.(Global)
	if !ok {
		return fmt.Errorf("a call of %s", Kind(v))
	}
	return r.push(&Object{Class: class, Args: args, Named: named})
}

func (r *reader) build(state any) error {
	v, err := r.top()
	if err != nil {
		return err
	}
	object, ok := v.(*Object)
	if !ok {
		return fmt.Errorf("%s takes no state", Kind(v))
	}
	object.State = state
	return nil
}
