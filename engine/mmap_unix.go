//go:build unix

package engine

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps the whole file. Pages are shared with every other process that serves the plan.
func mapFile(file *os.File, size int64) ([]byte, error) {
	data, err := unix.Mmap(int(file.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", size, err)
	}
	return data, nil
}

func unmapFile(data []byte) error { return unix.Munmap(data) }
