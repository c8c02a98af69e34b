package emu

import (
	"fmt"
	"math"
	"sort"
	"sync"
	"sync/atomic"
)

// Generic address windows. Shared and local addresses are offsets into their window; constant and parameter memory are
// addressed by the same number in their own space and in the generic one, as global memory is.
const (
	windowShift  = 44
	sharedWindow = 1 << windowShift
	localWindow  = 2 << windowShift
	constWindow  = 3 << windowShift
	paramWindow  = 4 << windowShift
	globalStart  = 7 << windowShift
	globalEnd    = 8 << windowShift

	bufferAlign = 256
	guardBytes  = 4096 // between buffers, so that small overruns meet no neighbour
)

// Memory is the global memory of one device. Its methods may be called from several goroutines; the contents of a buffer
// belong to the launches that use it.
type Memory struct {
	mu      sync.Mutex
	buffers atomic.Pointer[[]*Buffer] // sorted by address; replaced, never changed
	next    uint64
	end     uint64
	bus     *bus              // to the memories of other cards; nil: there are none
	card    int               // number on the bus
	known   map[uint32]uint32 // to the launches of the card that begin now, of what CTAs of all cards have done
	making  sync.Mutex        // guards globals
	globals map[*Module][]*Buffer
	atomics [64]sync.Mutex // serialize atomic accesses by address
}

// Buffer is a range of global memory.
type Buffer struct {
	addr     uint64
	data     []byte
	readOnly bool
	name     string
}

// noBuffer is where a warp starts to look: nothing lies in it.
var noBuffer = Buffer{addr: globalEnd}

// NewMemory returns memory without buffers.
func NewMemory() *Memory {
	return newMemory(globalStart, globalEnd)
}

func newMemory(start, end uint64) *Memory {
	m := &Memory{next: start, end: end, globals: map[*Module][]*Buffer{}}
	m.buffers.Store(&[]*Buffer{})
	return m
}

// Alloc returns a new buffer whose bytes are all 0xff: NaN in every format, so that a kernel that reads what nobody wrote shows.
func (m *Memory) Alloc(name string, size int) (*Buffer, error) {
	if size < 0 || size > math.MaxInt32<<8 {
		return nil, fmt.Errorf("buffer %s: size %d out of range", name, size)
	}
	data := make([]byte, size)
	fillNaN(data)
	return m.add(name, data, false)
}

// Wrap makes data a buffer without copying it. A read-only buffer may be memory that must not be written, such as a mapped file.
func (m *Memory) Wrap(name string, data []byte, readOnly bool) (*Buffer, error) {
	return m.add(name, data, readOnly)
}

func (m *Memory) add(name string, data []byte, readOnly bool) (*Buffer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	span := (uint64(len(data))+guardBytes+bufferAlign-1)&^(bufferAlign-1) + bufferAlign
	if span > m.end-m.next {
		return nil, fmt.Errorf("buffer %s of %d bytes: the address space is full", name, len(data))
	}
	b := &Buffer{m.next, data, readOnly, name}
	m.next += span
	old := *m.buffers.Load()
	list := append(make([]*Buffer, 0, len(old)+1), old...)
	list = append(list, b)
	m.buffers.Store(&list)
	return b, nil
}

// Free removes a buffer: its addresses become invalid and are not used again.
func (m *Memory) Free(b *Buffer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := *m.buffers.Load()
	list := make([]*Buffer, 0, len(old))
	for _, o := range old {
		if o != b {
			list = append(list, o)
		}
	}
	m.buffers.Store(&list)
}

// Addr is the device address of the first byte.
func (b *Buffer) Addr() uint64 { return b.addr }

// Bytes is the memory itself.
func (b *Buffer) Bytes() []byte { return b.data }

// find returns the buffer that holds addr, or nil.
func (m *Memory) find(addr uint64) *Buffer {
	list := *m.owner(addr).buffers.Load()
	i := sort.Search(len(list), func(i int) bool { return list[i].addr > addr })
	if i == 0 {
		return nil
	}
	if b := list[i-1]; addr-b.addr < uint64(len(b.data)) {
		return b
	}
	return nil
}

// near describes where an address lies that no buffer holds.
func (m *Memory) near(addr uint64) string {
	list := *m.owner(addr).buffers.Load()
	i := sort.Search(len(list), func(i int) bool { return list[i].addr > addr })
	if i == 0 {
		return "below all buffers"
	}
	b := list[i-1]
	return fmt.Sprintf("%d bytes behind the start of buffer %s of %d bytes", addr-b.addr, b.name, len(b.data))
}

func fillNaN(p []byte) {
	if len(p) == 0 {
		return
	}
	p[0] = 0xff
	for n := 1; n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
}

func (m *Memory) lock(addr uint64) *sync.Mutex {
	l := &m.atomics[addr>>5%uint64(len(m.atomics))] // no access is wider than 32 bytes
	l.Lock()
	return l
}

// moduleGlobals returns the buffers of the module's .global variables, made and initialised when first asked for.
func (m *Memory) moduleGlobals(mod *Module) ([]*Buffer, error) {
	vars := mod.globalVars()
	m.making.Lock()
	defer m.making.Unlock()
	list := m.globals[mod]
	have := len(list)
	for _, v := range vars[min(have, len(vars)):] {
		b, err := m.add(v.name, make([]byte, v.size), false)
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	for i := have; i < len(list); i++ {
		if err := mod.fillVar(list[i].data, vars[i], func(i int) uint64 { return list[i].addr }); err != nil {
			return nil, err
		}
	}
	m.globals[mod] = list
	return list, nil
}
