package comm

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// ring is a queue of bytes with one writer and one reader, which may be other processes. Both counters only grow; what lies between them has been written and not read.
type ring struct {
	*ringHead
	data []byte // a power of two
}

// ringHead is how a ring begins in memory. Each side's words have their own cache lines.
type ringHead struct {
	written atomic.Uint64
	readers atomic.Uint32 // that sleep until something is written
	_       [116]byte
	read    atomic.Uint64
	writers atomic.Uint32 // that sleep until something is read
	_       [116]byte
}

const (
	ringHeadBytes = int(unsafe.Sizeof(ringHead{}))
	ringBytes     = 256 << 10 // of one direction
	linkBytes     = 2 * (ringHeadBytes + ringBytes)
)

// newRing puts a ring over memory of ringHeadBytes+ringBytes, which is aligned to cache lines and zero before the first use.
func newRing(memory []byte) *ring {
	return &ring{(*ringHead)(unsafe.Pointer(unsafe.SliceData(memory))), memory[ringHeadBytes : ringHeadBytes+ringBytes]}
}

// used returns how many bytes wait to be read. The other side may be any process that has the memory: what it counts is not believed.
func (r *ring) used() (int, error) {
	n := r.written.Load() - r.read.Load()
	if n > uint64(len(r.data)) {
		return 0, fmt.Errorf("%w: a ring of %d bytes says that it holds %d", ErrBroken, len(r.data), n)
	}
	return int(n), nil
}

// put writes what there is room for, without waiting.
func (r *ring) put(p []byte) (int, error) {
	used, err := r.used()
	if err != nil {
		return 0, err
	}
	n := min(len(p), len(r.data)-used)
	if n == 0 {
		return 0, nil
	}
	at := r.written.Load()
	from := int(at) & (len(r.data) - 1)
	copy(r.data, p[copy(r.data[from:], p[:n]):n])
	r.written.Store(at + uint64(n))
	if r.readers.Load() > 0 {
		wake(&r.written)
	}
	return n, nil
}

// take reads what there is, without waiting.
func (r *ring) take(p []byte) (int, error) {
	used, err := r.used()
	if err != nil {
		return 0, err
	}
	n := min(len(p), used)
	if n == 0 {
		return 0, nil
	}
	at := r.read.Load()
	from := int(at) & (len(r.data) - 1)
	first := copy(p[:n], r.data[from:])
	copy(p[first:n], r.data)
	r.read.Store(at + uint64(n))
	if r.writers.Load() > 0 {
		wake(&r.read)
	}
	return n, nil
}

// way is one direction of a link.
type way interface {
	// move writes from p, or reads into it, what can be done without waiting.
	move(p []byte) (int, error)
	// wait waits a moment for the other side. It fails when that has stood still for the timeout.
	wait(w *waiter) error
}

// ringOut and ringIn are a ring for who writes it and who reads it.
type (
	ringOut struct{ *ring }
	ringIn  struct{ *ring }
)

func (r ringOut) move(p []byte) (int, error) { return r.put(p) }

func (r ringOut) wait(w *waiter) error {
	at := r.read.Load()
	if r.written.Load()-at < uint64(len(r.data)) { // there is room meanwhile
		return nil
	}
	return w.wait(&r.read, at, &r.writers)
}

func (r ringIn) move(p []byte) (int, error) { return r.take(p) }

func (r ringIn) wait(w *waiter) error {
	at := r.written.Load()
	if at != r.read.Load() { // came meanwhile
		return nil
	}
	return w.wait(&r.written, at, &r.readers)
}

// link is what a rank shares with another: a way to it and a way from it.
type link struct{ out, in way }

// newLink puts a link over linkBytes of memory; both sides of it see the same, each the other way round.
func newLink(memory []byte, first bool) *link {
	half := ringHeadBytes + ringBytes
	a, b := newRing(memory[:half]), newRing(memory[half:])
	if first {
		return &link{ringOut{a}, ringIn{b}}
	}
	return &link{ringOut{b}, ringIn{a}}
}
