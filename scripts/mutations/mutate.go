package main

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
)

// archive is a model file and what lies in it.
type archive struct {
	bytes   []byte
	records []record
}

type record struct {
	name   string
	method uint16
	data   []byte
}

func open(data []byte) (*archive, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	a := &archive{bytes: data}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name, err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name, err)
		}
		a.records = append(a.records, record{f.Name, f.Method, content})
	}
	return a, nil
}

func pack(records []record) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, r := range records {
		f, err := w.CreateHeader(&zip.FileHeader{Name: r.name, Method: r.method})
		if err == nil && !strings.HasSuffix(r.name, "/") { // a folder, which holds nothing
			_, err = f.Write(r.data)
		}
		if err != nil {
			return nil, fmt.Errorf("pack %s: %w", r.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack: %w", err)
	}
	return out.Bytes(), nil
}

// mutator makes damaged files out of whole ones.
type mutator struct {
	*rand.Rand
	models []*archive
}

// mutation is a file with one to three things changed, either its bytes as they are
// or its records, with checksums that are right again.
func (m mutator) mutation() ([]byte, error) {
	a := m.models[m.IntN(len(m.models))]
	if m.IntN(3) == 0 {
		data := slices.Clone(a.bytes)
		for range 1 + m.IntN(3) {
			data = m.blob(data, m.models[m.IntN(len(m.models))].bytes)
		}
		return data, nil
	}
	records := slices.Clone(a.records)
	for range 1 + m.IntN(3) {
		if len(records) == 0 {
			break
		}
		records = m.some(records)
	}
	return pack(records)
}

// some changes which records there are, or what is in one.
func (m mutator) some(records []record) []record {
	i := m.pick(records)
	switch m.IntN(16) {
	case 0:
		return slices.Delete(records, i, i+1)
	case 1:
		return append(records, record{string(m.blob([]byte(records[i].name), nil)), records[i].method, records[i].data})
	case 2:
		k := m.IntN(len(records))
		records[i].data, records[k].data = records[k].data, records[i].data
		return records
	}
	if strings.HasSuffix(records[i].name, ".py") && m.IntN(4) > 0 {
		records[i].data = m.code(records[i].data)
		return records
	}
	other := m.models[m.IntN(len(m.models))]
	records[i].data = m.blob(slices.Clone(records[i].data), other.records[m.pick(other.records)].data)
	return records
}

// pick is a record by its kind: there are many of weights, and one that says what
// they are.
func (m mutator) pick(records []record) int {
	kinds := [][]int{nil, nil, nil}
	for i, r := range records {
		switch {
		case strings.HasSuffix(r.name, ".py"):
			kinds[0] = append(kinds[0], i)
		case strings.HasSuffix(r.name, ".pkl"):
			kinds[1] = append(kinds[1], i)
		default:
			kinds[2] = append(kinds[2], i)
		}
	}
	kinds = slices.DeleteFunc(kinds, func(k []int) bool { return len(k) == 0 })
	kind := kinds[m.IntN(len(kinds))]
	return kind[m.IntN(len(kind))]
}

// extremes are numbers at which arithmetic turns over.
var extremes = []uint64{0, 1, 2, 7, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 1 << 40, 1<<63 - 1, 1 << 63, 1<<64 - 1}

// blob changes bytes, some of them to a part of other.
func (m mutator) blob(data, other []byte) []byte {
	if len(data) == 0 {
		return []byte{byte(m.Uint32())}
	}
	at := m.IntN(len(data))
	end := min(len(data), at+1+m.IntN(1<<m.IntN(12)))
	switch m.IntN(8) {
	case 0:
		for range 1 + m.IntN(8) {
			data[m.IntN(len(data))] ^= 1 << m.IntN(8)
		}
	case 1:
		for i := at; i < end; i++ {
			data[i] = byte(m.Uint32())
		}
	case 2:
		value := []byte{0, 0xff, ' ', '('}[m.IntN(4)]
		for i := at; i < end; i++ {
			data[i] = value
		}
	case 3:
		return slices.Delete(data, at, end)
	case 4:
		return slices.Insert(data, m.IntN(len(data)), slices.Clone(data[at:end])...)
	case 5:
		return data[:at]
	case 6:
		number := binary.LittleEndian.AppendUint64(nil, extremes[m.IntN(len(extremes))])
		copy(data[at:], number[:1<<m.IntN(4)])
	case 7:
		if len(other) > 0 {
			from := m.IntN(len(other))
			copy(data[at:end], other[from:])
		}
	}
	return data
}

// code changes words or lines of a record of code, so that much of it can still be read.
func (m mutator) code(data []byte) []byte {
	lines := strings.Split(string(data), "\n")
	i, k := m.IntN(len(lines)), m.IntN(len(lines))
	switch m.IntN(5) {
	case 0:
		lines[i], lines[k] = lines[k], lines[i]
	case 1:
		lines = slices.Insert(lines, i, lines[k])
	case 2:
		lines = slices.Delete(lines, i, i+1)
	default:
		words, others := strings.FieldsFunc(lines[i], between), strings.FieldsFunc(lines[k], between)
		if len(words) == 0 || len(others) == 0 {
			break
		}
		word := others[m.IntN(len(others))]
		if m.IntN(3) == 0 {
			word = fmt.Sprint(int64(extremes[m.IntN(len(extremes))])) //nolint:gosec // any number will do
		}
		lines[i] = strings.Replace(lines[i], words[m.IntN(len(words))], word, 1)
	}
	return []byte(strings.Join(lines, "\n"))
}

// between tells what stands between words.
func between(r rune) bool { return strings.ContainsRune(" ()[]:,=.\"", r) }
