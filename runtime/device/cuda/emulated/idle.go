//go:build cuda

package emulated

// #include "table.h"
import "C"

import (
	"sync"
	"unsafe"
)

// idle is the device memory of a Driver that is Idle: there are addresses alone. What is copied to any of them goes to one of a few buffers, at once and
// without the driver's lock, so that several threads may copy side by side as they would for hardware.
type idle struct {
	bytes   map[uint64]int64 // of each allocation
	next    uint64
	scratch sync.Pool
}

const idleStart = 1 << 40

func (i *idle) take(bytes int64) uint64 {
	if i.bytes == nil {
		i.bytes, i.next = map[uint64]int64{}, idleStart
	}
	at := i.next
	i.bytes[at] = bytes
	i.next += uint64(bytes+1<<20) &^ (1<<20 - 1)
	return at
}

// copy costs what a copy from the host costs.
func (i *idle) copy(from unsafe.Pointer, bytes int) {
	buffer, _ := i.scratch.Get().(*[]byte)
	if buffer == nil || len(*buffer) < bytes {
		buffer = new([]byte)
		*buffer = make([]byte, bytes)
	}
	copy(*buffer, unsafe.Slice((*byte)(from), bytes))
	i.scratch.Put(buffer)
}
