package dataset

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"ulrl/pipeline/fault"
)

// firstChunk is how much is allocated on a compressed header's word alone.
const firstChunk = 64 << 20

const idxUbyte = 0x08

// idxData is the content of an IDX file: data has as many bytes as the
// product of dims.
type idxData struct {
	dims []int
	data []uint8
}

// decodeIDX reads an IDX file of unsigned bytes from r, gzip or not by its
// first bytes. size is the file's length, path its name for messages, and
// wantDims the allowed numbers of dimensions.
func decodeIDX(r io.Reader, size int64, path string, wantDims ...int) (idxData, error) {
	br := bufio.NewReaderSize(r, 1<<16)
	var in io.Reader = br
	known := true
	if head, _ := br.Peek(2); len(head) == 2 && head[0] == 0x1f && head[1] == 0x8b {
		gz, err := gzip.NewReader(br)
		if err != nil {
			return idxData{}, readError(path, err)
		}
		in, known = gz, false
	}
	dims, err := idxHeader(in, path, wantDims)
	if err != nil {
		return idxData{}, err
	}
	want := int64(1)
	for _, d := range dims {
		want *= int64(d)
	}
	header := int64(4 + 4*len(dims))
	if known && size-header < want {
		return idxData{}, truncated(path, dims, want, max(size-header, 0))
	}
	if known && size-header > want {
		return idxData{}, trailing(path, dims, want)
	}
	data, err := readExactly(in, want, known)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return idxData{}, truncated(path, dims, want, int64(len(data)))
	}
	if err != nil {
		return idxData{}, readError(path, err)
	}
	return idxData{dims, data}, atEnd(in, path, dims, want)
}

// idxHeader reads the magic number and the dimensions, all positive and
// together at most maxSetBytes.
func idxHeader(in io.Reader, path string, wantDims []int) ([]int, error) {
	var magic [4]byte
	if n, err := io.ReadFull(in, magic[:]); isEOF(err) {
		return nil, fault.Misuse("%s: not an IDX file: it has only %d bytes", path, n)
	} else if err != nil {
		return nil, readError(path, err)
	}
	if err := checkMagic(magic, path, wantDims); err != nil {
		return nil, err
	}
	raw := make([]byte, 4*int(magic[3]))
	if n, err := io.ReadFull(in, raw); isEOF(err) {
		return nil, fault.Misuse("%s: truncated: the IDX header takes %d bytes, the file has %d", path, 4+len(raw), 4+n)
	} else if err != nil {
		return nil, readError(path, err)
	}
	dims := make([]int, magic[3])
	for i := range dims {
		dims[i] = int(binary.BigEndian.Uint32(raw[4*i:]))
	}
	if slices.Min(dims) <= 0 {
		return nil, fault.Misuse("%s: the IDX header promises %s: there is nothing to read", path, joinDims(dims))
	}
	n, c, h, w := imageShape(dims)
	return dims, checkSetSize(path, n, c, h, w)
}

// imageShape reads dims as N, N×H×W or N×C×H×W.
func imageShape(dims []int) (n, c, h, w int) {
	switch len(dims) {
	case 4:
		return dims[0], dims[1], dims[2], dims[3]
	case 3:
		return dims[0], 1, dims[1], dims[2]
	default:
		return dims[0], 1, 1, 1
	}
}

// checkMagic wants unsigned bytes in one of wantDims dimensions; wantDims are
// at most 4.
func checkMagic(magic [4]byte, path string, wantDims []int) error {
	var wanted []string
	for _, d := range wantDims {
		if magic == [4]byte{0, 0, idxUbyte, byte(d)} {
			return nil
		}
		wanted = append(wanted, "0x0000080"+strconv.Itoa(d))
	}
	want := strings.Join(wanted, " or ")
	got := binary.BigEndian.Uint32(magic[:])
	switch {
	case magic[0] != 0 || magic[1] != 0:
		return fault.Misuse("%s: not an IDX file: it starts with 0x%08x, want %s", path, got, want)
	case magic[2] != idxUbyte:
		return fault.Misuse("%s: IDX of element type 0x%02x; only unsigned bytes are read (magic number %s)", path, magic[2], want)
	case magic[3] == 1:
		return fault.Misuse("%s: holds labels (magic number 0x%08x), want images (%s); are images and labels swapped?", path, got, want)
	case magic[3] == 3 || magic[3] == 4:
		return fault.Misuse("%s: holds images (magic number 0x%08x), want labels (%s); are images and labels swapped?", path, got, want)
	default:
		return fault.Misuse("%s: IDX with %d dimensions (magic number 0x%08x), want %s", path, magic[3], got, want)
	}
}

// readExactly reads n bytes. When the file's length does not vouch for n it
// allocates as the data comes, so that a false header costs nothing. With an
// error it returns what there was.
func readExactly(r io.Reader, n int64, vouched bool) ([]byte, error) {
	chunk := n
	if !vouched {
		chunk = min(n, firstChunk)
	}
	buf := make([]byte, chunk)
	for got := int64(0); ; {
		m, err := io.ReadFull(r, buf[got:])
		got += int64(m)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil || got == n {
			return buf[:got], err
		}
		grown := make([]byte, min(n, 2*got))
		copy(grown, buf)
		buf = grown
	}
}

// atEnd reports whatever follows the data; for gzip, reading on is also what
// verifies the checksum.
func atEnd(in io.Reader, path string, dims []int, want int64) error {
	switch n, err := io.ReadFull(in, make([]byte, 1)); {
	case n > 0:
		return trailing(path, dims, want)
	case err == io.EOF:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fault.Misuse("%s: truncated: the gzip data ends before its checksum", path)
	default:
		return readError(path, err)
	}
}

func truncated(path string, dims []int, want, got int64) error {
	return fault.Misuse("%s: truncated: the IDX header promises %s (%d bytes of data), the file has %d; fetch it again",
		path, joinDims(dims), want, got)
}

func trailing(path string, dims []int, want int64) error {
	return fault.Misuse("%s: more data than the IDX header promises: %s take %d bytes, and others follow; fetch it again",
		path, joinDims(dims), want)
}

// readError tells damaged gzip data from an error of the disk or the context.
func readError(path string, err error) error {
	var corrupt flate.CorruptInputError
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.As(err, &corrupt) || isEOF(err) {
		return fault.Misuse("%s: the gzip data is damaged (%v); fetch it again", path, err)
	}
	return fileError("data file", path, err)
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

func joinDims(dims []int) string {
	parts := make([]string, len(dims))
	for i, d := range dims {
		parts[i] = strconv.Itoa(d)
	}
	return strings.Join(parts, "×")
}
