//go:build cuda

package emulated

// #cgo CFLAGS: -I${SRCDIR}/../driver/include
// #include "table.h"
import "C"

import (
	"sync"
	"unsafe"

	"llmc/runtime/device/cuda/driver"
	"llmc/runtime/device/emu"
	"llmc/runtime/device/gpu"
)

// Driver is an emulated driver with cards that are all alike. Its fields may be set before it is installed.
type Driver struct {
	Card    gpu.Card
	Devices int  // cards that there are
	Apart   bool // they do not reach each other's memory
	Faults  Faults
	Options emu.Options
	NCCL    bool // there is one, for cards of this process
	Idle    bool // kernels do nothing and there is no memory, only addresses: for measuring what the host does

	mu        sync.Mutex
	ran       *sync.Cond // some work of some stream
	sticky    C.CUresult // what every call answers once a kernel has failed
	fault     error      // of the kernel
	cards     []*card
	now       *card // whose context the call at hand has
	pinned    map[unsafe.Pointer]int
	handles   map[unsafe.Pointer]any
	counts    Counts
	answers   int // copies to the host
	idle      idle
	told      string                                       // CUDA_CACHE_PATH when the driver started
	functions map[unsafe.Pointer]map[string]unsafe.Pointer // by module
	networks  map[uint64]*network
	groups    int // of calls of NCCL that are open
}

// Faults say what goes wrong. Numbers count from 1; 0: never.
type Faults struct {
	Start       driver.Result // what cuInit answers
	OutOfMemory int           // this allocation and all later ones find no memory
	NoGraphs    bool          // there is no memory for graphs
	OldCubins   bool          // code that is not PTX is refused
	Launch      int           // this launch ends with Failure when it runs
	Answer      int           // this copy to the host does
	Deaf        bool          // streams do not wait for events
	Failure     driver.Result
}

// Counts are what was asked of the driver.
type Counts struct {
	Cubins, Texts, Allocations, PinnedAllocations, Launches, Copies, Captures, Replays, Waits int
	Early                                                                                     int   // launches that may start before those before them have ended; in graphs they count once
	Taken                                                                                     int64 // bytes of device memory that are in use
	Peers                                                                                     int   // pairs of cards of which one may reach the other's memory
	Handed                                                                                    int   // copies from another card's memory
	Networked                                                                                 int   // sends and receives
	Together                                                                                  int   // launches whose CTAs run at the same time; in graphs they count once
}

// New returns a driver whose card passes for a row of engine.Targets with all the memory that it has.
func New(card gpu.Card) *Driver {
	d := &Driver{Card: card, Devices: 1, pinned: map[unsafe.Pointer]int{}, handles: map[unsafe.Pointer]any{},
		functions: map[unsafe.Pointer]map[string]unsafe.Pointer{}}
	d.ran = sync.NewCond(&d.mu)
	return d
}

// installed is the driver that the calls reach.
var installed *Driver

// Install puts the driver in the place of NVIDIA's. Nothing may be in use of one installed before.
func (d *Driver) Install() error {
	installed = d
	d.takeCards()
	d.installNetwork()
	functions := map[string]unsafe.Pointer{}
	for _, c := range unsafe.Slice((*C.emulated_call)(unsafe.Pointer(&C.emulated_calls)), int(C.emulated_count)) {
		functions[C.GoString(c.symbol)] = c.function
	}
	return driver.Replace(functions)
}

// Counts returns what was asked so far.
func (d *Driver) Counts() Counts {
	d.mu.Lock()
	defer d.mu.Unlock()
	counts := d.counts
	for _, c := range d.cards {
		counts.Taken += c.used
	}
	return counts
}

// CachePath is where the driver was told to keep compiled code when it started.
func (d *Driver) CachePath() string { return d.told }

// Fault is what a kernel did wrong, nil if none did.
func (d *Driver) Fault() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.fault
}

// InUse is how many things have not been given back: memory of both kinds, handles, the context.
func (d *Driver) InUse() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := len(d.idle.bytes) + len(d.pinned) + len(d.handles)
	for _, c := range d.cards {
		n += len(c.buffers) + c.retained
	}
	return n
}

// call makes a call that needs a context: one after the other, but for what streams do meanwhile, and none once a kernel has failed.
func call(do func(d *Driver) C.CUresult) C.CUresult {
	d := installed
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.current()
	switch {
	case d.sticky != 0:
		return d.sticky
	case now == nil:
		return C.CUDA_ERROR_INVALID_CONTEXT
	}
	d.now = now
	return do(d)
}

// handle gives a thing the pointer that stands for it outside.
func (d *Driver) handle(thing any) unsafe.Pointer {
	p := C.malloc(1)
	d.handles[p] = thing
	return p
}

// find returns the thing that a pointer stands for; it is not ok if there is none of this kind.
func find[T any](d *Driver, p unsafe.Pointer) (thing T, ok bool) {
	thing, ok = d.handles[p].(T)
	return thing, ok
}

// drop forgets a thing.
func drop[T any](d *Driver, p unsafe.Pointer) C.CUresult {
	if _, ok := find[T](d, p); !ok {
		return C.CUDA_ERROR_INVALID_HANDLE
	}
	delete(d.handles, p)
	C.free(p)
	return C.CUDA_SUCCESS
}
