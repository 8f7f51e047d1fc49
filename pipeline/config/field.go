package config

import (
	"reflect"
	"strings"
)

// field is one key of the schema: a section with children, or a leaf.
type field struct {
	name     string // last part of the key: "lr"
	key      string // the whole key: "relearn.lr"; "" for the root
	kind     reflect.Kind
	list     bool   // a leaf that is a list of kind
	rule     string // the validate tag
	index    []int  // for reflect's FieldByIndex from a Config
	children []*field
}

// schema is the root section, built from Config's tags.
func schema() *field {
	root := &field{kind: reflect.Struct}
	root.addChildren(reflect.TypeOf(Config{}))
	return root
}

func (f *field) addChildren(t reflect.Type) {
	for i := range t.NumField() {
		sf := t.Field(i)
		name := sf.Tag.Get("mapstructure")
		if name == "" {
			continue
		}
		c := &field{name: name, key: joinKey(f.key, name), kind: sf.Type.Kind(), rule: sf.Tag.Get("validate")}
		c.index = append(append(c.index, f.index...), i)
		switch c.kind {
		case reflect.Struct:
			c.addChildren(sf.Type)
		case reflect.Slice:
			c.list, c.kind = true, sf.Type.Elem().Kind()
		}
		f.children = append(f.children, c)
	}
}

func joinKey(section, name string) string {
	if section == "" {
		return name
	}
	return section + "." + name
}

func (f *field) section() bool { return f.kind == reflect.Struct }

// child is the child called name, or nil.
func (f *field) child(name string) *field {
	for _, c := range f.children {
		if c.name == name {
			return c
		}
	}
	return nil
}

// find is the field with that key below f, or nil.
func (f *field) find(key string) *field {
	for _, name := range strings.Split(key, ".") {
		if f = f.child(name); f == nil {
			return nil
		}
	}
	return f
}

// leaves are the leaves below f in the schema's order.
func (f *field) leaves() []*field {
	if !f.section() {
		return []*field{f}
	}
	var all []*field
	for _, c := range f.children {
		all = append(all, c.leaves()...)
	}
	return all
}
