package hub

import (
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/sys/unix"
)

// newHash returns the hash that a file's ETag is of: SHA-256 of what is in large file storage; of others the name of the blob in git, which is the SHA-1 of
// its length and contents.
func newHash(f *file) hash.Hash {
	if sha256ID.MatchString(f.etag) {
		return sha256.New()
	}
	h := sha1.New()
	fmt.Fprintf(h, "blob %d\x00", f.size)
	return h
}

// writeError words errors of the disk.
func (d *download) writeError(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return d.errorf(ErrSpace, "%s is full: make room and try again, what came is kept, or set HF_HUB_CACHE to a directory on another disk", d.client.Cache)
	}
	return err
}
