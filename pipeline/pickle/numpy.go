package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// NumPy tells whether g is what NumPy names in the pickles of arrays, numbers and
// their types.
func NumPy(g Global) bool {
	switch strings.Replace(g.String(), "numpy._core.", "numpy.core.", 1) {
	case "numpy.core.multiarray._reconstruct", "numpy.core.multiarray.scalar", "numpy.ndarray", "numpy.dtype", "_codecs.encode":
		return true
	}
	return false
}

// Array is a NumPy array, C-contiguous and little-endian.
type Array struct {
	Kind  byte // NumPy's: 'b' bool, 'i' signed, 'u' unsigned, 'f' float
	Size  int  // bytes of an element
	Shape []int
	Data  []byte
}

// ArrayOf reads an array out of what NumPy pickled. ok is false where value is
// something else.
func ArrayOf(value any) (a *Array, ok bool, err error) {
	o, is := value.(*Object)
	if !is || o.Class.Name != "_reconstruct" || !NumPy(o.Class) {
		return nil, false, nil
	}
	state, is := o.State.(Tuple)
	if !is || len(state) != 5 {
		return nil, true, errors.New("an array without its data")
	}
	t, err := typeOf(state[2])
	if err != nil {
		return nil, true, err
	}
	dims, is := state[1].(Tuple)
	fortran, isBool := state[3].(bool)
	data, isBytes := bytesOf(state[4])
	if !is || !isBool || !isBytes {
		return nil, true, errors.New("an array of a form that is not known")
	}
	a = &Array{Kind: t.kind, Size: t.size, Shape: make([]int, len(dims)), Data: data}
	n := int64(t.size)
	for i, d := range dims {
		extent, is := d.(int64)
		if !is || extent < 0 || extent > 0 && n > math.MaxInt64/extent {
			return nil, true, fmt.Errorf("an array of shape %v", []any(dims))
		}
		a.Shape[i] = int(extent)
		n *= extent
	}
	switch {
	case n != int64(len(data)):
		return nil, true, fmt.Errorf("an array of shape %v takes %d bytes, it has %d", a.Shape, n, len(data))
	case fortran && len(dims) > 1:
		return nil, true, errors.New("an array in Fortran's order")
	case t.big && t.size > 1:
		return nil, true, errors.New("a big-endian array")
	}
	return a, true, nil
}

// Ints are the elements of an array of whole numbers or truth values.
func (a *Array) Ints() ([]int64, error) {
	out := make([]int64, 0, len(a.Data)/a.Size)
	for at := 0; at < len(a.Data); at += a.Size {
		v, err := number(numpyType{kind: a.Kind, size: a.Size}, a.Data[at:at+a.Size])
		n, ok := v.(int64)
		if err != nil || !ok {
			return nil, fmt.Errorf("an array of type %c%d, wanted whole numbers", a.Kind, a.Size)
		}
		out = append(out, n)
	}
	return out, nil
}

// Plain is a NumPy number as an int64, float64 or bool, and bytes of Python 3 in
// a pickle of protocol 2 as []byte; any other value is returned as it is.
func Plain(value any) (any, error) {
	o, is := value.(*Object)
	if !is {
		return value, nil
	}
	if b, is := bytesOf(o); is {
		return b, nil
	}
	if o.Class.Name != "scalar" || !NumPy(o.Class) {
		return value, nil
	}
	if len(o.Args) != 2 {
		return nil, errors.New("a NumPy number without its value")
	}
	t, err := typeOf(o.Args[0])
	if err != nil {
		return nil, err
	}
	data, is := bytesOf(o.Args[1])
	if !is || len(data) != t.size || t.big && t.size > 1 {
		return nil, errors.New("a NumPy number of a form that is not known")
	}
	return number(t, data)
}

type numpyType struct {
	kind byte
	size int
	big  bool
}

func typeOf(value any) (numpyType, error) {
	o, is := value.(*Object)
	if !is || o.Class != (Global{"numpy", "dtype"}) || len(o.Args) == 0 {
		return numpyType{}, errors.New("an array without its type")
	}
	name, is := o.Args[0].(string)
	if b, isBytes := o.Args[0].([]byte); isBytes {
		name, is = string(b), true
	}
	t := numpyType{}
	if is && len(name) == 2 && strings.IndexByte("biuf", name[0]) >= 0 && strings.IndexByte("1248", name[1]) >= 0 {
		t.kind, t.size = name[0], int(name[1]-'0')
	} else {
		return t, fmt.Errorf("an array of type %q, wanted numbers", name)
	}
	if state, is := o.State.(Tuple); is && len(state) > 1 {
		t.big = state[1] == ">"
	}
	return t, nil
}

// bytesOf takes bytes, what _codecs.encode makes of Latin-1 text, or a string of
// Python 2, which the reader leaves as it is.
func bytesOf(value any) ([]byte, bool) {
	switch v := value.(type) {
	case []byte:
		return v, true
	case string:
		return []byte(v), true
	case *Object:
		if v.Class != (Global{"_codecs", "encode"}) || len(v.Args) != 2 || v.Args[1] != "latin1" {
			return nil, false
		}
		text, is := v.Args[0].(string)
		if !is {
			return nil, false
		}
		return latin1(text)
	}
	return nil, false
}

func latin1(text string) ([]byte, bool) {
	out := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return nil, false
		}
		out = append(out, byte(r))
	}
	return out, true
}

// number reads one element, little-endian and of exactly t.size bytes.
func number(t numpyType, data []byte) (any, error) {
	var wide [8]byte
	copy(wide[:], data)
	u := binary.LittleEndian.Uint64(wide[:])
	switch {
	case t.kind == 'b':
		return u != 0, nil
	case t.kind == 'u' && u <= math.MaxInt64:
		return int64(u), nil
	case t.kind == 'i':
		shift := 64 - 8*t.size
		return int64(u<<shift) >> shift, nil
	case t.kind == 'f' && t.size == 4:
		return float64(math.Float32frombits(uint32(u))), nil
	case t.kind == 'f' && t.size == 8:
		return math.Float64frombits(u), nil
	}
	return nil, fmt.Errorf("a NumPy number of type %c%d", t.kind, t.size)
}
