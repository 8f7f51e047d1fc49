package pickle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// NumPy tells whether g is what NumPy names in the pickles of arrays, numbers and
// their types.
func NumPy(g Global) bool {
	switch strings.Replace(g.String(), "numpy._core.", "numpy.core.", 1) {
	case "numpy.core.multiarray._reconstruct", "numpy.core.multiarray.scalar", "numpy.ndarray", "numpy.dtype", "_codecs.encode",
		"__builtin__.bytes", "builtins.bytes": // no bytes at all, as of an empty array
		return true
	}
	return false
}

// Array is a NumPy array as it was pickled.
type Array struct {
	DType   string // as NumPy writes it, its byte order in front: "u1", "<i8", ">f4"
	Shape   []int
	Fortran bool // the first index is the fastest
	Data    []byte
}

// ArrayOf reads an array of numbers out of what NumPy pickled: version, shape,
// type, order and bytes. ok is false where value is something else.
func ArrayOf(value any) (a *Array, ok bool, err error) {
	o, is := value.(*Object)
	if !is || o.Class.Name != "_reconstruct" || !NumPy(o.Class) {
		return nil, false, nil
	}
	state, is := o.State.(Tuple)
	if !is || len(state) != 5 {
		return nil, true, errors.New("a NumPy array without its data")
	}
	t, err := typeOf(state[2])
	if err != nil {
		return nil, true, err
	}
	dims, is := state[1].(Tuple)
	fortran, isFlag := flag(state[3])
	data, isBytes := Bytes(state[4])
	if !is || !isFlag || !isBytes {
		return nil, true, errors.New("a NumPy array of a form that is not known")
	}
	a = &Array{DType: t.String(), Shape: make([]int, len(dims)), Fortran: fortran, Data: data}
	if len(dims) > maxDims {
		return nil, true, fmt.Errorf("a NumPy array of %d dimensions", len(dims))
	}
	n := int64(t.size)
	for i, d := range dims {
		extent, is := d.(int64)
		if !is || extent < 0 || extent > 0 && n > math.MaxInt64/extent {
			return nil, true, errors.New("a NumPy array whose shape is not one of whole numbers")
		}
		a.Shape[i] = int(extent)
		n *= extent
	}
	if n != int64(len(data)) {
		return nil, true, fmt.Errorf("a NumPy array of shape %v takes %d bytes, it has %d", a.Shape, n, len(data))
	}
	return a, true, nil
}

// flag is a truth value; Python 2 has some as numbers.
func flag(v any) (value, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case int64:
		return v != 0, true
	}
	return false, false
}

// Plain is a NumPy number as an int64, float64 or bool, and bytes of Python 3 in
// a pickle of protocol 2 as []byte; any other value is returned as it is.
func Plain(value any) (any, error) {
	o, is := value.(*Object)
	if !is {
		return value, nil
	}
	if b, is := Bytes(o); is {
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
	data, is := Bytes(o.Args[1])
	if !is || len(data) != t.size || t.big && t.size > 1 {
		return nil, errors.New("a NumPy number of a form that is not known")
	}
	return number(t, data)
}

type numpyType struct {
	kind byte // 'b' truth value, 'i' signed, 'u' unsigned, 'f' float
	size int  // bytes
	big  bool // most significant byte first
}

func (t numpyType) String() string {
	order := "<"
	if t.big {
		order = ">"
	}
	if t.size == 1 {
		order = ""
	}
	return order + string(t.kind) + strconv.Itoa(t.size)
}

func typeOf(value any) (numpyType, error) {
	o, is := value.(*Object)
	if !is || o.Class != (Global{"numpy", "dtype"}) || len(o.Args) == 0 {
		return numpyType{}, errors.New("a NumPy array without its type")
	}
	text, is := Bytes(o.Args[0])
	name := string(text)
	if !is || len(name) != 2 || strings.IndexByte("biuf", name[0]) < 0 || strings.IndexByte("1248", name[1]) < 0 {
		return numpyType{}, fmt.Errorf("a NumPy array of type %.40q, wanted numbers", name)
	}
	t := numpyType{kind: name[0], size: int(name[1] - '0')}
	if state, is := o.State.(Tuple); is && len(state) > 1 {
		order, _ := Bytes(state[1])
		t.big = string(order) == ">"
	}
	return t, nil
}

// Bytes are those of a string of bytes: Python 2 has them as text, Python 3 as
// bytes or, in the protocols of Python 2, as a call that encodes Latin-1 text.
func Bytes(value any) ([]byte, bool) {
	switch v := value.(type) {
	case []byte:
		return v, true
	case string:
		return []byte(v), true
	case *Object:
		if v.Class.Name == "bytes" && NumPy(v.Class) && len(v.Args) == 0 {
			return []byte{}, true
		}
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
