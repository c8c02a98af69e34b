//go:build unix

package hf

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mapping is a file's bytes. Pages are read when they are touched and given back by release, so that they do not add up to
// the size of the model in this process.
type mapping struct{ data []byte }

func mapFile(file *os.File, size int64) (*mapping, error) {
	if size == 0 {
		return &mapping{}, nil
	}
	if int64(int(size)) != size {
		return nil, fmt.Errorf("%d bytes do not fit this machine's addresses", size)
	}
	data, err := unix.Mmap(int(file.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", size, err)
	}
	return &mapping{data}, nil
}

// view calls use with bytes [offset, offset+n).
func (m *mapping) view(offset, n int64, use func([]byte)) error {
	return guardFaults(func() { use(m.data[offset : offset+n]) })
}

// releaseUnit is the least number of bytes worth a system call.
const releaseUnit = 64 << 10

// release tells the system that bytes [offset, offset+n) are not needed for now. Whole pages from the one that holds offset on
// are given back: whoever reads front to back leaves nothing behind. Another reader of such a page only maps it again.
func (m *mapping) release(offset, n int64) {
	if n < releaseUnit {
		return
	}
	page := int64(os.Getpagesize())
	_ = unix.Madvise(m.data[offset/page*page:(offset+n)/page*page], unix.MADV_DONTNEED)
}

func (m *mapping) close() error {
	if m.data == nil {
		return nil
	}
	data := m.data
	m.data = nil
	return unix.Munmap(data)
}
