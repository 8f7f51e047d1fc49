package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
)

// array is a NumPy array: dtype as NumPy writes it ("u1", "<i8"), data in C order.
type array struct {
	shape []int
	dtype string
	data  []byte
}

// inOrder checks that the data are as many as the shape wants, and turns those
// that are in Fortran's order, first index fastest, into C's.
func (a array) inOrder(fortran bool) (array, error) {
	size, err := elementSize(a.dtype)
	if err != nil {
		return a, err
	}
	left := len(a.data) / size
	n := 1
	for _, extent := range a.shape {
		if extent <= 0 || n > left/extent {
			return a, fmt.Errorf("an array of %s, but %d bytes of data", joinDims(a.shape), len(a.data))
		}
		n *= extent
	}
	if n*size != len(a.data) {
		return a, fmt.Errorf("an array of %s, but %d bytes of data", joinDims(a.shape), len(a.data))
	}
	if !fortran || len(a.shape) < 2 {
		return a, nil
	}
	stride := make([]int, len(a.shape))
	step := 1
	for k, extent := range a.shape {
		stride[k] = step
		step *= extent
	}
	out := make([]byte, 0, len(a.data))
	index := make([]int, len(a.shape))
	from := 0
	for range n {
		out = append(out, a.data[from*size:(from+1)*size]...)
		for k := len(index) - 1; k >= 0; k-- {
			index[k]++
			from += stride[k]
			if index[k] < a.shape[k] {
				break
			}
			from -= index[k] * stride[k]
			index[k] = 0
		}
	}
	a.data = out
	return a, nil
}

// elementSize is the bytes of a number of that type: the digit at its end.
func elementSize(dtype string) (int, error) {
	if number := strings.TrimLeft(dtype, "<>|="); len(number) == 2 && strings.ContainsAny(number[:1], "uif") && strings.ContainsAny(number[1:], "1248") {
		return int(number[1] - '0'), nil
	}
	return 0, fmt.Errorf("an array of type %q; wanted numbers", dtype)
}

// order is the byte order that a type names.
func (a array) order() binary.ByteOrder {
	if a.dtype[0] == '>' {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// number is the type without its byte order: "f4".
func (a array) number() string { return strings.TrimLeft(a.dtype, "<>|=") }

// maxLabels bounds the labels of one array: as int64 they take a GiB.
const maxLabels = 128 << 20

// labelShape wants the shape of labels: N or N×1.
func labelShape(shape []int) error {
	switch {
	case len(shape) > 2 || len(shape) == 2 && shape[1] != 1:
		return fmt.Errorf("labels of %s; wanted one whole number per image", joinDims(shape))
	case shape[0] > maxLabels:
		return fmt.Errorf("%d labels are more than the %d allowed", shape[0], maxLabels)
	}
	return nil
}

// wholeNumbers reads labels, of labelShape and of any type of whole numbers.
func (a array) wholeNumbers() ([]int64, error) {
	number, order := a.number(), a.order()
	out := make([]int64, a.shape[0])
	for i := range out {
		switch number {
		case "u1":
			out[i] = int64(a.data[i])
		case "i1":
			out[i] = int64(int8(a.data[i]))
		case "u2":
			out[i] = int64(order.Uint16(a.data[2*i:]))
		case "i2":
			out[i] = int64(int16(order.Uint16(a.data[2*i:])))
		case "u4":
			out[i] = int64(order.Uint32(a.data[4*i:]))
		case "i4":
			out[i] = int64(int32(order.Uint32(a.data[4*i:])))
		case "u8", "i8":
			out[i] = int64(order.Uint64(a.data[8*i:]))
		default:
			return nil, fmt.Errorf("labels of type %s; wanted whole numbers: labels.astype(\"int64\")", a.dtype)
		}
	}
	return out, nil
}

// bytes reads pixels: bytes as they are; floating-point numbers from 0 to 1 times
// 255, rounded; floating-point numbers up to 255 only where all are whole.
func (a array) bytes() ([]uint8, error) {
	number, order := a.number(), a.order()
	var value func(i int) float64
	var n int
	switch number {
	case "u1":
		return a.data, nil
	case "f4":
		n, value = len(a.data)/4, func(i int) float64 { return float64(math.Float32frombits(order.Uint32(a.data[4*i:]))) }
	case "f8":
		n, value = len(a.data)/8, func(i int) float64 { return math.Float64frombits(order.Uint64(a.data[8*i:])) }
	default:
		return nil, fmt.Errorf("images of type %s; wanted uint8, or floats from 0 to 1: images.astype(\"uint8\")", a.dtype)
	}
	lowest, highest, whole := math.Inf(1), math.Inf(-1), true
	for i := range n {
		v := value(i)
		if math.IsNaN(v) {
			return nil, errors.New("images with NaN in them")
		}
		lowest, highest, whole = min(lowest, v), max(highest, v), whole && v == math.Trunc(v)
	}
	scale := 1.0
	switch {
	case lowest >= 0 && highest <= 1:
		scale = 255
	case lowest < 0 || highest > 255 || !whole:
		return nil, fmt.Errorf("images of %s from %.4g to %.4g; wanted floats from 0 to 1, or whole ones from 0 to 255", a.dtype, lowest, highest)
	}
	out := make([]uint8, n)
	for i := range out {
		out[i] = uint8(math.RoundToEven(value(i) * scale))
	}
	return out, nil
}
