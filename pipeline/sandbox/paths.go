package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
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
// rights on a folder do not reach through them.
func Links(folder string) []string {
	var out []string
	for _, pattern := range []string{"*", "*/*"} {
		found, err := filepath.Glob(filepath.Join(escape(folder), pattern))
		if err != nil {
			continue // a pattern that Glob cannot read
		}
		for _, path := range found {
			if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSymlink == 0 {
				continue
			}
			if target, err := filepath.EvalSymlinks(path); err == nil {
				out = append(out, target)
			}
		}
	}
	return out
}

// escape makes a path stand for itself in a pattern.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

func nvidiaDevices() []string {
	found, err := filepath.Glob("/dev/nvidia*")
	if err != nil {
		return nil // the pattern is right
	}
	return append(found, "/dev/nvidia-caps", "/dev/shm")
}
