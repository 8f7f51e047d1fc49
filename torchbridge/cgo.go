package torchbridge

// torchbridge.h lies in this folder, not in native/, so that Go sees it change.
// Open loads the library (load.c). It is searched beside the program, in lib/
// beside the program's bin/, in build/ below it, and in the checkout's build/
// (for go test).

/*
#cgo CFLAGS: -I${SRCDIR}
#cgo LDFLAGS: -ldl
#cgo LDFLAGS: -Wl,-rpath,$ORIGIN -Wl,-rpath,$ORIGIN/../lib -Wl,-rpath,$ORIGIN/build -Wl,-rpath,${SRCDIR}/../build
#include "torchbridge.h"
*/
import "C"
