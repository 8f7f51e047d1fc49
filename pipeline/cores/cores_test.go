package cores

import (
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestUsableCoresAreAllowedOnes(t *testing.T) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		t.Fatal(err)
	}
	cpus, err := Usable()
	if err != nil || len(cpus) == 0 || len(cpus) > allowed.Count() || len(cpus) != Count() {
		t.Fatalf("%v of %d, counted %d, %v", cpus, allowed.Count(), Count(), err)
	}
	for i, cpu := range cpus {
		if !allowed.IsSet(cpu) || slices.Contains(cpus[:i], cpu) {
			t.Errorf("CPU %d of %v", cpu, cpus)
		}
	}
}

// A container's CPU limit comes by GOMAXPROCS.
func TestALimitOnProcessorTimeIsHeeded(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if cpus, err := Usable(); err != nil || len(cpus) != 1 || Count() != 1 {
		t.Errorf("%v, counted %d, %v", cpus, Count(), err)
	}
}
