package pickle

import (
	"errors"
	"fmt"
)

func (r *reader) stepContainer(code byte) error {
	switch code {
	case ')':
		return r.push(Tuple{})
	case 0x85, 0x86, 0x87:
		return r.tuple(int(code) - 0x84)
	case ']':
		return r.push(&List{})
	case '}':
		return r.push(NewDict())
	case 0x8f:
		return r.push(&Set{})
	case 'a':
		v, err := r.pop()
		if err != nil {
			return err
		}
		return r.extend([]any{v})
	case 's':
		value, err := r.pop()
		if err != nil {
			return err
		}
		key, err := r.pop()
		if err != nil {
			return err
		}
		return r.assign([]any{key, value})
	}
	items, err := r.toMark()
	if err != nil {
		return err
	}
	switch code {
	case 't':
		return r.push(Tuple(items))
	case 'l':
		return r.push(&List{items})
	case 0x91:
		return r.push(&Set{items})
	case 'd':
		if err := r.push(NewDict()); err != nil {
			return err
		}
		return r.assign(items)
	case 'u':
		return r.assign(items)
	}
	return r.extend(items) // APPENDS, ADDITEMS
}

var errFilled = errors.New("a list or dict is filled twice, which TorchScript does not do")

// top is the value that the next ones are put into.
func (r *reader) top() (any, error) {
	v, err := r.pop()
	if err == nil {
		r.stack = append(r.stack, v)
	}
	return v, err
}

func (r *reader) extend(items []any) error {
	v, err := r.top()
	if err != nil {
		return err
	}
	switch to := v.(type) {
	case *List:
		if r.strict && len(to.Items) > 0 {
			return errFilled
		}
		to.Items = append(to.Items, items...)
	case *Set:
		to.Items = append(to.Items, items...)
	case *Object:
		to.Items = append(to.Items, items...)
	default:
		return fmt.Errorf("%s takes no items", Kind(v))
	}
	return nil
}

func (r *reader) assign(items []any) error {
	if len(items)%2 != 0 {
		return errors.New("a key without a value")
	}
	v, err := r.top()
	if err != nil {
		return err
	}
	to, ok := v.(*Dict)
	if object, is := v.(*Object); is {
		if object.Entries == nil {
			object.Entries = NewDict()
		}
		to, ok = object.Entries, true
	}
	if !ok {
		return fmt.Errorf("%s takes no entries", Kind(v))
	}
	if r.strict && to.Len() > 0 {
		return errFilled
	}
	for i := 0; i < len(items); i += 2 {
		if key, is := items[i].(string); is && len(key) > maxKey {
			return fmt.Errorf("a key of %d bytes", len(key))
		}
		to.Set(items[i], items[i+1])
	}
	return nil
}
