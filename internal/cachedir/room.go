package cachedir

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"llmc/internal/cli"
)

// lockName is the file of an entry that is held shared by who uses it, exclusively by who fills or removes it; its time is that of the last use.
const lockName = "lock"

// ErrRoom says that something is not kept because there is no room for it.
var ErrRoom = errors.New("no room in the cache")

// Entry is what a part of the cache has under one name.
type Entry struct {
	Dir   string
	Bytes int64
	Used  time.Time
}

// Entries lists what this part has, the least recently used first. One that is being filled counts as it will be.
func (d *Dir) Entries() ([]Entry, error) { return entries(d.root, d.part) }

func entries(root string, parts ...string) ([]Entry, error) {
	var all []Entry
	for _, part := range parts {
		dirs, err := os.ReadDir(filepath.Join(root, part))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, d := range dirs {
			e := Entry{Dir: filepath.Join(root, part, d.Name())}
			info, err := os.Stat(filepath.Join(e.Dir, lockName))
			if err != nil || !d.IsDir() {
				continue
			}
			e.Used, e.Bytes = info.ModTime(), bytesIn(e.Dir)
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b Entry) int { return a.Used.Compare(b.Used) })
	return all, nil
}

// bytesIn adds up the files of a directory; names of one file count once.
func bytesIn(dir string) int64 {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	total, seen := int64(0), map[uint64]bool{}
	for _, f := range files {
		var s unix.Stat_t
		if unix.Lstat(filepath.Join(dir, f.Name()), &s) == nil && !seen[s.Ino] {
			seen[s.Ino] = true
			total += s.Size
		}
	}
	return total
}

// MakeRoom removes what was not used for longest and is not in use, whatever part it is of, until so many bytes fit, and sets these aside in the file called
// partial, of an entry that the caller holds.
func (d *Dir) MakeRoom(ctx context.Context, needed int64, partial string, waiting func()) error {
	if needed > d.most {
		return fmt.Errorf("%w: the plan has %s and the cache may hold %s: set %s", ErrRoom, cli.FormatBytes(needed), cli.FormatBytes(d.most), SizeVariable)
	}
	lock, err := Wait(ctx, d.Path(lockName), waiting)
	if err != nil {
		return err
	}
	defer lock.Close()
	all, err := entries(d.root, parts...)
	if err != nil {
		return err
	}
	own, total := filepath.Dir(partial), needed
	for _, e := range all {
		if e.Dir != own {
			total += e.Bytes
		}
	}
	for _, e := range all {
		if total <= d.most {
			break
		}
		if e.Dir != own && remove(e.Dir) == nil {
			total -= e.Bytes
		}
	}
	if total > d.most {
		return fmt.Errorf("%w: the cache %s may hold %s, and plans in use leave no %s of it: set %s", ErrRoom, d.root, cli.FormatBytes(d.most), cli.FormatBytes(needed), SizeVariable)
	}
	f, err := os.OpenFile(partial, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(needed), f.Close())
}

// remove removes an entry that nobody uses: what it holds first, the lock last.
func remove(dir string) error {
	lock, err := Lock(filepath.Join(dir, lockName), Exclusive|Now)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := Clear(dir); err != nil {
		return err
	}
	if err := os.Remove(lock.Name()); err != nil {
		return err
	}
	_ = os.Remove(dir) // unless somebody has come for it again
	return nil
}

// Clear removes the files of an entry but for its lock and those named.
func Clear(dir string, keep ...string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Name() == lockName || slices.Contains(keep, f.Name()) {
			continue
		}
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// FreeBytes is what may be written below a directory, which need not exist yet; a file system that does not say has room.
func FreeBytes(dir string) int64 {
	for {
		var stat unix.Statfs_t
		err := unix.Statfs(dir, &stat)
		if err == nil {
			if stat.Blocks == 0 || stat.Bavail > math.MaxInt64/uint64(stat.Bsize) {
				return math.MaxInt64
			}
			return int64(stat.Bavail) * int64(stat.Bsize)
		}
		parent := filepath.Dir(dir)
		if !os.IsNotExist(err) || parent == dir {
			return math.MaxInt64
		}
		dir = parent
	}
}
