package gate

import (
	"fmt"
	"slices"
	"strings"
)

// class is one of the file's, with what its objects must hold.
type class struct {
	base    string // Module, NamedTuple, Interface, Enum or ""
	members map[string][]token
	order   []string // of members
}

// types are those of the members, in their order.
func (c *class) types() [][]token {
	var all [][]token
	for _, key := range c.order {
		all = append(all, c.members[key])
	}
	return all
}

func refuseAt(record string, line int, format string, args ...any) error {
	return &Refused{Record: record, Line: line, What: fmt.Sprintf(format, args...), Advice: ownAdvice}
}

// names are the records below a folder, sorted.
func (a *archive) names(folder string) []string {
	var list []string
	for name := range a.records {
		if strings.HasPrefix(name, folder) {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// readClasses adds the classes of a record of code:
//
//	class Linear(Module):
//	  weight : Tensor
//	  __annotations__["0"] = __torch__.torch.nn.modules.linear.Linear
//	  def forward(…
func readClasses(record string, tokens []token, into map[string]*class) error {
	prefix := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(record, "code/"), ".py"), "/", ".")
	var now *class
	for len(tokens) > 0 {
		end := slices.IndexFunc(tokens, func(t token) bool { return t.kind == newline })
		line := tokens[:end]
		tokens = tokens[end+1:]
		switch {
		case len(line) == 0:
		case line[0].indent == 0 && line[0].text == "class" && len(line) > 1:
			full := prefix + "." + line[1].text
			if into[full] != nil {
				return refuseAt(record, line[0].line, "the class %s is there twice", clip(full))
			}
			now = &class{members: map[string][]token{}}
			if len(line) > 3 && line[2].text == "(" {
				now.base = line[3].text
			}
			into[full] = now
		case line[0].indent == 0:
			now = nil
		case now != nil && line[0].indent <= 2:
			if err := now.member(record, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// member adds what a line of a class's body declares, if it declares something.
func (c *class) member(record string, line []token) error {
	var key string
	var declared []token
	switch {
	case len(line) > 2 && line[0].kind == name && line[1].text == ":":
		key, declared = line[0].text, line[2:]
	case len(line) > 5 && line[0].text == "__annotations__" && line[1].text == "[" && line[2].kind == text && line[3].text == "]" && line[4].text == "=":
		key, declared = strings.Trim(line[2].text, `"`), line[5:]
		if strings.Contains(key, `\`) {
			return refuseAt(record, line[0].line, "a member's name with escapes")
		}
	default:
		return nil
	}
	if c.members[key] != nil {
		return refuseAt(record, line[0].line, "the member %s is there twice", clip(key))
	}
	c.members[key] = slices.Clone(declared) // not a part of all tokens, which would stay
	c.order = append(c.order, key)
	return nil
}
