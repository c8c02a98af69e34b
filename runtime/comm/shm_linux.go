package comm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// sharedDir is where files lie that are nothing but memory.
func sharedDir() string {
	const memory = "/dev/shm"
	if info, err := os.Stat(memory); err == nil && info.IsDir() {
		return memory
	}
	return os.TempDir()
}

// hostID is equal of ranks that can share memory: on one machine since it was started, with the same directory, of one user. "" where that is not known.
func hostID() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	var dir unix.Stat_t
	if err != nil || unix.Stat(sharedDir(), &dir) != nil {
		return ""
	}
	return fmt.Sprintf("%s/%d/%d/%d", strings.TrimSpace(string(boot)), dir.Dev, dir.Ino, os.Getuid())
}

func sharedName(session string, low, high int) string {
	return filepath.Join(sharedDir(), fmt.Sprintf("llmrun-%s-%d-%d", session, low, high))
}

// createShared makes the memory of a link; the higher rank opens it and removes its name.
func createShared(session string, low, high int) ([]byte, func(), error) {
	name := sharedName(session, low, high)
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	remove := func() { _ = os.Remove(name) }
	// What is not there when it is touched would end the process.
	if err := unix.Fallocate(int(file.Fd()), 0, 0, int64(linkBytes)); err != nil {
		remove()
		return nil, nil, fmt.Errorf("%s has no room for %d bytes that ranks share (%w): make room, or take --rank-transport tcp", filepath.Dir(name), linkBytes, err)
	}
	memory, err := mapShared(file)
	if err != nil {
		remove()
		return nil, nil, err
	}
	return memory, func() { remove(); _ = unix.Munmap(memory) }, nil
}

// openShared waits for the memory of a link that the lower rank makes.
func openShared(session string, low, high int, until time.Time) ([]byte, func(), error) {
	name := sharedName(session, low, high)
	for {
		file, err := os.OpenFile(name, os.O_RDWR|unix.O_NOFOLLOW, 0)
		if err == nil {
			info, err := file.Stat()
			if err == nil && info.Size() == int64(linkBytes) {
				memory, err := mapShared(file)
				_ = os.Remove(name)
				file.Close()
				return memory, func() { _ = unix.Munmap(memory) }, err
			}
			file.Close()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
		if time.Now().After(until) {
			return nil, nil, fmt.Errorf("%s does not come: is rank %d on this machine?", name, low)
		}
		time.Sleep(time.Millisecond)
	}
}

func mapShared(file *os.File) ([]byte, error) {
	return unix.Mmap(int(file.Fd()), 0, linkBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}
