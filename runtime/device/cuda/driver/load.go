//go:build cuda

package driver

// #cgo CFLAGS: -I${SRCDIR}/include
// #cgo LDFLAGS: -L${SRCDIR}/lib -ldl
// #include "load.h"
import "C"

import (
	"fmt"
	"unsafe"
)

// Result is what a call of the driver answers: a CUresult other than success.
type Result int

// Error names the result and says what it means, in the driver's words.
func (r Result) Error() string {
	var name, text *C.char
	if C.cuGetErrorName(C.CUresult(r), &name) != C.CUDA_SUCCESS || C.cuGetErrorString(C.CUresult(r), &text) != C.CUDA_SUCCESS || name == nil || text == nil {
		return fmt.Sprintf("CUDA error %d", int(r))
	}
	return fmt.Sprintf("%s (%d): %s", C.GoString(name), int(r), C.GoString(text))
}

// Check makes an error of an answer; nil for success.
func Check(answer int) error {
	if answer == C.CUDA_SUCCESS {
		return nil
	}
	return Result(answer)
}

// NotFound says that there is no driver library.
type NotFound struct{ Reason string }

func (e *NotFound) Error() string { return e.Reason }

// Start loads the library and initialises the driver. It may be called again, and must have been before any other call. The error is a *NotFound
// or a Result.
func Start() error {
	answer := C.llmc_cuda_start()
	if reason := C.GoString(C.llmc_cuda_reason()); answer == C.CUDA_ERROR_SHARED_OBJECT_INIT_FAILED && reason != "" {
		return &NotFound{reason}
	}
	return Check(int(answer))
}

// Calls lists the symbols of all calls.
func Calls() []string {
	names := make([]string, C.llmc_cuda_calls)
	for i, name := range unsafe.Slice((**C.char)(unsafe.Pointer(&C.llmc_cuda_names)), len(names)) {
		names[i] = C.GoString(name)
	}
	return names
}

// Unresolved lists the calls that the library does not have.
func Unresolved() (names []string) {
	for i, name := range Calls() {
		if C.llmc_cuda_entry(C.int(i)) == nil {
			names = append(names, name)
		}
	}
	return names
}

// Replace puts an emulated driver in the place of the library, for tests: C functions by symbol. Calls that it does not have fail.
func Replace(functions map[string]unsafe.Pointer) error {
	names := Calls()
	table := make([]unsafe.Pointer, len(names))
	found := 0
	for i, name := range names {
		if table[i] = functions[name]; table[i] != nil {
			found++
		}
	}
	if found != len(functions) {
		return fmt.Errorf("%d of %d functions of the emulated driver are no calls of the driver", len(functions)-found, len(functions))
	}
	C.llmc_cuda_replace(&table[0])
	return nil
}
