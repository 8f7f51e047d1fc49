package config

import "strings"

// hint follows the message about an unknown key: the nearest known key, or the
// keys that the section has.
func hint(root *field, section *field, name string) string {
	if known := section.find(name); known != nil && strings.Contains(name, ".") {
		return "; write it nested, as " + nested(name)
	}
	if near := nearest(root, section, name); near != "" {
		return "; did you mean " + near + "?"
	}
	return "; known here: " + childNames(section)
}

// nested shows a dotted key in YAML's flow form: "a: {b: ...}".
func nested(key string) string {
	parts := strings.Split(key, ".")
	return strings.Join(parts, ": {") + ": ..." + strings.Repeat("}", len(parts)-1)
}

// nearest is the known key that name below section most likely stands for: a
// sibling spelled nearly so, else what is spelled nearly so as a whole, else all
// keys of that very name elsewhere. It is "" where nothing is near.
func nearest(root, section *field, name string) string {
	if near := closest(section.children, func(f *field) string { return f.name }, name); near != nil {
		return near.key
	}
	if near := closest(root.leaves(), func(f *field) string { return f.key }, joinKey(section.key, name)); near != nil {
		return near.key
	}
	var same []string
	for _, f := range root.leaves() {
		if f.name == name {
			same = append(same, f.key)
		}
	}
	return strings.Join(same, " or ")
}

// closest is the field whose text is fewest edits from s, nil where the fewest
// are more than a third of s.
func closest(fields []*field, text func(*field) string, s string) *field {
	const longest = 64 // no key is as long: nothing can be near
	if len(s) > longest {
		return nil
	}
	var best *field
	limit := 1 + len(s)/3
	for _, f := range fields {
		if d := edits(text(f), s); d < limit {
			best, limit = f, d
		}
	}
	return best
}

// edits is the number of insertions, deletions, replacements and swaps of
// neighbours that turn a into b.
func edits(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
