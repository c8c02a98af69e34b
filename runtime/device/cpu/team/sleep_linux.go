package team

import (
	"math"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Operations of futex(2), on memory that is not shared between processes.
const (
	futexWait = 0 | 128
	futexWake = 1 | 128
)

// sleep blocks the thread while value is old. It may return early. The system call goes through the scheduler's books, so that the
// worker's place is given to other goroutines.
func sleep(value *atomic.Uint32, old uint32) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(value)), futexWait, uintptr(old), 0, 0, 0)
}

// napTime bounds a nap: a worker that naps keeps its place, and collections of garbage wait for it.
var napTime = unix.Timespec{Nsec: 200_000}

// nap blocks the thread while value is old, for napTime at most. It is not in the scheduler's books: the worker keeps its place, and needs not wait for one when it is
// woken. Being called, which inlining would spoil, it is where the scheduler can stop a worker that naps again and again.
//
//go:noinline
func nap(value *atomic.Uint32, old uint32) {
	unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(value)), futexWait, uintptr(old), uintptr(unsafe.Pointer(&napTime)), 0, 0)
}

// wakeAll wakes every thread that sleeps on value.
func wakeAll(value *atomic.Uint32) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(value)), futexWake, math.MaxInt32, 0, 0, 0)
}

// yield lets another thread have the processor that is queued on it; without one it returns at once. It is not in the scheduler's books:
// the worker keeps its place.
func yield() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
