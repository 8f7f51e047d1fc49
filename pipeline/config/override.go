package config

import (
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

const envPrefix = "ULRL_"

// reservedEnv are ULRL_ variables that are no config keys:
//
//	ULRL_LOG_LEVEL       how much the command logs
//	ULRL_THIRD_PARTY     where scripts put what they download
//	ULRL_LIBTORCH_URL    the libtorch archive that scripts/libtorch.sh brings
//	ULRL_LIBTORCH_SHA256 that archive's checksum
//	ULRL_TORCH_WHEEL     the PyPI package in its place
//	ULRL_SYSTEM_PREFIX   where it looks for an installed one
//	ULRL_TEST_NO_SKIP    turns skipped tests into failures
func reservedEnv() []string {
	return []string{
		"ULRL_LOG_LEVEL", "ULRL_THIRD_PARTY", "ULRL_LIBTORCH_URL", "ULRL_LIBTORCH_SHA256",
		"ULRL_TORCH_WHEEL", "ULRL_SYSTEM_PREFIX", "ULRL_TEST_NO_SKIP", "ULRL_TRUST_MODEL",
	}
}

// EnvName is the environment variable that sets a key: "relearn.batch_size" is
// ULRL_RELEARN_BATCH_SIZE.
func EnvName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// envLayer reads ULRL_* from env, which has the form of os.Environ.
func envLayer(root *field, env, reserved []string) (*layer, problems) {
	l, found := newLayer(), problems{}
	known := map[string]*field{}
	for _, f := range root.leaves() {
		known[EnvName(f.key)] = f
	}
	for _, entry := range slices.Sorted(slices.Values(env)) {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(reserved, name) {
			continue
		}
		f := known[name]
		if f == nil {
			found.add("environment variable %s: no config key has this name%s", plain(name), envHint(root, name))
			continue
		}
		l.put(f, text, name, &found)
	}
	return l, found
}

// envHint names the variable that was most likely meant.
func envHint(root *field, name string) string {
	if near := closest(root.leaves(), func(f *field) string { return EnvName(f.key) }, name); near != nil {
		return "; did you mean " + EnvName(near.key) + "?"
	}
	return "; unset it"
}

// override reads key=value overrides, which messages call as origin says; of one key the last wins.
func (l *layer) override(root *field, origin string, sets []string) problems {
	found := problems{}
	for _, set := range sets {
		key, text, ok := strings.Cut(set, "=")
		key = strings.TrimSpace(key)
		if !ok {
			found.add("%s %s: wanted key=value, such as relearn.lr=0.01", origin, plain(set))
			continue
		}
		f := root.find(key)
		switch {
		case key == "extends":
			found.add("%s extends: works in files only", origin)
		case f == nil:
			found.add("%s %s: unknown key%s", origin, plain(key), setHint(root, key))
		case f.section():
			found.add("%s %s: a section cannot be set, its keys can: %s", origin, key, childNames(f))
		default:
			l.put(f, text, origin, &found)
		}
	}
	return found
}

// setHint is hint for a dotted key: it searches below the section that is right.
func setHint(root *field, key string) string {
	section, name := root, key
	for {
		head, rest, dotted := strings.Cut(name, ".")
		next := section.child(head)
		if !dotted || next == nil || !next.section() {
			return hint(root, section, name)
		}
		section, name = next, rest
	}
}

// put stores text as f's value. Text stands for itself where a string is
// wanted; numbers and truth values are read as in YAML; a list is written a,b or
// [a,b].
func (l *layer) put(f *field, text, origin string, found *problems) {
	if !utf8.ValidString(text) {
		found.add("%s: %s is not UTF-8 text", origin, f.key)
		return
	}
	n := scalarNode(f.kind, text)
	if f.list {
		n = listNode(f.kind, text)
	}
	v, bad := value(f, n)
	if bad != nil {
		found.add("%s: %s is %s, wanted %s", origin, f.key, quoted(text), f.wanted())
		return
	}
	l.set(f.key, v, origin)
}

func scalarNode(kind reflect.Kind, text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: text}
	if kind == reflect.String {
		n.Tag = "!!str"
	} else {
		n.Value = strings.TrimSpace(text)
	}
	return n
}

// listNode splits text at its commas; "" and "[]" are the empty list.
func listNode(kind reflect.Kind, text string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		text = strings.TrimSpace(text[1 : len(text)-1])
	}
	if text == "" {
		return n
	}
	for _, part := range strings.Split(text, ",") {
		n.Content = append(n.Content, scalarNode(kind, unquote(strings.TrimSpace(part))))
	}
	return n
}

// unquote takes one pair of quotes off an element such as "head".
func unquote(s string) string {
	if len(s) > 1 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}
