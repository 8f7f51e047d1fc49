// Package pickle reads and writes Python's pickles as data. Nothing that a pickle
// names is imported and nothing that it calls is run: a call becomes an Object
// with the function's name and its arguments, for the caller to make sense of.
package pickle

import (
	"strconv"
	"strings"
	"unicode"
)

// A pickle's values are nil, bool, int64, float64, string, []byte, Tuple, *List,
// *Dict, Set, Global, *Object and Persistent.
type (
	// Tuple is a Python tuple.
	Tuple []any
	// List is a Python list.
	List struct{ Items []any }
	// Set is a Python set or frozenset, in the pickle's order.
	Set struct{ Items []any }
	// Global names a class or function.
	Global struct{ Module, Name string }
	// Persistent stands for what is stored outside the pickle.
	Persistent struct{ ID any }
)

// String is MODULE.NAME, in which characters that could steer a terminal are escaped.
func (g Global) String() string {
	full := g.Module + "." + g.Name
	if strings.ContainsFunc(full, func(r rune) bool { return !unicode.IsPrint(r) }) {
		full = strings.Trim(strconv.QuoteToASCII(full), `"`)
	}
	return full
}

// Dict is a Python dict, in the pickle's order.
type Dict struct {
	Keys, Values []any
	index        map[any]int // of keys that are strings or whole numbers
}

// NewDict is an empty one.
func NewDict() *Dict { return &Dict{index: map[any]int{}} }

// Set adds or replaces an entry. Keys that are neither strings nor whole numbers
// are always added.
func (d *Dict) Set(key, value any) {
	if indexed(key) {
		if i, ok := d.index[key]; ok {
			d.Values[i] = value
			return
		}
		d.index[key] = len(d.Keys)
	}
	d.Keys = append(d.Keys, key)
	d.Values = append(d.Values, value)
}

// Get gives the value of a key that is a string or an int64.
func (d *Dict) Get(key any) (any, bool) {
	if !indexed(key) {
		return nil, false
	}
	i, ok := d.index[key]
	if !ok {
		return nil, false
	}
	return d.Values[i], true
}

// Len is the number of entries.
func (d *Dict) Len() int { return len(d.Keys) }

func indexed(key any) bool {
	switch key.(type) {
	case string, int64:
		return true
	}
	return false
}

// Object is what a call would have made: of Class, which may be a function, with
// Args; then State, Items and Entries as the pickle set, appended and added them.
type Object struct {
	Class   Global
	Args    Tuple
	Named   *Dict // keyword arguments; nil: none
	State   any   // of __setstate__ or __dict__
	Items   []any // appended, as to a list
	Entries *Dict // set, as in a dict; nil: none
}

// Kind says what a value of a pickle's is, for people.
func Kind(v any) string {
	switch v.(type) {
	case nil:
		return "None"
	case bool:
		return "a truth value"
	case int64, float64:
		return "a number"
	case string:
		return "a text"
	case []byte:
		return "bytes"
	case Tuple:
		return "a tuple"
	case *List:
		return "a list"
	case *Dict:
		return "a dict"
	case *Set:
		return "a set"
	case Global:
		return "a class or function"
	case *Object:
		return "an object"
	case Persistent:
		return "a reference"
	case *Array:
		return "a NumPy array"
	}
	return "something else"
}
