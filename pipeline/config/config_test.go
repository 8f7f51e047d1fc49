package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ulrl/pipeline/fault"
)

// write puts files into a new folder and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// loadText loads text as the file exp.yaml.
func loadText(t *testing.T, text string, opt Options) (*Config, string) {
	t.Helper()
	return loadFrom(t, write(t, map[string]string{"exp.yaml": text}), "exp.yaml", opt)
}

// loadFrom loads dir/name; the message is without dir, and is checked to be one
// line and misuse.
func loadFrom(t *testing.T, dir, name string, opt Options) (*Config, string) {
	t.Helper()
	c, err := Load(filepath.Join(dir, name), opt)
	if err == nil {
		return c, ""
	}
	if !fault.IsMisuse(err) {
		t.Errorf("not misuse: %v", err)
	}
	for _, r := range err.Error() {
		if r < ' ' || r == 0x7f {
			t.Errorf("control character in %q", err)
		}
	}
	return nil, strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "")
}

// must loads text and fails the test on an error.
func must(t *testing.T, text string, opt Options) *Config {
	t.Helper()
	c, msg := loadText(t, text, opt)
	if msg != "" {
		t.Fatal(msg)
	}
	return c
}

// equal compares what the configs say, not where it comes from.
func equal(a, b *Config) bool {
	x, y := *a, *b
	x.origins, y.origins = nil, nil
	return reflect.DeepEqual(x, y)
}
