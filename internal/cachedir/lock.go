package cachedir

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// How a lock between processes is held: flock, which ends with the process.
const (
	Exclusive = unix.LOCK_EX
	Shared    = unix.LOCK_SH
	Now       = unix.LOCK_NB // ErrLocked if another has it
)

var ErrLocked = errors.New("another process has it")

// Lock takes a lock on a file, which it makes if need be. The file that has the name afterwards is the one that is locked.
func Lock(path string, how int) (*os.File, error) {
	for {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o644)
		if errors.Is(err, os.ErrNotExist) { // the directory went between the two
			continue
		}
		if err != nil {
			return nil, err
		}
		for err = unix.EINTR; err == unix.EINTR; {
			err = unix.Flock(int(f.Fd()), how)
		}
		switch {
		case errors.Is(err, unix.EWOULDBLOCK):
			f.Close()
			return nil, ErrLocked
		case err != nil && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.ENOLCK): // else a file system without locks
			f.Close()
			return nil, &os.PathError{Op: "lock", Path: path, Err: err}
		}
		there, err := os.Stat(path)
		if opened, errOpened := f.Stat(); err == nil && errOpened == nil && os.SameFile(there, opened) {
			return f, nil
		}
		f.Close()
	}
}
