package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Libraries are the folders of the libraries that this process has loaded, from
// which they load others later.
func Libraries() ([]string, error) {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, fmt.Errorf("find the loaded libraries: %w", err)
	}
	seen := map[string]bool{}
	var out []string
	for line := range strings.Lines(string(text)) {
		at := strings.IndexByte(line, '/')
		if at < 0 {
			continue
		}
		path := strings.TrimSuffix(strings.TrimSpace(line[at:]), " (deleted)")
		if dir := filepath.Dir(path); strings.Contains(filepath.Base(path), ".so") && !seen[dir] {
			seen[dir] = true
			out = append(out, dir)
		}
	}
	return out, nil
}

// Links are where the symbolic links in folder lead, and those in its folders:
// rights on a folder do not reach through them. One that leads above the folder, or to or above
// the home folder, is left out: a folder that somebody gave may hold it to have all be read.
func Links(folder string) []string {
	var out, above []string
	home, _ := os.UserHomeDir() // "" where there is none
	for _, kept := range []string{folder, home} {
		if real, err := realPath(kept); err == nil && kept != "" {
			above = append(above, real)
		}
	}
	var look func(dir string, deep int)
	look = func(dir string, deep int) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return // whoever reads it says so
		}
		for _, entry := range entries {
			path := filepath.Join(dir, entry.Name())
			if entry.Type()&os.ModeSymlink != 0 {
				target, err := realPath(path)
				if err != nil || slices.ContainsFunc(above, func(kept string) bool { return holds(target, kept) }) {
					continue
				}
				if !slices.Contains(out, target) {
					out = append(out, target)
				}
			}
			if deep > 0 && (entry.IsDir() || entry.Type()&os.ModeSymlink != 0) {
				look(path, deep-1)
			}
		}
	}
	look(folder, 1)
	return out
}

// realPath is an absolute path without links.
func realPath(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	return filepath.Abs(real)
}

// holds tells whether path is folder or lies below it.
func holds(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && filepath.IsLocal(rel)
}

func nvidiaDevices() []string {
	found, err := filepath.Glob("/dev/nvidia*")
	if err != nil {
		return nil // the pattern is right
	}
	return append(found, "/dev/nvidia-caps", "/dev/shm")
}
