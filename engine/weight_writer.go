package engine

import (
	"fmt"
	"hash"
	"sync"
)

// readBackBytes is the size of the pieces in which what was written ahead of the hash is read again.
const readBackBytes = 256 << 10

// beginBytes is how many bytes of a weight are taken to the disk at a time.
const beginBytes = 8 << 20

// WeightWriter writes the bytes of one weight. Several goroutines may write parts of it in any order with WriteAt; the
// hash is over the bytes in order. What arrives in order is hashed at once, what arrives ahead is read back from the
// file (from the page cache, in practice) when its turn comes, so that memory stays bounded.
type WeightWriter struct {
	w     *Writer
	entry *WeightEntry

	mu      sync.Mutex
	cursor  int64 // of Write
	hash    hash.Hash
	hashed  int64 // bytes in the hash
	begun   int64 // of these, bytes that are on their way to the disk
	written int64 // sum of the lengths of all parts; with hashed it tells gaps and overlaps
	ahead   map[int64]int64
	done    bool
	piece   []byte
}

// Size returns the number of bytes to be written.
func (ww *WeightWriter) Size() int64 { return ww.entry.Bytes }

// Write appends b to what Write wrote before.
func (ww *WeightWriter) Write(b []byte) (int, error) {
	ww.mu.Lock()
	at := ww.cursor
	ww.cursor += int64(len(b))
	ww.mu.Unlock()
	return ww.WriteAt(b, at)
}

// WriteAt writes b at byte off of the weight. No byte may be written twice.
func (ww *WeightWriter) WriteAt(b []byte, off int64) (int, error) {
	if off < 0 || off > ww.entry.Bytes || int64(len(b)) > ww.entry.Bytes-off {
		return 0, fmt.Errorf("weight %s: write of bytes %d to %d, past its size %d", ww.entry.Name, off, off+int64(len(b)), ww.entry.Bytes)
	}
	if len(b) == 0 {
		return 0, nil
	}
	if err := ww.w.writeAt(b, ww.w.base+ww.entry.Offset+off); err != nil {
		return 0, err
	}
	ww.mu.Lock()
	defer ww.mu.Unlock()
	if ww.written += int64(len(b)); ww.written > ww.entry.Bytes || ww.done {
		return 0, fmt.Errorf("weight %s: bytes written twice", ww.entry.Name)
	}
	if off != ww.hashed {
		if ww.ahead == nil {
			ww.ahead = map[int64]int64{}
		}
		ww.ahead[off] = int64(len(b))
		return len(b), nil
	}
	ww.hash.Write(b)
	ww.hashed += int64(len(b))
	err := ww.catchUp()
	if ww.hashed-ww.begun >= beginBytes || ww.hashed == ww.entry.Bytes {
		ww.w.file.Begin(ww.w.base+ww.entry.Offset+ww.begun, ww.hashed-ww.begun)
		ww.begun = ww.hashed
	}
	return len(b), err
}

// catchUp hashes the parts that were waiting for the one just hashed.
func (ww *WeightWriter) catchUp() error {
	for {
		n, ok := ww.ahead[ww.hashed]
		if !ok {
			return nil
		}
		delete(ww.ahead, ww.hashed)
		if ww.piece == nil {
			ww.piece = make([]byte, readBackBytes)
		}
		for n > 0 {
			b := ww.piece[:min(n, int64(len(ww.piece)))]
			if _, err := ww.w.file.ReadAt(b, ww.w.base+ww.entry.Offset+ww.hashed); err != nil {
				return fmt.Errorf("weight %s: read back: %w", ww.entry.Name, err)
			}
			ww.hash.Write(b)
			ww.hashed += int64(len(b))
			n -= int64(len(b))
		}
	}
}

// finish completes the entry's hash.
func (ww *WeightWriter) finish() error {
	ww.mu.Lock()
	defer ww.mu.Unlock()
	if ww.hashed != ww.entry.Bytes || ww.written != ww.entry.Bytes {
		return fmt.Errorf("weight %s: %d of %d bytes written", ww.entry.Name, ww.written, ww.entry.Bytes)
	}
	ww.entry.SHA256 = ww.hash.Sum(ww.entry.SHA256[:0])
	ww.done, ww.piece = true, nil
	return nil
}
