package pickle

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Write is the pickle, of protocol 2, of a value of this package's kinds; bytes
// and sets are of later protocols and are refused.
func Write(value any) ([]byte, error) {
	w := writer{text: []byte{0x80, 2}}
	if err := w.value(value); err != nil {
		return nil, fmt.Errorf("write a pickle: %w", err)
	}
	return append(w.text, opStop), nil
}

type writer struct{ text []byte }

func (w *writer) bytes(b ...byte) { w.text = append(w.text, b...) }

func (w *writer) value(value any) error {
	switch v := value.(type) {
	case nil:
		w.bytes('N')
	case bool:
		if v {
			w.bytes(0x88)
		} else {
			w.bytes(0x89)
		}
	case int64:
		w.integer(v)
	case float64:
		w.bytes('G')
		w.text = binary.BigEndian.AppendUint64(w.text, math.Float64bits(v))
	case string:
		if uint64(len(v)) > math.MaxUint32 {
			return fmt.Errorf("a text of %d bytes", len(v))
		}
		w.bytes('X')
		w.text = binary.LittleEndian.AppendUint32(w.text, uint32(len(v)))
		w.text = append(w.text, v...)
	case Tuple:
		return w.tuple(v)
	case *List:
		w.bytes(']')
		return w.items(v.Items)
	case *Dict:
		w.bytes('}')
		return w.entries(v)
	case Global:
		w.text = append(w.text, "c"+v.Module+"\n"+v.Name+"\n"...)
	case Persistent:
		if err := w.value(v.ID); err != nil {
			return err
		}
		w.bytes('Q')
	case *Object:
		return w.object(v)
	default:
		return fmt.Errorf("%s has no pickle", Kind(value))
	}
	return nil
}

func (w *writer) integer(v int64) {
	switch {
	case v >= 0 && v < 1<<8:
		w.bytes('K', byte(v))
	case v >= math.MinInt32 && v <= math.MaxInt32:
		w.bytes('J')
		w.text = binary.LittleEndian.AppendUint32(w.text, uint32(v))
	default:
		w.bytes(0x8a, 8)
		w.text = binary.LittleEndian.AppendUint64(w.text, uint64(v))
	}
}

func (w *writer) tuple(items Tuple) error {
	if len(items) == 0 {
		w.bytes(')')
		return nil
	}
	if len(items) > 3 {
		w.bytes('(')
	}
	for _, item := range items {
		if err := w.value(item); err != nil {
			return err
		}
	}
	if len(items) > 3 {
		w.bytes('t')
	} else {
		w.bytes(0x84 + byte(len(items)))
	}
	return nil
}

func (w *writer) items(items []any) error {
	if len(items) == 0 {
		return nil
	}
	w.bytes('(')
	for _, item := range items {
		if err := w.value(item); err != nil {
			return err
		}
	}
	w.bytes('e')
	return nil
}

func (w *writer) entries(d *Dict) error {
	if d == nil || d.Len() == 0 {
		return nil
	}
	w.bytes('(')
	for i, key := range d.Keys {
		if err := w.value(key); err != nil {
			return err
		}
		if err := w.value(d.Values[i]); err != nil {
			return err
		}
	}
	w.bytes('u')
	return nil
}

func (w *writer) object(o *Object) error {
	if o.Named != nil {
		return fmt.Errorf("a call of %s with keyword arguments has no pickle of protocol 2", o.Class)
	}
	if err := w.value(o.Class); err != nil {
		return err
	}
	if err := w.tuple(o.Args); err != nil {
		return err
	}
	w.bytes('R')
	if err := w.items(o.Items); err != nil {
		return err
	}
	if err := w.entries(o.Entries); err != nil {
		return err
	}
	if o.State == nil {
		return nil
	}
	if err := w.value(o.State); err != nil {
		return err
	}
	w.bytes('b')
	return nil
}
