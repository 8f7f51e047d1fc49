package sweep

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"ulrl/pipeline/cores"
	"ulrl/pipeline/fault"
	"ulrl/pipeline/memory"
)

// Slot is where one job runs at a time.
type Slot struct {
	CPUs   []int  // that its threads are pinned to, one each
	Device string // "": the config's
}

// SlotOptions of Slots.
type SlotOptions struct {
	Workers int      // at most; 0: as many as there is room for
	Threads int      // of each worker; 0: 1, where there are devices the cores shared out
	Devices []string // one worker each; none: CPU slots
	Memory  int64    // bytes of each worker; 0: not known
}

// Slots shares this machine's cores and memory out. Cores are those that this
// process may use, hyperthreads of one core counted once: two workers on one
// core, or more threads than cores, make both slower than one after the other.
func Slots(o SlotOptions) ([]Slot, error) {
	usable, err := cores.Usable()
	if err != nil {
		return nil, err
	}
	threads := o.Threads
	if threads == 0 {
		threads = 1
		if len(o.Devices) > 0 {
			threads = max(1, len(usable)/len(o.Devices))
		}
	}
	n := len(usable) / threads
	if n == 0 {
		return nil, fault.Misuse("a worker of %d threads does not fit %d cores", threads, len(usable))
	}
	if len(o.Devices) > 0 {
		n = min(n, len(o.Devices))
	}
	if o.Memory > 0 {
		have, err := memory.Available()
		if err != nil {
			return nil, err
		}
		if n = min(n, int(have/o.Memory)); n == 0 {
			return nil, fault.Misuse("a worker of %.1f GB does not fit the %.1f GB of memory that are free", float64(o.Memory)/1e9, float64(have)/1e9)
		}
	}
	if o.Workers > 0 {
		n = min(n, o.Workers)
	}
	slots := make([]Slot, n)
	for i := range slots {
		slots[i].CPUs = usable[i*threads : (i+1)*threads]
		if len(o.Devices) > 0 {
			slots[i].Device = o.Devices[i]
		}
	}
	return slots, nil
}

// pin has this thread, and what it starts, run on cpus alone, until the
// function that it gives is called.
func pin(cpus []int) (func(), error) {
	if len(cpus) == 0 {
		return func() {}, nil
	}
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("ask which cores may be used: %w", err)
	}
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return nil, fmt.Errorf("pin to cores %v: %w", slices.Clone(cpus), err)
	}
	return func() { _ = unix.SchedSetaffinity(0, &before) }, nil
}
