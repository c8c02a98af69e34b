package comm

import (
	"math"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Operations of futex(2), on memory that processes may share.
const (
	futexWait = 0
	futexWake = 1
)

// sleep blocks while the lower half of value, which comes first on all targets of this module, is that of old, for the time at most. It may return early.
func sleep(value *atomic.Uint64, old uint64, most time.Duration) {
	limit := unix.NsecToTimespec(int64(most))
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(value)), futexWait, uintptr(uint32(old)), uintptr(unsafe.Pointer(&limit)), 0, 0)
}

// wake wakes whoever sleeps for value.
func wake(value *atomic.Uint64) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(value)), futexWake, math.MaxInt32, 0, 0, 0)
}

// yield lets another thread have the processor that is queued on it.
func yield() { unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }

// pollSocket waits until a socket can be read, or written, for the time at most.
func pollSocket(fd int, write bool, most time.Duration) {
	limit := unix.NsecToTimespec(int64(most))
	event := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	if write {
		event.Events = unix.POLLOUT
	}
	_, _ = unix.Ppoll([]unix.PollFd{event}, &limit, nil)
}
