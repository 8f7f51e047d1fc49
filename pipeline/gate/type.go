package gate

import (
	"slices"

	"ulrl/pipeline/pickle"
)

func trimLine(tokens []token) []token {
	for len(tokens) > 0 && tokens[len(tokens)-1].kind == newline {
		tokens = tokens[:len(tokens)-1]
	}
	return tokens
}

// is tells whether a pickled value is of a type as code writes it. Of types that
// it does not know only numbers and texts are taken, and none.
func (c *values) is(value any, declared []token, depth int) bool {
	// Counted, since what is shared is looked at again in each place.
	if c.count++; c.count > maxValues || depth > maxNesting || len(declared) == 0 {
		return false
	}
	head := declared[0].text
	if head == "__torch__" {
		return c.isInstance(value, dotted(declared), depth)
	}
	args := arguments(declared)
	switch head {
	case "Tensor":
		o, is := value.(*pickle.Object)
		return is && o.Class.String() == rebuildTensor
	case "NoneType", "None":
		return value == nil
	case "int", "float", "bool", "str":
		return isScalar(value, head)
	case "Device":
		o, is := value.(*pickle.Object)
		return is && o.Class.String() == deviceOf
	case "complex":
		o, is := value.(*pickle.Object)
		return is && o.Class.String() == complexOf
	case "Optional":
		return len(args) == 1 && (value == nil || c.is(value, args[0], depth+1))
	case "Union":
		return slices.ContainsFunc(args, func(one []token) bool { return c.is(value, one, depth+1) })
	case "List":
		return len(args) == 1 && c.isList(value, args[0], depth)
	case "Dict":
		return len(args) == 2 && c.isDict(value, args, depth)
	case "Tuple":
		return c.isTuple(value, args, depth)
	case "Any": // code must look what it is
		return !c.hasObject(value, 0)
	}
	switch value.(type) {
	case nil, bool, int64, float64, string:
		return true
	}
	return false
}

// only notes that a list or dict, which may be shared, is of a type: what is put into it by
// one would be taken out by another, which an empty one fits as well.
func (c *values) only(shared any, of string) bool {
	if was, met := c.types[shared]; met {
		return was == of
	}
	c.types[shared] = of
	return true
}

func isScalar(value any, kind string) bool {
	switch value.(type) {
	case int64:
		return kind == "int"
	case float64:
		return kind == "float"
	case bool:
		return kind == "bool"
	case string:
		return kind == "str"
	}
	return false
}

func (c *values) isInstance(value any, class string, depth int) bool {
	known := c.classes[class]
	if known == nil {
		return false
	}
	if known.base == "NamedTuple" {
		return c.isTuple(value, known.types(), depth)
	}
	o, is := value.(*pickle.Object)
	return is && o.Class.String() == class
}

// bare is a list or dict without the type that it may be wrapped in, which is
// checked where the wrapping is.
func bare(value any) any {
	if o, is := value.(*pickle.Object); is && len(o.Args) > 0 {
		switch o.Class.String() {
		case typeTag, listPrefix + "intlist", listPrefix + "tensorlist", listPrefix + "doublelist", listPrefix + "boollist":
			return o.Args[0]
		}
	}
	return value
}

func (c *values) isList(value any, element []token, depth int) bool {
	list, is := bare(value).(*pickle.List)
	if !is || !c.only(list, dotted(element)) {
		return false
	}
	for _, item := range list.Items {
		if !c.is(item, element, depth+1) {
			return false
		}
	}
	return true
}

func (c *values) isDict(value any, args [][]token, depth int) bool {
	d, is := bare(value).(*pickle.Dict)
	if !is || !c.only(d, dotted(args[0])+":"+dotted(args[1])) {
		return false
	}
	for i := range d.Keys {
		if !c.is(d.Keys[i], args[0], depth+1) || !c.is(d.Values[i], args[1], depth+1) {
			return false
		}
	}
	return true
}

func (c *values) isTuple(value any, args [][]token, depth int) bool {
	t, is := value.(pickle.Tuple)
	if len(args) == 1 && len(args[0]) == 2 && args[0][0].text == "(" { // Tuple[()]
		args = nil
	}
	if !is || len(t) != len(args) {
		return false
	}
	for i, item := range t {
		if !c.is(item, args[i], depth+1) {
			return false
		}
	}
	return true
}

// hasObject tells whether a value holds an object of the file's own classes.
func (c *values) hasObject(value any, depth int) bool {
	if c.count++; c.count > maxValues || depth > 8 { // no honest value of an unusual type is
		return true
	}
	holds := func(items []any) bool {
		return slices.ContainsFunc(items, func(v any) bool { return c.hasObject(v, depth+1) })
	}
	switch v := value.(type) {
	case pickle.Tuple:
		return holds(v)
	case *pickle.List:
		return holds(v.Items)
	case *pickle.Dict:
		return holds(v.Values)
	case *pickle.Object:
		full := v.Class.String()
		return full != rebuildTensor && full != deviceOf && full != complexOf
	}
	return false
}

// dotted is a name's tokens as one text.
func dotted(tokens []token) string {
	full := ""
	for _, t := range tokens {
		full += t.text
	}
	return full
}

// arguments are what a type's square brackets hold, one by one.
func arguments(declared []token) [][]token {
	if len(declared) < 3 || declared[1].text != "[" || declared[len(declared)-1].text != "]" {
		return nil
	}
	var out [][]token
	level, start := 0, 2
	for i := 2; i < len(declared)-1; i++ {
		switch declared[i].text {
		case "[", "(":
			level++
		case "]", ")":
			level--
		case ",":
			if level == 0 {
				out = append(out, declared[start:i])
				start = i + 1
			}
		}
	}
	if start < len(declared)-1 {
		out = append(out, declared[start:len(declared)-1])
	}
	return out
}
