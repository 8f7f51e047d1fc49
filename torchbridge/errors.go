package torchbridge

/*
#include "torchbridge.h"
*/
import "C"

import "errors"

// Code is the kind of an Error.
type Code int

// The kinds of failure, as in torchbridge.h.
const (
	CodeArgument Code = C.TB_ERR_ARGUMENT // a wrong name, shape or type from our side
	CodeTorch    Code = C.TB_ERR_TORCH    // libtorch refused
	CodeMemory   Code = C.TB_ERR_MEMORY   // an allocation failed, on the host or the device
	CodeStd      Code = C.TB_ERR_STD      // another C++ exception
	CodeUnknown  Code = C.TB_ERR_UNKNOWN  // something that is no C++ exception class
)

// Error is a failure inside libtorch or the bridge.
type Error struct {
	Code   Code
	Reason string // one line
	Detail string // all that libtorch said, its stack dump included, for the debug log
}

func (e *Error) Error() string { return e.Reason }

// Details is Detail.
func (e *Error) Details() string { return e.Detail }

// IsMemory reports whether err says that memory ran out.
func IsMemory(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == CodeMemory
}

// statusError takes a status over and returns it as an error; nil for success.
func statusError(st *C.tb_status) error {
	if st == nil {
		return nil
	}
	defer C.tb_status_free(st)
	return &Error{
		Code:   Code(C.tb_status_code(st)),
		Reason: C.GoString(C.tb_status_message(st)),
		Detail: C.GoString(C.tb_status_detail(st)),
	}
}

// takeStrings takes a list over and returns it as a slice.
func takeStrings(list *C.tb_strings) []string {
	defer C.tb_strings_free(list)
	out := make([]string, int(C.tb_strings_count(list)))
	for i := range out {
		out[i] = C.GoString(C.tb_strings_at(list, C.size_t(i)))
	}
	return out
}
