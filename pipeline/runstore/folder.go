package runstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ulrl/pipeline/fault"
)

// MakeDirs makes a folder and those above it. undo removes what it made, as far as nothing is
// in it.
func MakeDirs(dir string) (undo func(), err error) {
	var made []string
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if _, err := os.Lstat(at); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		made = append(made, at)
	}
	undo = func() {
		for _, at := range made {
			if os.Remove(at) != nil {
				return
			}
		}
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		undo()
		return nil, fault.Misuse("make the folder %s: %w", dir, cause(err))
	}
	return undo, nil
}

// NewFolder makes the folder dir, which must not be there or be empty, with what
// fill puts into it. It appears whole or not at all; after an error nothing is left.
func NewFolder(dir string, fill func(partial string) error) error {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return fault.Misuse("%s is not empty: choose another folder, or remove it", dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fault.Misuse("make the folder %s: %w", dir, cause(err))
	}
	above := filepath.Dir(filepath.Clean(dir))
	undo, err := MakeDirs(above)
	if err != nil {
		return err
	}
	partial, err := os.MkdirTemp(above, ".partial-")
	if err != nil {
		undo()
		return fault.Misuse("make the folder %s: %w", dir, cause(err))
	}
	defer func() { _ = os.RemoveAll(partial) }() // nothing is there once it was renamed
	if err := fill(partial); err != nil {
		_ = os.RemoveAll(partial)
		undo()
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // it is empty; Go renames over no folder
		return fmt.Errorf("make the folder %s: %w", dir, cause(err))
	}
	if err := appear(partial, dir); err != nil {
		return fmt.Errorf("make the folder %s: %w", dir, cause(err))
	}
	return nil
}

// appear renames a folder after the disk has taken what is in it, for the whole file system at
// once: thousands of small files one by one would take minutes.
func appear(partial, dir string) error {
	f, err := os.Open(partial)
	if err != nil {
		return err
	}
	if err := errors.Join(unix.Syncfs(int(f.Fd())), f.Close(), os.Chmod(partial, 0o755)); err != nil {
		return err
	}
	if err := os.Rename(partial, dir); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// CheckOurs refuses a folder that holds something but nothing by one of the names that what
// is to be written there has: it is somebody else's. One that cannot be read is told of
// when it is written to.
func CheckOurs(dir string, names ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	foreign := ""
	for _, entry := range entries {
		name := entry.Name()
		if slices.Contains(names, name) {
			return nil
		}
		if !strings.HasPrefix(name, ".") && name != "lost+found" { // of a file system
			foreign = name
		}
	}
	if foreign != "" {
		return fault.Misuse("the folder %s holds something else (%s): choose another", dir, foreign)
	}
	return nil
}
