package hub

import (
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// spareBytes is what a download leaves free.
const spareBytes = 64 << 20

// freeBytes is what may be written below dir, which need not exist yet; a file system that does not say has room.
func freeBytes(dir string) int64 {
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

// checkSpace refuses a download that the disk can not take.
func (r *repo) checkSpace(needed int64) error {
	if needed == 0 {
		return nil
	}
	if free := r.client.free(r.client.Cache); needed > free-spareBytes {
		return r.errorf(ErrSpace, "%s are to be downloaded and %s has %s free: make room, or set HF_HUB_CACHE to a directory on another disk",
			freeText(needed), r.client.Cache, freeText(free))
	}
	return nil
}
