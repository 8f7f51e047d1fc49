// Package memory asks the system how much memory there is to have.
package memory

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Available is what new processes can have, in bytes, without swapping, within the
// cgroup's limit.
func Available() (int64, error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("ask how much memory is free: %w", err)
	}
	have := int64(-1)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "MemAvailable:" {
			if kib, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				have = kib << 10
			}
		}
	}
	if have < 0 {
		return 0, fmt.Errorf("ask how much memory is free: /proc/meminfo does not say")
	}
	return min(have, cgroupMemory(have)), nil
}

// cgroupMemory is what this process's cgroup (version 2) and those above it
// leave, or otherwise all.
func cgroupMemory(all int64) int64 {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return all
	}
	_, path, ok := strings.Cut(strings.TrimSpace(string(text)), "0::")
	if !ok {
		return all
	}
	left := all
	for path = filepath.Clean("/" + path); ; path = filepath.Dir(path) {
		limit, err := readNumber(filepath.Join("/sys/fs/cgroup", path, "memory.max"))
		if used, e := readNumber(filepath.Join("/sys/fs/cgroup", path, "memory.current")); err == nil && e == nil {
			left = min(left, max(0, limit-used))
		}
		if path == "/" {
			return left
		}
	}
}

func readNumber(path string) (int64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
}
