package config

import (
	"strings"
	"testing"
)

// Whatever a file or an override holds: no crash, one line of printable text, and
// what is taken renders to something that loads back equal.
func FuzzLoad(f *testing.F) {
	for _, text := range []string{"", "seed: 1", "a: &a [*a]", "data: {size: [1, 2]}", "? [a]\n: b", "<<: *x", "extends: badnets.yaml", "- ", "\t", "name: !!binary aGk="} {
		f.Add(text, "relearn.lr=1")
	}
	f.Add("", "suspicious.layers=[")
	f.Add("", "data.mean=[0.5],")
	f.Fuzz(func(t *testing.T, text, set string) {
		root := schema()
		p := parse(root, "exp.yaml", []byte(text))
		l := newLayer()
		found := l.override(root, "--set", []string{set})
		found = append(found, p.problems...)
		base, err := chain(root, source{path: baseName, builtin: true})
		if len(err) > 0 {
			t.Fatal(err)
		}
		c, mergeErr := merge(append(base, p.layer, l))
		if mergeErr != nil {
			t.Fatal(mergeErr)
		}
		c.expandPaths()
		if found = check(root, c, found); len(found) == 0 {
			again(t, root, base, c)
		}
		for _, msg := range found {
			if strings.ContainsAny(msg, "\n\r\x1b\x00") {
				t.Errorf("not one line: %q", msg)
			}
		}
	})
}

func again(t *testing.T, root *field, base []*layer, c *Config) {
	t.Helper()
	out, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	p := parse(root, "again.yaml", out)
	if len(p.problems) > 0 {
		t.Fatalf("%v\n%s", p.problems, out)
	}
	back, err := merge(append(base, p.layer))
	if err != nil {
		t.Fatal(err)
	}
	if !equal(c, back) {
		t.Errorf("got  %+v\nwant %+v\n%s", back, c, out)
	}
}
