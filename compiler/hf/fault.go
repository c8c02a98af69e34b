package hf

import (
	"errors"
	"runtime"
	"runtime/debug"
)

var errFault = errors.New("the file can no longer be read: it was shortened, or its device failed")

// guardFaults runs read and returns errFault when it touches mapped memory that has no file behind it any more.
func guardFaults(read func()) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case interface {
			runtime.Error
			Addr() uintptr
		}:
			err = errFault
		default:
			panic(p)
		}
	}()
	read()
	return nil
}
