package config

import (
	"math"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// value is what n says for the leaf f: a string, bool, int, uint64 or float64, or
// a slice of them. Nothing is converted but whole numbers to float64. Where the
// type is another, bad is the node at fault: n, or an element of it.
func value(f *field, n *yaml.Node) (v any, bad *yaml.Node) {
	r := resolve(n)
	if !f.list {
		v, ok := scalar(f.kind, r)
		if !ok {
			return nil, n
		}
		return v, nil
	}
	if r.Kind != yaml.SequenceNode {
		return nil, n
	}
	// Never nil, so that an empty list is equal however it was written.
	list := reflect.MakeSlice(reflect.SliceOf(zero(f.kind).Type()), 0, len(r.Content))
	for _, item := range r.Content {
		e, ok := scalar(f.kind, resolve(item))
		if !ok {
			return nil, item
		}
		list = reflect.Append(list, reflect.ValueOf(e))
	}
	return list.Interface(), nil
}

// zero is a settable zero value of kind.
func zero(kind reflect.Kind) reflect.Value {
	switch kind {
	case reflect.String:
		return reflect.ValueOf(new(string)).Elem()
	case reflect.Bool:
		return reflect.ValueOf(new(bool)).Elem()
	case reflect.Int:
		return reflect.ValueOf(new(int)).Elem()
	case reflect.Uint64:
		return reflect.ValueOf(new(uint64)).Elem()
	}
	return reflect.ValueOf(new(float64)).Elem()
}

// scalar decodes one value strictly.
func scalar(kind reflect.Kind, n *yaml.Node) (any, bool) {
	if n.Kind != yaml.ScalarNode {
		return nil, false
	}
	tag := n.ShortTag()
	if kind == reflect.String {
		// YAML reads a bare date as a time; here it can only be text.
		return n.Value, tag == "!!str" || tag == "!!timestamp"
	}
	if tag != tagOf(kind) && (kind != reflect.Float64 || tag != "!!int") {
		return nil, false
	}
	if tag == "!!int" && octalByAccident(n.Value) {
		return nil, false
	}
	v := zero(kind)
	if n.Decode(v.Addr().Interface()) != nil {
		return nil, false
	}
	if x := v.Interface(); kind == reflect.Float64 && (math.IsInf(x.(float64), 0) || math.IsNaN(x.(float64))) {
		return nil, false
	}
	return v.Interface(), true
}

func tagOf(kind reflect.Kind) string {
	switch kind {
	case reflect.Bool:
		return "!!bool"
	case reflect.Float64:
		return "!!float"
	}
	return "!!int"
}

// octalByAccident tells 010, which YAML 1.1 reads as 8 and everybody else as 10.
func octalByAccident(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9'
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n
}

// got says in words what stands in the file.
func got(n *yaml.Node) string {
	n = resolve(n)
	switch n.Kind {
	case yaml.MappingNode:
		return "a section"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!null":
		return "empty"
	case "!!str", "!!timestamp":
		return quoted(n.Value) + " (a string)"
	case "!!bool":
		return plain(n.Value) + " (a truth value)"
	case "!!int":
		if octalByAccident(n.Value) {
			return plain(n.Value) + " (octal or decimal?)"
		}
		return plain(n.Value) + " (a whole number)"
	case "!!float":
		if _, err := strconv.ParseFloat(n.Value, 64); err == nil && !strings.ContainsAny(n.Value, ".eE") {
			return plain(n.Value) + " (too large)"
		}
		return plain(n.Value) + " (a floating-point number)"
	}
	return plain(n.Value) + " (tagged " + plain(n.ShortTag()) + ")"
}

// mend says how to put right what a type error shows, where that is plain. bad is
// what value found at fault in n.
func mend(f *field, n, bad *yaml.Node) string {
	bad = resolve(bad)
	text := bad.Kind == yaml.ScalarNode && bad.ShortTag() != "!!null"
	switch {
	case bad.Kind == yaml.ScalarNode && !text && bad == resolve(n):
		return "; leave the key out to keep its default"
	case f.list && text && bad == resolve(n):
		return "; write [" + plain(bad.Value) + "]"
	case f.kind == reflect.String && text && bad.ShortTag() != "!!str":
		return "; put text in quotes"
	}
	return ""
}
