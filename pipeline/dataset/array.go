package dataset

import (
	"errors"
	"fmt"
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

// elementSize is the bytes of a number of that type: the digits at its end.
func elementSize(dtype string) (int, error) {
	if dtype == "" {
		return 0, errors.New("an array without a type")
	}
	switch dtype[len(dtype)-1] {
	case '1':
		return 1, nil
	case '2':
		return 2, nil
	case '4':
		return 4, nil
	case '8':
		return 8, nil
	}
	return 0, fmt.Errorf("an array of type %q", dtype)
}
