package gate

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
)

// alignment of records, as PyTorch writes them, so that they can be mapped.
const alignment = 64

// pack writes records as PyTorch does: stored, aligned by a field of padding, in one
// folder. The same records give the same bytes.
func pack(records map[string][]byte) ([]byte, error) {
	size := 0
	names := slices.Sorted(maps.Keys(records))
	for _, name := range names {
		size += len(records[name]) + 2*len(name) + 300
	}
	out := bytes.NewBuffer(make([]byte, 0, size))
	w := zip.NewWriter(out)
	for _, name := range names {
		if err := w.Flush(); err != nil {
			return nil, fmt.Errorf("pack the archive: %w", err)
		}
		data := records[name]
		name = "archive/" + name
		f, err := w.CreateRaw(&zip.FileHeader{
			Name: name, Method: zip.Store, CRC32: crc32.ChecksumIEEE(data), Extra: padding(out.Len() + 30 + len(name)),
			CompressedSize64: uint64(len(data)), UncompressedSize64: uint64(len(data)),
		})
		if err == nil {
			_, err = f.Write(data)
		}
		if err != nil {
			return nil, fmt.Errorf("pack the archive: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack the archive: %w", err)
	}
	return out.Bytes(), nil
}

// padding is a field of a record's head that would end at a place, long enough for
// the record to start at a multiple of the alignment.
func padding(at int) []byte {
	n := alignment - (at+4)%alignment
	field := make([]byte, 4+n)
	copy(field, "FB")
	binary.LittleEndian.PutUint16(field[2:], uint16(n))
	return field
}
