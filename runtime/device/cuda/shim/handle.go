//go:build cuda

package shim

import (
	"unsafe"

	"gorgonia.org/cu"
)

// handles are cu's types that are one pointer of the driver's, in a field that is not exported.
type handles interface {
	cu.Function | cu.Stream | cu.Event | cu.ExecGraph | cu.Graph | cu.CUContext
}

// The conversions below hold while cu's types are as large as a pointer: these arrays have no negative size.
var (
	_ [unsafe.Sizeof(uintptr(0)) - unsafe.Sizeof(cu.Function{})]struct{}
	_ [unsafe.Sizeof(uintptr(0)) - unsafe.Sizeof(cu.Stream{})]struct{}
	_ [unsafe.Sizeof(uintptr(0)) - unsafe.Sizeof(cu.Event{})]struct{}
	_ [unsafe.Sizeof(uintptr(0)) - unsafe.Sizeof(cu.Graph{})]struct{}
	_ [unsafe.Sizeof(uintptr(0)) - unsafe.Sizeof(cu.ExecGraph{})]struct{}
	_ [unsafe.Sizeof(uintptr(0)) - unsafe.Sizeof(cu.CUContext{})]struct{}
)

// handle returns the pointer. It belongs to the driver: the collector does not know it.
func handle[T handles](h *T) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(h)) }

// Pointer is a handle of the driver's.
type Pointer = unsafe.Pointer

// StreamPointer is what the driver, and libraries that work on its streams, know a stream by.
func StreamPointer(s cu.Stream) Pointer { return handle(&s) }

// wrap is the other way round.
func wrap[T handles](p unsafe.Pointer) T { return *(*T)(unsafe.Pointer(&p)) }
