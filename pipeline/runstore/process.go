package runstore

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// ending tells whether a process is at its end, by its fields of proc(5)'s stat, from
// the third on, and its status: it leaves, or SIGKILL waits for it.
func ending(fields []string, status string) bool {
	const (
		leaving = 0x4                        // PF_EXITING
		sigkill = 1 << (syscall.SIGKILL - 1) // in masks
	)
	if flags, err := strconv.ParseUint(fields[6], 10, 64); err == nil && flags&leaving != 0 {
		return true
	}
	for line := range strings.Lines(status) {
		name, mask, _ := strings.Cut(line, ":")
		if name != "SigPnd" && name != "ShdPnd" {
			continue
		}
		if pending, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64); err == nil && pending&sigkill != 0 {
			return true
		}
	}
	return false
}

// processState reads a process's state letter and its start in clock ticks
// since boot; both empty where it cannot.
func processState(pid int) (state, born string) {
	fields := processFields(pid)
	if len(fields) == 0 {
		return "", ""
	}
	return fields[0], fields[19]
}

// processFields are those of proc(5), stat, from the third on; nil where the
// process cannot be seen.
func processFields(pid int) []string {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return nil
	}
	return statFields(string(data))
}

// statFields skips the name in brackets, which may hold anything.
func statFields(stat string) []string {
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return nil
	}
	return fields
}
