package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// YAML is the resolved configuration, every key in the schema's order. Loading it
// gives an equal Config.
func (c *Config) YAML() ([]byte, error) { return c.render(false) }

// YAMLWithOrigins is YAML with a comment on each line: which layer set it.
func (c *Config) YAMLWithOrigins() ([]byte, error) { return c.render(true) }

// Hash is the SHA-256, in hexadecimal, of what YAML gives.
func (c *Config) Hash() string {
	text, err := c.YAML()
	if err != nil {
		return "" // only a writer that fails can bring it about, and this one is memory
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

func (c *Config) render(origins bool) ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(c.node(schema(), origins)); err != nil {
		return nil, fmt.Errorf("render the config: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("render the config: %w", err)
	}
	return out.Bytes(), nil
}

// node is the YAML of f and all below it.
func (c *Config) node(f *field, origins bool) *yaml.Node {
	if !f.section() {
		return leafNode(reflect.ValueOf(*c).FieldByIndex(f.index))
	}
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, child := range f.children {
		v := c.node(child, origins)
		if origins && !child.section() {
			v.LineComment = c.Origin(child.key)
		}
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: child.name}, v)
	}
	return n
}

func leafNode(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode}
	switch v.Kind() {
	case reflect.Slice:
		n.Kind, n.Style = yaml.SequenceNode, yaml.FlowStyle
		for i := range v.Len() {
			n.Content = append(n.Content, leafNode(v.Index(i)))
		}
	case reflect.String:
		n.SetString(v.String())
	case reflect.Float64:
		n.Value = strconv.FormatFloat(v.Float(), 'g', -1, 64)
	default:
		n.Value = fmt.Sprint(v.Interface())
	}
	return n
}
