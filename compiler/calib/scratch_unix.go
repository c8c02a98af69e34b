//go:build unix

package calib

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// scratchFile is a file of numbers, all zero at first. Unless it was asked for by a name it has none any more: it is gone when it is closed or the process ends.
type scratchFile struct {
	bytes   []byte
	numbers []float32
}

// newScratchFile makes one in dir; the file of a name is there again with what it held.
func newScratchFile(dir, name string, n int64) (*scratchFile, error) {
	f, err := openScratch(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size := max(4*n, 4)
	if err := reserve(f, size); err != nil {
		return nil, fmt.Errorf("make room for %d MiB of second moments: %w", size>>20, err)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d MiB of second moments: %w", size>>20, err)
	}
	return &scratchFile{data, unsafe.Slice((*float32)(unsafe.Pointer(&data[0])), n)}, nil
}

func openScratch(dir, name string) (*os.File, error) {
	if name != "" {
		return os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
	}
	f, err := os.CreateTemp(dir, ".moments-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (s *scratchFile) close() error {
	data := s.bytes
	s.bytes, s.numbers = nil, nil
	return unix.Munmap(data)
}
