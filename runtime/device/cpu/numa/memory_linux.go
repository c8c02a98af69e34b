package numa

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Policies and flags of mbind(2).
const (
	preferred  = 1
	interleave = 3
	move       = 1 << 1
)

// Allowed returns the processors that this process may use.
func Allowed() (cpus []int) {
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) != nil {
		return nil
	}
	for cpu := range len(set) * 64 {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// Pin keeps the calling thread, which the goroutine has to be locked to, on a node's processors. back lets it go where it could before.
func Pin(n Node) (back func(), err error) {
	var before, now unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, err
	}
	for _, cpu := range n.CPUs {
		now.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &now); err != nil {
		return nil, err
	}
	return func() { _ = unix.SchedSetaffinity(0, &before) }, nil
}

// Interleave has the pages of memory that nobody has touched yet taken from nodes in turn.
func Interleave(mem []byte, nodes []int) error { return bind(mem, interleave, nodes, 0) }

// Bring has the whole pages in memory taken from a node, and those that are there already, and nobody else's, moved to it. The calling thread should be on the node: pages
// that are in no memory yet are read into that of the thread.
func Bring(mem []byte, node int) error {
	mem = whole(mem)
	if len(mem) == 0 {
		return nil
	}
	_ = unix.Madvise(mem, unix.MADV_POPULATE_READ) // Linux before 5.14 reads them when they are needed
	return bind(mem, preferred, []int{node}, move)
}

// whole returns the whole pages in memory.
func whole(mem []byte) []byte {
	if len(mem) == 0 {
		return nil
	}
	page := uintptr(os.Getpagesize())
	at := uintptr(unsafe.Pointer(&mem[0]))
	skip, end := -at%page, (at+uintptr(len(mem)))/page*page-at
	if at+uintptr(len(mem)) < at+skip || end <= skip {
		return nil
	}
	return mem[skip:end]
}

func bind(mem []byte, policy uintptr, nodes []int, flags uintptr) error {
	if mem = whole(mem); len(mem) == 0 {
		return nil
	}
	const word = 64
	var mask [16]uint64
	for _, id := range nodes {
		if id < 0 || id >= word*len(mask) {
			return unix.EINVAL
		}
		mask[id/word] |= 1 << (id % word)
	}
	// The kernel reads one bit less than it is told.
	_, _, errno := unix.Syscall6(unix.SYS_MBIND, uintptr(unsafe.Pointer(&mem[0])), uintptr(len(mem)), policy, uintptr(unsafe.Pointer(&mask[0])), uintptr(word*len(mask)+1), flags)
	if errno != 0 {
		return errno
	}
	return nil
}
