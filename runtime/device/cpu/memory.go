package cpu

import (
	"fmt"
	"os"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"golang.org/x/sys/unix"
)

// region is anonymous memory outside the Go heap. The system provides its pages, zeroed, when they are first touched.
type region []byte

func newRegion(bytes int64, what string) (region, error) {
	if bytes <= 0 {
		bytes = 1
	}
	mem, err := unix.Mmap(-1, 0, int(bytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserving %d bytes for %s: %w", bytes, what, err)
	}
	// Where the system has huge pages to give, it may: rows of a paged cache lie too far apart for a processor to remember where. A system without
	// them refuses, which costs nothing but speed.
	_ = unix.Madvise(mem, unix.MADV_HUGEPAGE)
	return mem, nil
}

func (r region) release() error {
	if r == nil {
		return nil
	}
	return unix.Munmap(r)
}

// relieve gives the pages of the system back that lie within [from, to). They are zeroes when they are touched again.
func (r region) relieve(from, to int64) {
	page := int64(os.Getpagesize())
	from, to = (from+page-1)/page*page, to/page*page
	if from < to {
		_ = unix.Madvise(r[from:to], unix.MADV_DONTNEED) // refused for memory that is locked, which stays
	}
}

// machineMemory returns the memory in bytes that this process may have: the machine's, or what its control group leaves it, as containers have one.
func machineMemory() int64 {
	total := int64(4 << 30)
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err == nil {
		total = int64(info.Totalram) * int64(info.Unit)
	}
	if limit, err := memlimit.FromCgroup(); err == nil && limit > 0 && limit < uint64(total) {
		return int64(limit)
	}
	return total
}
