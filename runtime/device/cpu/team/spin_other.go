//go:build !amd64

package team

import (
	"runtime"
	"sync/atomic"
)

// spin waits for a few microseconds at most until value is not old, and tells whether it is not.
func spin(value *atomic.Uint32, old uint32) bool {
	for range 10 {
		if value.Load() != old {
			return true
		}
		runtime.Gosched()
	}
	return false
}
