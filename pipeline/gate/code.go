package gate

import (
	"strings"
)

// code is what was found in all records of code.
type code struct {
	operators map[string]bool
	classes   map[string]*class // by full name
}

// checkCode reads the records of code.
func (a *archive) checkCode() (*code, error) {
	all := &code{operators: map[string]bool{}, classes: map[string]*class{}}
	var checkers []*checker
	left, own := maxTokens, map[string]bool{}
	for _, record := range a.names("code/") {
		tokens, err := scan(record, string(a.records[record]), left)
		if err != nil {
			return nil, err
		}
		left -= len(tokens)
		c := &checker{record: record, tokens: tokens, found: all.operators, own: own}
		c.functions()
		checkers = append(checkers, c)
	}
	for _, c := range checkers {
		if err := c.check(); err != nil {
			return nil, err
		}
		if err := readClasses(c.record, c.tokens, all.classes); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// checker looks at one record's names.
type checker struct {
	record string
	tokens []token
	found  map[string]bool
	own    map[string]bool // functions and methods of the archive
}

// functions notes those that the record has.
func (c *checker) functions() {
	for i, t := range c.tokens {
		if t.text == "def" && c.at(i+1).kind == name {
			c.own[c.at(i+1).text] = true
		}
	}
}

func (c *checker) refuse(t token, format string, args ...any) error {
	return refuseAt(c.record, t.line, format, args...)
}

func (c *checker) at(i int) token {
	if i < 0 || i >= len(c.tokens) {
		return token{kind: newline}
	}
	return c.tokens[i]
}

func (c *checker) check() error {
	for i, t := range c.tokens {
		if t.kind != name {
			continue
		}
		if err := c.checkName(i, t); err != nil {
			return err
		}
		if c.at(i-1).text == "." {
			continue // of something else
		}
		var err error
		switch t.text {
		case "torch":
			err = c.operator(i, "aten", 1)
		case "ops":
			err = c.operator(i, "", 2)
		case "getattr":
			err = c.getattr(i)
		case "__torch__":
			err = c.className(i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkName refuses names that no serialised classifier has.
func (c *checker) checkName(i int, t token) error {
	if strings.HasPrefix(t.text, "__") && !knownDunder(t.text) {
		return c.refuse(t, "%s: a classifier needs no such method or name", clip(t.text))
	}
	member := c.at(i-1).text == "."
	switch t.text {
	case "import", "from", "lambda", "global", "nonlocal", "async", "await", "yield", "try", "except", "finally", "exec", "fork", "awaitable":
		if !member {
			return c.refuse(t, "%s: a classifier needs no such thing", t.text)
		}
	case "print":
		if !member {
			return c.refuse(t, "print writes to the terminal")
		}
	case "eval", "open", "compile", "id", "hasattr", "setattr", "delattr", "input":
		if !member && c.at(i+1).text == "(" {
			return c.refuse(t, "%s(…): a classifier needs no such call", t.text)
		}
	case "save", "from_file", "set_", "set_data", "as_strided", "as_strided_", "resize_", "resize_as_":
		if member && c.at(i+1).text == "(" { // whatever else the archive calls so
			return c.refuse(t, "%s(…) as a method: %s", t.text, reasonOf("aten::"+t.text))
		}
	}
	if member && c.at(i+1).text == "(" && !c.own[t.text] { // an operator, called as a method
		if why := reasonOf("aten::" + t.text); !allowed("aten::"+t.text) && why != needless && t.text != "warn" {
			return c.refuse(t, "%s(…) as a method: %s", clip(t.text), why)
		}
	}
	return nil
}

// chain is the dotted name that starts at token i.
func (c *checker) chain(i int) []string {
	parts := []string{c.at(i).text}
	for c.at(i+1).text == "." && c.at(i+2).kind == name {
		i += 2
		parts = append(parts, c.at(i).text)
	}
	return parts
}

// operator checks torch.NAME, of the namespace aten, or ops.NAMESPACE.NAME: parts
// names behind the first one, and nothing behind those, since what could be kept
// under another name could be called unseen.
func (c *checker) operator(i int, namespace string, parts int) error {
	t := c.at(i)
	chain := c.chain(i)
	full := strings.Join(chain, ".")
	if len(chain) != parts+1 {
		return c.refuse(t, "%s: no operator that a classifier needs", clip(full))
	}
	if parts == 2 {
		namespace = chain[1]
	}
	operator := namespace + "::" + chain[parts]
	if !allowed(operator) && operator != "aten::warn" { // whose text the graph tells
		return c.refuse(t, "%s: %s", clip(full), reasonOf(operator))
	}
	c.found[full] = true
	return nil
}

// getattr is how the serialiser writes members whose names are no identifiers:
// getattr(self, "0").
func (c *checker) getattr(i int) error {
	t := c.at(i)
	bad := c.refuse(t, "getattr of another form than TorchScript writes, such as getattr(self, \"0\")")
	if c.at(i+1).text != "(" || c.at(i+2).kind != name {
		return bad
	}
	of := c.chain(i + 2)
	j := i + 2 + 2*(len(of)-1) + 1
	switch of[0] {
	case "torch", "ops", "__torch__", "CONSTANTS":
		return bad
	}
	if c.at(j).text != "," || c.at(j+1).kind != text || c.at(j+2).text != ")" {
		return bad
	}
	member := strings.Trim(c.at(j+1).text, `"`)
	if strings.Contains(member, `\`) || identifier(member) || strings.HasPrefix(member, "__") {
		return bad
	}
	return nil
}

// className is a class or function of the file's own.
func (c *checker) className(i int) error {
	t := c.at(i)
	chain := c.chain(i)
	full := strings.Join(chain, ".")
	switch {
	case strings.HasPrefix(full+".", "__torch__.torch.classes."):
		return c.refuse(t, "%s: a class in C++, which is refused", clip(full))
	case len(chain) < 2, full == "__torch__.torch":
		return c.refuse(t, "%s without a class", full)
	}
	return nil
}

// knownDunder tells names with two underscores in front that serialised classes have.
func knownDunder(s string) bool {
	if n, ok := strings.CutPrefix(s, "___torch_mangle_"); ok {
		return number(n)
	}
	switch s {
	case "__torch__", "__parameters__", "__buffers__", "__annotations__", "__forward_hooks__", "__forward_pre_hooks__",
		"__new__", "__init__", "__call__", "__len__", "__contains__", "__getitem__", "__setitem__", "__delitem__", "__iter__", "__next__",
		"__enter__", "__exit__", "__str__", "__bool__", "__hash__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__",
		"__add__", "__sub__", "__mul__", "__truediv__", "__floordiv__", "__mod__", "__pow__", "__neg__", "__pos__",
		"__and__", "__or__", "__xor__", "__iand__", "__ior__", "__ixor__", "__lshift__", "__rshift__", "__invert__",
		"__is__", "__isnot__", "__not__", "__range_length", "__derive_index", "__round_to_zero_floordiv":
		return true
	}
	return false
}
