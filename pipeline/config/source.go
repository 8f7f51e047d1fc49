package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ulrl/configs"
)

const (
	maxFileBytes = 256 << 10 // a complete config has some 6 KiB
	maxDepth     = 16        // files in a chain of extends
	baseName     = "base.yaml"
)

// source is one config file: on disk, or built into the binary.
type source struct {
	path    string // of a built-in one, its name in configs.FS
	builtin bool
	text    string // what it says, where it lies in no file
}

// String is how messages name the file.
func (s source) String() string {
	if s.builtin {
		return "built-in " + s.path
	}
	return printable(s.path)
}

// same tells whether both are one file, by whatever name.
func (s source) same(t source) bool {
	if s.builtin || t.builtin {
		return s == t
	}
	a, errA := os.Stat(s.path)
	b, errB := os.Stat(t.path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// read is the file's bytes; a problem is reported in one line.
func (s source) read() ([]byte, error) {
	switch {
	case s.text != "":
		return []byte(s.text), nil
	case s.builtin:
		return configs.FS.ReadFile(s.path)
	}
	f, err := os.Open(s.path)
	if err != nil {
		return nil, readError(s, err)
	}
	defer f.Close() // only read: nothing can be lost
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, problems{s.String() + ": is a folder, wanted a YAML file"}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, readError(s, err)
	}
	if len(data) > maxFileBytes {
		return nil, problems{s.String() + ": larger than 256 KiB, wanted a YAML config"}
	}
	return data, nil
}

// readError words the operating system's reason for a config that cannot be read.
func readError(s source, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return problems{s.String() + ": no such file; built in are " + strings.Join(Builtins(), ", ")}
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return problems{s.String() + ": cannot read the config: " + err.Error()}
}

// Builtins are the names that "extends:" finds in the binary, sorted.
func Builtins() []string {
	entries, err := configs.FS.ReadDir(".")
	if err != nil {
		return nil // an embedded root is always readable
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

// profileDir holds the built-in profiles in configs.FS.
const profileDir = "profiles"

// Profiles are the names of the built-in profiles, sorted.
func Profiles() []string {
	entries, err := configs.FS.ReadDir(profileDir)
	if err != nil {
		return nil // as for Builtins
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// profileChain reads the built-in profile of that name, or else the file, and
// what it extends.
func profileChain(root *field, name string) ([]*layer, problems) {
	if slices.Contains(Profiles(), name) {
		return chain(root, source{path: profileDir + "/" + name + ".yaml", builtin: true})
	}
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return nil, problems{"profile " + printable(name) + ": no such file; built in are " + strings.Join(Profiles(), ", ")}
	}
	return chain(root, source{path: name})
}

// chain reads s and what it extends, the lowest layer first. Problems of all
// files are returned together.
func chain(root *field, s source) ([]*layer, problems) {
	var (
		layers []*layer
		seen   []source
		found  problems
	)
	for {
		if slices.ContainsFunc(seen, s.same) {
			return nil, problems{seen[0].String() + ": extends goes in a circle: " + circle(seen, s)}
		}
		if len(seen) == maxDepth {
			return nil, problems{seen[0].String() + fmt.Sprintf(": extends goes through more than %d files", maxDepth)}
		}
		seen = append(seen, s)
		data, err := s.read()
		if err != nil {
			return nil, append(found, err.Error())
		}
		p := parse(root, s.String(), data)
		found = append(found, p.problems...)
		layers = append([]*layer{p.layer}, layers...)
		if p.extends == "" {
			return layers, found
		}
		next, ok := extended(s, p.extends)
		if !ok {
			return nil, append(found, missing(p, next))
		}
		s = next
	}
}

// extended is the file that name means in s, and whether it is there.
func extended(s source, name string) (source, bool) {
	if s.builtin {
		return source{path: name, builtin: true}, slices.Contains(Builtins(), name)
	}
	path := name
	if !filepath.IsAbs(name) {
		path = filepath.Join(filepath.Dir(s.path), name)
	}
	return locate(path, name)
}

// locate is the file at path, or where none is, the built-in config called name,
// and whether there is either. A name with a folder is never a built-in's.
func locate(path, name string) (source, bool) {
	// Anything but absence (say, no permission) is told when the file is read.
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return source{path: path}, true
	}
	if slices.Contains(Builtins(), name) {
		return source{path: name, builtin: true}, true
	}
	return source{path: path}, false
}

func missing(p *parser, s source) string {
	return fmt.Sprintf("%s:%d: extends %s: no such file; built in are %s",
		p.file, p.extendsLine, s, strings.Join(Builtins(), ", "))
}

func circle(seen []source, s source) string {
	var names []string
	for _, t := range append(seen, s) {
		names = append(names, t.String())
	}
	return strings.Join(names, " extends ")
}
