package torchbridge

/*
#include "torchbridge.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Device is a CPU or a GPU with the OS thread that does its work.
type Device struct {
	lib    *Library
	name   string
	mode   C.tb_mode
	jobs   chan job
	closed chan struct{}
	thread int64
	once   sync.Once
}

type job struct {
	run  func() error
	done chan error
}

// Device opens "cpu", "cuda" (the first), "cuda:N" or "auto" (the first GPU,
// else the CPU). threads is how many CPU threads one operation may use; 0
// leaves it to libtorch. Close it after use.
func (l *Library) Device(name string, threads int) (*Device, error) {
	available, err := l.Devices()
	if err != nil {
		return nil, err
	}
	chosen := name
	switch name {
	case "auto":
		chosen = available[min(1, len(available)-1)]
	case "cuda":
		chosen = "cuda:0"
	}
	if !slices.Contains(available, chosen) {
		return nil, fmt.Errorf("no device %q here; there is: %s", name, strings.Join(available, ", "))
	}
	d := &Device{
		lib: l, name: chosen,
		mode:   C.tb_mode{threads: C.int32_t(threads), grad: 1},
		jobs:   make(chan job),
		closed: make(chan struct{}),
	}
	started := make(chan struct{})
	go d.work(started)
	<-started
	return d, nil
}

// Seed is the library's Seed: the generator is the whole process's.
func (d *Device) Seed(seed uint64) error { return d.lib.Seed(seed) }

// answer runs the job and sends its result, even if the job ends the goroutine.
func (j job) answer() {
	err := errors.New("the step ended its goroutine")
	defer func() { j.done <- err }()
	err = j.run()
}

// work is the owner thread's loop.
func (d *Device) work(started chan<- struct{}) {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	// Only runtime.Goexit in a step gets here early; nobody may wait then.
	defer d.Close()
	d.thread = threadID()
	close(started)
	for {
		select {
		case j := <-d.jobs:
			j.answer()
		case <-d.closed:
			return
		}
	}
}

// Name is "cpu" or "cuda:N".
func (d *Device) Name() string { return d.name }

// Threads is how many CPU threads an operation uses.
func (d *Device) Threads() (int, error) {
	var n C.int32_t
	err := d.Do(context.Background(), func(s *Scope) error {
		return statusError(C.tb_threads(s.mode, &n))
	})
	return int(n), err
}

// Close ends the device's thread. Scopes may still be closed afterwards.
func (d *Device) Close() { d.once.Do(func() { close(d.closed) }) }

// Do runs f on the device's thread and waits for it. f gets a scope that
// closes when it returns. Do returns ctx's error if it had ended before f
// started, else f's error, else the scope's. Inside f it runs a nested f
// directly.
func (d *Device) Do(ctx context.Context, f func(s *Scope) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	run := func() error {
		s := &Scope{dev: d, mode: d.mode}
		defer s.Close()
		err := f(s)
		// The sticky error came first and usually caused f's; f may have said
		// more about it.
		if s.err != nil && !errors.Is(err, s.err) {
			return s.err
		}
		return err
	}
	select {
	case <-d.closed:
		return fmt.Errorf("the device %s is closed", d.name)
	default:
	}
	if threadID() == d.thread {
		return run()
	}
	j := job{run: run, done: make(chan error, 1)}
	select {
	case d.jobs <- j:
		return <-j.done
	case <-ctx.Done():
		return ctx.Err()
	case <-d.closed:
		return fmt.Errorf("the device %s is closed", d.name)
	}
}
