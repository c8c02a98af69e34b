package hub

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"llmc/internal/retry"
)

// fileLock is a lock between processes, the Python client's among them: flock on a file that stays.
type fileLock struct {
	file *os.File
	held bool // false on a file system that has no locks
}

// How often a lock that another process holds is tried, and when it is said that one waits.
const (
	lockEvery = 100 * time.Millisecond
	sayAfter  = 2 * time.Second
)

// takeLock waits until the lock is free. waiting is called once when that takes long.
func (c *Client) takeLock(ctx context.Context, path string, waiting func()) (*fileLock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	start, said := time.Now(), false
	for {
		lock, err := c.lock(path)
		if err != nil || lock != nil {
			return lock, err
		}
		if !said && time.Since(start) > sayAfter {
			said = true
			waiting()
		}
		if err := retry.Sleep(ctx, lockEvery); err != nil {
			return nil, err
		}
	}
}

// tryLock returns nil when another holds the lock.
func tryLock(path string) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o664)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	switch {
	case err == nil:
	case errors.Is(err, unix.EWOULDBLOCK), errors.Is(err, unix.EINTR), errors.Is(err, unix.EACCES):
		return nil, f.Close()
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOLCK):
		return &fileLock{file: f}, nil
	default:
		return nil, errors.Join(&os.PathError{Op: "lock", Path: path, Err: err}, f.Close())
	}
	// Some versions of the Python client remove the file when they release it: what was locked has to be what has the name now.
	if now, err := os.Stat(path); err != nil || !sameFile(now, f) {
		return nil, f.Close()
	}
	return &fileLock{f, true}, nil
}

func sameFile(info os.FileInfo, f *os.File) bool {
	opened, err := f.Stat()
	return err == nil && os.SameFile(info, opened)
}

func (l *fileLock) release() { _ = l.file.Close() }
