package torchbridge

/*
#include <stdlib.h>
#include "load.h"
#include "torchbridge.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"
)

// load brings the library into the process, once.
var load = sync.OnceValue(func() error {
	const name = "libtorchbridge.so"
	path, why := C.CString(name), (*C.char)(C.calloc(1, 1024))
	defer C.free(unsafe.Pointer(path))
	defer C.free(unsafe.Pointer(why))
	if C.tb_load(path, why, 1024) != 0 {
		return errors.New(C.GoString(why) + ": build it with: make build")
	}
	return nil
})

// Library is the loaded libtorchbridge.so, found to be of the right version.
type Library struct {
	onLeak func(what string)
}

// Open loads libtorchbridge.so, and libtorch with it, and checks that it speaks
// this package's interface. onLeak (may be nil) is told when a scope was forgotten; it is
// called from the runtime's cleanup goroutine.
func Open(onLeak func(what string)) (*Library, error) {
	if err := load(); err != nil {
		return nil, err
	}
	if got := uint32(C.tb_abi_version()); got != C.TB_ABI_VERSION {
		return nil, fmt.Errorf("libtorchbridge.so has interface version %d, this program wants %d: rebuild it with: make build", got, C.TB_ABI_VERSION)
	}
	C.tb_tune_allocator()
	if onLeak == nil {
		onLeak = func(string) {}
	}
	return &Library{onLeak: onLeak}, nil
}

// TorchVersion is the libtorch that the library was compiled against, such as "1.13.0".
func (*Library) TorchVersion() string { return C.GoString(C.tb_torch_version()) }

// InterfaceVersion is that of the C interface, which library and program share.
func (*Library) InterfaceVersion() int { return int(C.tb_abi_version()) }

// Devices lists what can be used now: "cpu", then "cuda:0" and so on.
func (*Library) Devices() ([]string, error) {
	var list *C.tb_strings
	if err := statusError(C.tb_devices(&list)); err != nil {
		return nil, fmt.Errorf("list the devices: %w", err)
	}
	return takeStrings(list), nil
}

// BuildConfig is libtorch's own description of its build (BLAS, oneDNN, CUDA)
// and of its threads, a text of several lines each.
func (*Library) BuildConfig() (build, parallel string, err error) {
	var list *C.tb_strings
	if err := statusError(C.tb_build_config(&list)); err != nil {
		return "", "", fmt.Errorf("read libtorch's configuration: %w", err)
	}
	texts := takeStrings(list)
	return texts[0], texts[1], nil
}

// Seed sets libtorch's process-wide random generator, which dropout inside
// models draws from.
func (*Library) Seed(seed uint64) error {
	return statusError(C.tb_seed(C.uint64_t(seed)))
}

// LiveHandles counts the tensors, modules, optimisers and lists that exist now
// in this process; 0 when everything was closed.
func (*Library) LiveHandles() int64 { return int64(C.tb_live_handles()) }

// fail makes the library throw, for tests of the error path.
func fail(kind int) error { return statusError(C.tb_fail(C.int32_t(kind))) }

func threadID() int64 { return int64(C.tb_thread_id()) }
