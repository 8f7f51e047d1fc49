package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Limits that no honest pickle of a model comes near.
const (
	maxValues = 8 << 20
	maxMemo   = 4 << 20
	maxModel  = 1 << 20 // of both in TorchScript's, of which hostile ones are read before a process confines itself
	container = 4       // values that a dict or object counts for, by the memory that it takes
	maxMarks  = 1000    // open at once
	maxDims   = 64      // of a NumPy array, which is NumPy's limit too
	maxKey    = 1 << 10 // bytes of a name or a dict's key, which is hashed each time that it is set
)

// Read reads the pickle in text, of protocols 0 to 5 as PyTorch and NumPy write
// them. allow is asked for each class and function that is named, before anything
// else is made of it; its error ends the reading. Every length is checked against
// text before memory is taken for it.
func Read(text []byte, allow func(Global) error) (value any, err error) {
	return (&reader{text: text, allow: allow, memo: map[uint64]any{}, most: maxValues}).read()
}

// ReadTorchScript reads a pickle as TorchScript writes it: with its opcodes only, no
// value kept for later use before it is whole, nothing behind its end. libtorch's
// own reader would take others for something else.
func ReadTorchScript(text []byte, allow func(Global) error) (any, error) {
	r := &reader{text: text, allow: allow, memo: map[uint64]any{}, strict: true, most: maxModel}
	value, err := r.read()
	if err == nil && r.at != len(text) {
		err = r.wrap(errors.New("something lies behind its end"))
	}
	return value, err
}

// torchScript are the opcodes of TorchScript's pickles.
const torchScript = "\x80]})q(\x88\x89NKMJ\x8aXGt\x85\x86\x87eruhj.c\x81bRQ"

func (r *reader) read() (any, error) {
	for {
		code, err := r.byte()
		if err != nil {
			return nil, r.wrap(err)
		}
		if code == opStop {
			if len(r.stack) != 1 || len(r.marks) != 0 {
				return nil, r.wrap(errors.New("it ends with values left over"))
			}
			return r.stack[0], nil
		}
		if r.strict && strings.IndexByte(torchScript, code) < 0 {
			return nil, r.wrap(fmt.Errorf("opcode 0x%02x: TorchScript does not write it", code))
		}
		if r.strict && r.last == 0x81 && (code == 'q' || code == 'r') {
			return nil, r.wrap(errors.New("an object is kept before it has its state, which TorchScript does not do"))
		}
		r.last = code
		if err := r.step(code); err != nil {
			return nil, r.wrap(fmt.Errorf("opcode 0x%02x: %w", code, err))
		}
		if r.values > r.most || len(r.memo) > min(r.most, maxMemo) || len(r.marks) > maxMarks {
			return nil, r.wrap(errors.New("too many values"))
		}
	}
}

const opStop = '.'

var errShort = errors.New("it ends too early")

type reader struct {
	text   []byte
	at     int
	allow  func(Global) error
	stack  []any
	marks  []int // heights of the stack
	memo   map[uint64]any
	values int // made so far
	most   int // values
	strict bool
	last   byte // opcode before this one
}

func (r *reader) wrap(err error) error {
	var refused *Refused
	if errors.As(err, &refused) {
		return refused // it says all
	}
	return fmt.Errorf("pickle, byte %d: %w", r.at, err)
}

// Refused is the error of Read where allow refused what a pickle names.
type Refused struct {
	Global Global
	Err    error
}

func (e *Refused) Error() string { return e.Err.Error() }

// Unwrap is allow's error.
func (e *Refused) Unwrap() error { return e.Err }

func (r *reader) byte() (byte, error) {
	b, err := r.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (r *reader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.text)-r.at) {
		return nil, errShort
	}
	b := r.text[r.at : r.at+int(n)]
	r.at += int(n)
	return b, nil
}

// number reads a little-endian one of so many bytes.
func (r *reader) number(size uint64) (uint64, error) {
	b, err := r.take(size)
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:]), nil
}

