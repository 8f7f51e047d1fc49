package pickle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// Limits that no honest pickle of a model comes near.
const (
	maxValues = 8 << 20
	maxMemo   = 4 << 20
)

// Read reads the pickle in text, of protocols 0 to 5 as PyTorch and NumPy write
// them. allow is asked for each class and function that is named, before anything
// else is made of it; its error ends the reading. Every length is checked against
// text before memory is taken for it.
func Read(text []byte, allow func(Global) error) (value any, err error) {
	r := reader{text: text, allow: allow, memo: map[uint64]any{}}
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
		if err := r.step(code); err != nil {
			return nil, r.wrap(fmt.Errorf("opcode 0x%02x: %w", code, err))
		}
		if r.values > maxValues || len(r.memo) > maxMemo {
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
}

func (r *reader) wrap(err error) error {
	var refused *Refused
	if errors.As(err, &refused) {
		return err // it says all
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
				return fmt.Errorf("%q is no number", text)
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
			return fmt.Errorf("%q is no whole number of 64 bits", text)
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

func (r *reader) stepContainer(code byte) error {
	switch code {
	case ')':
		return r.push(Tuple{})
	case 0x85, 0x86, 0x87:
		return r.tuple(int(code) - 0x84)
	case ']':
		return r.push(&List{})
	case '}':
		return r.push(NewDict())
	case 0x8f:
		return r.push(&Set{})
	case 'a':
		v, err := r.pop()
		if err != nil {
			return err
		}
		return r.extend([]any{v})
	case 's':
		value, err := r.pop()
		if err != nil {
			return err
		}
		key, err := r.pop()
		if err != nil {
			return err
		}
		return r.assign([]any{key, value})
	}
	items, err := r.toMark()
	if err != nil {
		return err
	}
	switch code {
	case 't':
		return r.push(Tuple(items))
	case 'l':
		return r.push(&List{items})
	case 0x91:
		return r.push(&Set{items})
	case 'd':
		if err := r.push(NewDict()); err != nil {
			return err
		}
		return r.assign(items)
	case 'u':
		return r.assign(items)
	}
	return r.extend(items) // APPENDS, ADDITEMS
}

// top is the value that the next ones are put into.
func (r *reader) top() (any, error) {
	v, err := r.pop()
	if err == nil {
		r.stack = append(r.stack, v)
	}
	return v, err
}

func (r *reader) extend(items []any) error {
	v, err := r.top()
	if err != nil {
		return err
	}
	switch to := v.(type) {
	case *List:
		to.Items = append(to.Items, items...)
	case *Set:
		to.Items = append(to.Items, items...)
	case *Object:
		to.Items = append(to.Items, items...)
	default:
		return fmt.Errorf("%T takes no items", v)
	}
	return nil
}

func (r *reader) assign(items []any) error {
	if len(items)%2 != 0 {
		return errors.New("a key without a value")
	}
	v, err := r.top()
	if err != nil {
		return err
	}
	to, ok := v.(*Dict)
	if object, is := v.(*Object); is {
		if object.Entries == nil {
			object.Entries = NewDict()
		}
		to, ok = object.Entries, true
	}
	if !ok {
		return fmt.Errorf("%T takes no entries", v)
	}
	for i := 0; i < len(items); i += 2 {
		to.Set(items[i], items[i+1])
	}
	return nil
}

func (r *reader) global(module, name string) error {
	g := Global{module, name}
	if err := r.allow(g); err != nil {
		return &Refused{g, err}
	}
	return r.push(g)
}

func (r *reader) stepObject(code byte) error {
	switch code {
	case 'c', 'i':
		module, err := r.line()
		if err != nil {
			return err
		}
		name, err := r.line()
		if err != nil {
			return err
		}
		if code == 'i' {
			args, err := r.toMark()
			if err != nil {
				return err
			}
			if err := r.global(module, name); err != nil {
				return err
			}
			return r.call(Tuple(args), nil)
		}
		return r.global(module, name)
	case 0x93:
		name, err := r.pop()
		if err != nil {
			return err
		}
		module, err := r.pop()
		if err != nil {
			return err
		}
		m, ok := module.(string)
		n, ok2 := name.(string)
		if !ok || !ok2 {
			return errors.New("a name that is no text")
		}
		return r.global(m, n)
	case 'o':
		items, err := r.toMark()
		if err != nil {
			return err
		}
		if len(items) == 0 {
			return errors.New("a call of nothing")
		}
		if err := r.push(items[0]); err != nil {
			return err
		}
		return r.call(Tuple(items[1:]), nil)
	case 'P':
		id, err := r.line()
		if err != nil {
			return err
		}
		return r.push(Persistent{id})
	case 'Q':
		id, err := r.pop()
		if err != nil {
			return err
		}
		return r.push(Persistent{id})
	}
	last, err := r.pop()
	if err != nil {
		return err
	}
	if code == 'b' {
		return r.build(last)
	}
	var named *Dict
	if code == 0x92 {
		d, ok := last.(*Dict)
		if !ok {
			return errors.New("keyword arguments that are no dict")
		}
		named = d
		if last, err = r.pop(); err != nil {
			return err
		}
	}
	args, ok := last.(Tuple)
	if !ok {
		return errors.New("arguments that are no tuple")
	}
	return r.call(args, named)
}

// call puts what is called, which lies on the stack, and its arguments into an
// Object. Of functions that were themselves made by a call there is none.
func (r *reader) call(args Tuple, named *Dict) error {
	v, err := r.pop()
	if err != nil {
		return err
	}
	class, ok := v.(Global)
	if !ok {
		return fmt.Errorf("a call of %T", v)
	}
	return r.push(&Object{Class: class, Args: args, Named: named})
}

func (r *reader) build(state any) error {
	v, err := r.top()
	if err != nil {
		return err
	}
	object, ok := v.(*Object)
	if !ok {
		return fmt.Errorf("%T takes no state", v)
	}
	object.State = state
	return nil
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
			key, err = strconv.ParseUint(text, 10, 32)
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
