// Package cores says which processor cores there are to have.
package cores

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Usable is a CPU of each physical core that this process may use, but no more than a
// cgroup lets it have the time of: hyperthreads of one core, or more threads than that
// time is for, make tensor operations slower.
func Usable() ([]int, error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return nil, fmt.Errorf("ask which cores may be used: %w", err)
	}
	var cpus []int
	seen := map[string]bool{}
	for cpu := range len(allowed) * strconv.IntSize {
		if !allowed.IsSet(cpu) {
			continue
		}
		siblings, err := os.ReadFile(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu))
		if err == nil && seen[string(siblings)] {
			continue
		}
		seen[string(siblings)] = err == nil
		cpus = append(cpus, cpu)
	}
	limit := runtime.GOMAXPROCS(0) // since Go 1.25 at most the cgroup's CPU limit
	return cpus[:min(len(cpus), limit)], nil
}

// Count is how many cores are usable, one at least.
func Count() int {
	cpus, err := Usable()
	if err != nil {
		return runtime.GOMAXPROCS(0)
	}
	return max(1, len(cpus))
}