// counted reads a length of so many bytes and what it counts.
func (r *reader) counted(size uint64) ([]byte, error) {
	n, err := r.number(size)
	if err != nil {
		return nil, err
	}
	return r.take(n)
}

func (r *reader) line() (string, error) {
	end := bytes.IndexByte(r.text[r.at:], '\n')
	if end < 0 {
		return "", errShort
	}
	b, err := r.take(uint64(end) + 1)
	return string(b[:end]), err
}

func (r *reader) push(v any) error {
	r.values++
	switch v.(type) {
	case *Dict, *Object:
		r.values += container - 1
	}
	r.stack = append(r.stack, v)
	return nil
}

func (r *reader) pop() (any, error) {
	if len(r.stack) == 0 || len(r.marks) > 0 && r.marks[len(r.marks)-1] >= len(r.stack) {
		return nil, errors.New("nothing to work on")
	}
	v := r.stack[len(r.stack)-1]
	r.stack = r.stack[:len(r.stack)-1]
	return v, nil
}

// toMark takes all values since the last mark.
func (r *reader) toMark() ([]any, error) {
	if len(r.marks) == 0 {
		return nil, errors.New("no mark")
	}
	height := r.marks[len(r.marks)-1]
	r.marks = r.marks[:len(r.marks)-1]
	items := append([]any{}, r.stack[height:]...)
	r.stack = r.stack[:height]
	return items, nil
}

func (r *reader) tuple(n int) error {
	items := make(Tuple, n)
	for i := n - 1; i >= 0; i-- {
		var err error
		if items[i], err = r.pop(); err != nil {
			return err
		}
	}
	return r.push(items)
}

func (r *reader) step(code byte) error {
	switch code {
	case 0x80, 0x95: // PROTO, FRAME
		size := uint64(1)
		if code == 0x95 {
			size = 8
		}
		_, err := r.take(size)
		return err
	case '(':
		r.marks = append(r.marks, len(r.stack))
		return nil
	case '0':
		if _, err := r.pop(); err == nil {
			return nil
		}
		_, err := r.toMark()
		return err
	case '1':
		_, err := r.toMark()
		return err
	case '2':
		v, err := r.pop()
		if err != nil {
			return err
		}
		return errors.Join(r.push(v), r.push(v))
	case 'N':
		return r.push(nil)
	case 0x88, 0x89:
		return r.push(code == 0x88)
	case 'K', 'M', 'J', 'I', 'L', 0x8a, 0x8b, 'G', 'F':
		return r.stepNumber(code)
	case 'X', 0x8c, 0x8d, 'T', 'U', 'S', 'V', 'B', 'C', 0x8e, 0x96:
		return r.stepText(code)
	case ')', 't', 0x85, 0x86, 0x87, ']', 'l', 'a', 'e', '}', 'd', 's', 'u', 0x8f, 0x90, 0x91:
		return r.stepContainer(code)
	case 'c', 0x93, 'R', 'b', 0x81, 0x92, 'o', 'i', 'P', 'Q':
		return r.stepObject(code)
	case 'q', 'r', 'p', 0x94, 'h', 'j', 'g':
		return r.stepMemo(code)
	}
	return errors.New("not known")
}

func (r *reader) stepMemo(code byte) error {
	var key uint64
	var err error
	switch code {
	case 'q', 'h':
		key, err = r.number(1)
	case 'r', 'j':
		key, err = r.number(4)
	case 'p', 'g':
		var text string
		if text, err = r.line(); err == nil {
			if key, err = strconv.ParseUint(text, 10, 32); err != nil {
				err = fmt.Errorf("%.40q is no number", text)
			}
		}
	case 0x94:
		key = uint64(len(r.memo))
	}
	if err != nil {
		return err
	}
	switch code {
	case 'h', 'j', 'g':
		v, ok := r.memo[key]
		if !ok {
			return fmt.Errorf("no value %d was kept", key)
		}
		return r.push(v)
	}
	v, err := r.top()
	if err != nil {
		return err
	}
	r.memo[key] = v
	return nil
}
