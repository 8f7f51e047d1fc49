package dataset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// maxNPYHeader is far above any array's header of numbers.
const maxNPYHeader = 64 << 10

var errNPY = errors.New("not a NumPy file")

// decodeNPY reads an .npy file of numbers. The header is read here because npyio's
// reader panics on one that is damaged. check sees the shape before the data are
// read, which of a few bytes may unpack to gigabytes.
func decodeNPY(r io.Reader, check func(shape []int) error) (array, error) {
	a, fortran, err := readNPYHeader(r)
	if err != nil {
		return a, err
	}
	size, err := elementSize(a.dtype)
	if err != nil {
		return a, err
	}
	left := maxSetBytes / size
	want := int64(size)
	for _, extent := range a.shape {
		if extent <= 0 || left/extent == 0 {
			return a, fmt.Errorf("an array of %s cannot be read", joinDims(a.shape))
		}
		left /= extent
		want *= int64(extent)
	}
	if err := check(a.shape); err != nil {
		return a, err
	}
	if a.data, err = readExactly(r, want, false); errors.Is(err, io.ErrUnexpectedEOF) {
		return a, fmt.Errorf("truncated: %s of %s take %d bytes, it has %d", joinDims(a.shape), a.dtype, want, len(a.data))
	} else if err != nil {
		return a, err
	}
	if n, err := io.ReadFull(r, make([]byte, 1)); n > 0 {
		return a, fmt.Errorf("more data than the header promises: %s of %s take %d bytes", joinDims(a.shape), a.dtype, want)
	} else if err != io.EOF {
		return a, err // a checksum that is wrong, for one
	}
	return a.inOrder(fortran)
}

// readNPYHeader reads magic, version and the dict of type, order and shape.
func readNPYHeader(r io.Reader) (a array, fortran bool, err error) {
	head := make([]byte, 8)
	if _, err := io.ReadFull(r, head); err != nil {
		if isEOF(err) {
			err = errNPY
		}
		return a, false, err
	}
	if string(head[:6]) != "\x93NUMPY" || head[6] < 1 || head[6] > 3 {
		return a, false, errNPY
	}
	raw := make([]byte, 4)
	if head[6] == 1 {
		raw = raw[:2]
	}
	if _, err := io.ReadFull(r, raw); err != nil {
		return a, false, errNPY
	}
	size := binary.LittleEndian.Uint32(append(raw, 0, 0)[:4])
	if size > maxNPYHeader {
		return a, false, fmt.Errorf("a NumPy file with a header of %d bytes", size)
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(r, text); err != nil {
		return a, false, errNPY
	}
	return parseNPYHeader(string(text))
}

func parseNPYHeader(text string) (a array, fortran bool, err error) {
	value := func(key, pattern string) string {
		found := regexp.MustCompile(`'` + key + `':\s*` + pattern).FindStringSubmatch(text)
		if found == nil {
			return ""
		}
		return found[1]
	}
	a.dtype = value("descr", `'([^']*)'`)
	order := value("fortran_order", `(True|False)`)
	shape := value("shape", `\(([0-9, ]+)\)`)
	if a.dtype == "" || order == "" {
		return a, false, errors.New("no plain array of numbers")
	}
	for part := range strings.SplitSeq(shape, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil {
			return a, false, errNPY
		}
		a.shape = append(a.shape, n)
	}
	if len(a.shape) == 0 {
		return a, false, errors.New("a single number, not an array")
	}
	return a, order == "True", nil
}
