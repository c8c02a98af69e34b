package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// createPlanFile makes a file without a name (O_TMPFILE) in the directory of path, so that even a killed build leaves
// nothing behind, and reserves its space, so that a full disk is noticed before the work is done. Where the file
// system lacks the one or the other it falls back to a hidden file, and to growing it.
func createPlanFile(path string, size int64) (planFile, error) {
	if err := checkDestination(path); err != nil {
		return nil, err
	}
	file, err := openUnnamed(filepath.Dir(path))
	if err != nil {
		return createNamed(path, size)
	}
	if err := reserve(file, size); err != nil {
		file.Close()
		return nil, err
	}
	return &unnamedFile{File: file}, nil
}

func openUnnamed(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o666)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), fmt.Sprintf("/proc/self/fd/%d", fd))
	if _, err := os.Stat(file.Name()); err != nil { // no /proc, no way to give it a name
		file.Close()
		return nil, err
	}
	return file, nil
}

func reserve(file *os.File, size int64) error {
	err := unix.Fallocate(int(file.Fd()), 0, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		err = file.Truncate(size)
	}
	if err != nil {
		return fmt.Errorf("reserve %d bytes: %w", size, err)
	}
	return nil
}

// unnamedFile has no name until Commit.
type unnamedFile struct{ *os.File }

func (f *unnamedFile) Begin(offset, size int64) { beginWriting(f.File, offset, size) }

// beginWriting starts to write pages to the disk, so that Commit waits for the last ones alone.
func beginWriting(file *os.File, offset, size int64) {
	_ = unix.SyncFileRange(int(file.Fd()), offset, size, unix.SYNC_FILE_RANGE_WRITE)
}

func (f *unnamedFile) Take(from *os.File, size int64) error { return take(f.File, from, size) }

// cloneFile has a file share the blocks of another, on file systems that can (Btrfs, XFS, bcachefs).
func cloneFile(to, from *os.File) error {
	return unix.IoctlFileClone(int(to.Fd()), int(from.Fd()))
}

func (f *unnamedFile) Path() string { return f.Name() }

func (f *unnamedFile) Discard() { f.Close() }

// Commit links the file under a temporary name, since a link can not replace a file, and renames that.
func (f *unnamedFile) Commit(path string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	temporary, err := freeName(path, func(name string) error {
		return unix.Linkat(unix.AT_FDCWD, f.Name(), unix.AT_FDCWD, name, unix.AT_SYMLINK_FOLLOW)
	})
	if err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		os.Remove(temporary)
		return err
	}
	return f.Close()
}
