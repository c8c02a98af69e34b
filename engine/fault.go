package engine

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"unsafe"
)

// A mapped file can lose bytes under those who read it: somebody shortens it in place, or its disk or network fails. The system answers the read with SIGBUS, which ends a
// Go process with a dump of all goroutines, unless the goroutine that reads has asked for a panic (debug.SetPanicOnFault). Devices ask, and say with Fault what happened.

// Fault tells whether a recovered panic is one of reading memory that is not there. The error, one line, wraps ErrDeviceLost, and names the plan whose file the memory was of,
// if it is one of those given (nil among them: none): nothing that is computed from it can be trusted any more.
func Fault(recovered any, plans ...*Plan) error {
	fault, ok := recovered.(interface {
		runtime.Error
		Addr() uintptr
	})
	if !ok {
		return nil
	}
	for _, p := range plans {
		if at, ok := p.holds(fault.Addr()); ok {
			return fmt.Errorf("%w: %s: byte %d can no longer be read: the file was shortened, or its disk failed; put new plans in place of old ones by renaming them", ErrDeviceLost, p.path, at)
		}
	}
	return fmt.Errorf("%w: a fault at address %#x", ErrDeviceLost, fault.Addr())
}

// Guard runs use, which may read the mapped file, and returns Fault's error where that fails. Other panics pass.
func (p *Plan) Guard(use func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if err = Fault(r, p); err == nil {
				panic(r)
			}
		}
	}()
	return use()
}

// holds returns which byte of the file an address is.
func (p *Plan) holds(addr uintptr) (at int64, ok bool) {
	if p == nil || len(p.mapped) == 0 {
		return 0, false
	}
	first := uintptr(unsafe.Pointer(unsafe.SliceData(p.mapped)))
	return int64(addr - first), addr >= first && addr-first < uintptr(len(p.mapped))
}
