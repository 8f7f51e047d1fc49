package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

func (r *reader) stepNumber(code byte) error {
	switch code {
	case 'K', 'M', 'J':
		size := map[byte]uint64{'K': 1, 'M': 2, 'J': 4}[code]
		n, err := r.number(size)
		if err != nil {
			return err
		}
		if code == 'J' {
			return r.push(int64(int32(n)))
		}
		return r.push(int64(n))
	case 'I', 'L', 'F':
		text, err := r.line()
		if err != nil {
			return err
		}
		if code == 'F' {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return fmt.Errorf("%.40q is no number", text)
			}
			return r.push(v)
		}
		if code == 'I' && (text == "00" || text == "01") {
			return r.push(text == "01")
		}
		if n := len(text); code == 'L' && n > 0 && text[n-1] == 'L' {
			text = text[:n-1]
		}
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%.40q is no whole number of 64 bits", text)
		}
		return r.push(v)
	case 'G':
		b, err := r.take(8)
		if err != nil {
			return err
		}
		return r.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	}
	size := uint64(1) // LONG1, LONG4
	if code == 0x8b {
		size = 4
	}
	b, err := r.counted(size)
	if err != nil {
		return err
	}
	v, err := long(b)
	if err != nil {
		return err
	}
	return r.push(v)
}

// long reads a little-endian number in two's complement.
func long(b []byte) (int64, error) {
	fill := byte(0)
	if n := len(b); n > 0 && b[n-1]&0x80 != 0 {
		fill = 0xff
	}
	var wide [8]byte
	for i := range wide {
		wide[i] = fill
	}
	copy(wide[:], b)
	v := int64(binary.LittleEndian.Uint64(wide[:]))
	for _, rest := range b[min(8, len(b)):] {
		if rest != fill {
			return 0, errors.New("a whole number beyond 64 bits")
		}
	}
	if len(b) > 8 && (v < 0) != (fill == 0xff) {
		return 0, errors.New("a whole number beyond 64 bits")
	}
	return v, nil
}

func (r *reader) stepText(code byte) error {
	if code == 'V' || code == 'S' {
		text, err := r.line()
		if err != nil {
			return err
		}
		if code == 'S' {
			if n := len(text); n < 2 || text[0] != text[n-1] || text[0] != '\'' && text[0] != '"' {
				return errors.New("a string without quotes")
			}
			text = text[1 : len(text)-1]
		}
		if bytes.ContainsRune([]byte(text), '\\') {
			return errors.New("a string with escapes, of protocol 0, cannot be read")
		}
		if code == 'V' { // Latin-1
			runes := make([]rune, len(text))
			for i := range len(text) {
				runes[i] = rune(text[i])
			}
			text = string(runes)
		}
		return r.push(text)
	}
	sizes := map[byte]uint64{'X': 4, 0x8c: 1, 0x8d: 8, 'T': 4, 'U': 1, 'B': 4, 'C': 1, 0x8e: 8, 0x96: 8}
	b, err := r.counted(sizes[code])
	if err != nil {
		return err
	}
	switch code {
	case 'B', 'C', 0x8e, 0x96:
		return r.push(b)
	}
	return r.push(string(b))
}
