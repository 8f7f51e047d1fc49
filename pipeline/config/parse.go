package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// layer is what one source sets.
type layer struct {
	values  map[string]any    // nested as the schema is
	origins map[string]string // leaf key to where it was set: "exp.yaml:12", "--set", "ULRL_SEED"
}

func newLayer() *layer {
	return &layer{values: map[string]any{}, origins: map[string]string{}}
}

// set stores a leaf's value.
func (l *layer) set(key string, v any, origin string) {
	parts := strings.Split(key, ".")
	m := l.values
	for _, p := range parts[:len(parts)-1] {
		sub, ok := m[p].(map[string]any)
		if !ok {
			sub = map[string]any{}
			m[p] = sub
		}
		m = sub
	}
	m[parts[len(parts)-1]] = v
	l.origins[key] = origin
}

// parser reads one YAML file against the schema.
type parser struct {
	root        *field
	file        string // as messages name it
	layer       *layer
	extends     string // the value of "extends:", "" where there is none
	extendsLine int
	problems
}

// parse reads data. Problems are collected in the parser, not returned.
func parse(root *field, file string, data []byte) *parser {
	p := &parser{root: root, file: file, layer: newLayer()}
	doc := p.document(data)
	if doc == nil {
		return p
	}
	top := resolve(doc)
	switch {
	case top.Kind == yaml.MappingNode:
		p.section(root, top)
	case top.ShortTag() != "!!null":
		p.at(top, "the file holds %s, wanted keys such as \"seed: 0\"", got(top))
	}
	return p
}

// document is the file's only document; nil where there is none or a problem.
func (p *parser) document(data []byte) *yaml.Node {
	if !utf8.Valid(data) {
		p.add("%s: not UTF-8 text: wanted a YAML file", p.file)
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, more yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if !errors.Is(err, io.EOF) {
			p.syntax(data, err)
		}
		return nil
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		p.at(&more, "a second YAML document begins: wanted one document per file")
		return nil
	case !errors.Is(err, io.EOF):
		p.syntax(data, err)
		return nil
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil
	}
	return doc.Content[0]
}

// syntax reports what the YAML reader says, in one line and with its line number.
func (p *parser) syntax(data []byte, err error) {
	m := regexp.MustCompile(`(?s)^(?:yaml: )?(?:line (\d+): )?(.*)$`).FindStringSubmatch(err.Error())
	where, what := p.file, plain(strings.Join(strings.Fields(m[2]), " "))
	if m[1] != "" {
		where += ":" + m[1]
	}
	for i, line := range strings.Split(string(data), "\n") {
		if indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]; strings.Contains(indent, "\t") {
			p.add("%s:%d: not valid YAML: indented by a tab; use spaces", p.file, i+1)
			return
		}
	}
	p.add("%s: not valid YAML: %s", where, what)
}

// at adds a problem at n's line.
func (p *parser) at(n *yaml.Node, format string, args ...any) {
	p.add("%s:%d: "+format, append([]any{p.file, n.Line}, args...)...)
}

// section reads the keys below f.
func (p *parser) section(f *field, n *yaml.Node) {
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		name := resolve(k).Value
		if first, seen := lines[name]; seen {
			p.at(k, "key %s is there twice, first on line %d", plain(joinKey(f.key, name)), first)
			continue
		}
		lines[name] = k.Line
		p.key(f, name, k, v)
	}
}

// key reads one key of section f.
func (p *parser) key(f *field, name string, k, v *yaml.Node) {
	if f == p.root && name == "extends" {
		p.readExtends(k, v)
		return
	}
	if k.ShortTag() == "!!merge" {
		p.at(k, "YAML's merge key << is not read; put what files share in one that both name with extends")
		return
	}
	c := f.child(name)
	if c == nil || resolve(k).Kind != yaml.ScalarNode {
		p.at(k, "unknown key %s%s", plain(joinKey(f.key, name)), hint(p.root, f, name))
		return
	}
	r := resolve(v)
	if c.section() {
		switch {
		case r.Kind == yaml.MappingNode:
			p.section(c, r)
		case r.ShortTag() != "!!null": // a section whose keys are all commented out is well
			p.at(v, "%s is %s, wanted %s", c.key, got(v), c.wanted())
		}
		return
	}
	val, bad := value(c, v)
	if bad != nil {
		is := "is"
		if bad != v {
			is = "has"
		}
		p.at(bad, "%s %s %s, wanted %s%s", c.key, is, got(bad), c.wanted(), mend(c, v, bad))
		return
	}
	p.layer.set(c.key, val, fmt.Sprintf("%s:%d", p.file, k.Line))
}

func (p *parser) readExtends(k, v *yaml.Node) {
	s, ok := scalar(reflect.String, resolve(v))
	if !ok || s == "" {
		p.at(k, "extends is %s, wanted a file's name", got(v))
		return
	}
	p.extends, p.extendsLine = s.(string), k.Line
}
