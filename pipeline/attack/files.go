package attack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"image/png"
	"io"
	"math"
	"os"
	"slices"

	"github.com/sbinet/npyio"

	"ulrl/pipeline/dataset"
	"ulrl/pipeline/fault"
)

// readPNG reads a picture as c×H×W bytes, c 1 (grey) or 3. One of another size
// than the images is resized, which f.Say tells.
func readPNG(path string, c int, f Form) (pixels []uint8, resized bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, false, fault.Misuse("trigger picture: %w", err)
	}
	defer file.Close()
	img, err := png.Decode(file)
	if err != nil {
		return nil, false, fault.Misuse("trigger picture %s: not a PNG: %w", path, err)
	}
	if size := img.Bounds().Size(); size.X != f.W || size.Y != f.H {
		resized = true
		f.say(fmt.Sprintf("trigger picture %s is %d×%d pixels, the images are %d×%d: it is resized", path, size.X, size.Y, f.W, f.H))
	}
	return dataset.Planes(img, c, f.H, f.W), resized, nil
}

// readOffsets reads what a pattern adds to each pixel, in grey values, from a
// NumPy file of H×W×C, or H×W for grey images, as C×H×W.
func readOffsets(path string, f Form) ([]float32, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fault.Misuse("trigger pattern: %w", err)
	}
	defer file.Close()
	r, err := npyio.NewReader(file)
	if err != nil {
		return nil, fault.Misuse("trigger pattern %s: not a NumPy file: %w", path, err)
	}
	shape := r.Header.Descr.Shape
	want := []int{f.H, f.W, f.C}
	if !slices.Equal(shape, want) && (f.C != 1 || !slices.Equal(shape, want[:2])) {
		return nil, fault.Misuse("trigger pattern %s is of %v, the images want %v (height, width, channels)", path, shape, want)
	}
	values, err := readNumbers(r, file)
	if err != nil {
		return nil, fault.Misuse("trigger pattern %s: %w", path, err)
	}
	out := make([]float32, len(values))
	changed := false
	for i, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, fault.Misuse("trigger pattern %s: not all its numbers are finite", path)
		}
		changed = changed || v != 0
		at, channel := i/f.C, i%f.C
		if r.Header.Descr.Fortran {
			// Counted channel by channel, column by column.
			channel = i / (f.H * f.W)
			at = i%f.H*f.W + i/f.H%f.W
		}
		out[channel*f.H*f.W+at] = v
	}
	if !changed {
		return nil, fault.Misuse("trigger pattern %s is 0 everywhere: no pixel would change", path)
	}
	return out, nil
}

// readNumbers reads an array of one of the types that patterns are saved in.
func readNumbers(r *npyio.Reader, from io.Reader) ([]float32, error) {
	switch t := r.Header.Descr.Type; t {
	case "<f4":
		return numbers[float32](r, from)
	case "<f8":
		return numbers[float64](r, from)
	case "|u1":
		return numbers[uint8](r, from)
	case "|i1":
		return numbers[int8](r, from)
	case "<i4":
		return numbers[int32](r, from)
	case "<i8":
		return numbers[int64](r, from)
	default:
		return nil, errors.New("its numbers are of type " + t + ", wanted float32, float64, uint8, int8, int32 or int64")
	}
}

// numbers reads what follows the header itself: npyio takes a file that ends
// too early for one that goes on with zeros.
func numbers[T float32 | float64 | uint8 | int8 | int32 | int64](r *npyio.Reader, from io.Reader) ([]float32, error) {
	n := 1
	for _, extent := range r.Header.Descr.Shape {
		n *= extent
	}
	values := make([]T, n)
	if err := binary.Read(from, binary.LittleEndian, values); err != nil {
		return nil, errors.New("it ends too early")
	}
	out := make([]float32, n)
	for i, v := range values {
		out[i] = float32(v)
	}
	return out, nil
}
