//go:build cuda

package nccl

// #cgo CFLAGS: -I${SRCDIR}/../driver/include
// #cgo LDFLAGS: -ldl
// #include "load.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
	"unsafe"
)

// Available tells in a line why there is no NCCL; nil: there is.
func Available() error {
	if why := C.llmc_nccl_open(); why != nil {
		return fmt.Errorf("NCCL is not there: %s", C.GoString(why))
	}
	var version C.int
	if err := check(C.llmc_nccl_version(&version)); err != nil {
		return err
	}
	if version < C.LLMC_NCCL_OLDEST {
		return fmt.Errorf("NCCL is of version %d.%d: it must be 2.14 or newer", version/10000, version/100%100)
	}
	return nil
}

func check(r C.int) error {
	if r == 0 {
		return nil
	}
	return fmt.Errorf("NCCL: %s (%d)", C.GoString(C.llmc_nccl_text(r)), int(r))
}

// NewID makes up what the members of a communicator know it by.
func NewID() ([]byte, error) {
	var id C.llmc_nccl_id
	if err := check(C.llmc_nccl_unique(&id)); err != nil {
		return nil, err
	}
	return C.GoBytes(unsafe.Pointer(&id), C.LLMC_NCCL_ID_BYTES), nil
}

// Communicator is a card's part in one. Its methods may be called at any time.
type Communicator struct {
	mu   sync.Mutex
	comm unsafe.Pointer // nil: it has been left
}

// pollEvery is how often a communicator is asked whether it has got on.
const pollEvery = time.Millisecond

// errLeft is what becomes of everything once a communicator has been left.
var errLeft = errors.New("NCCL: the communicator has been left")

// Join makes the card of the calling thread's context a member, and waits until all have come. inContext runs a call with that context.
func Join(id []byte, rank, size int, stop <-chan struct{}, inContext func(func() error) error) (*Communicator, error) {
	if len(id) != C.LLMC_NCCL_ID_BYTES {
		return nil, fmt.Errorf("NCCL: an id of %d bytes", len(id))
	}
	c := &Communicator{}
	err := inContext(func() error {
		r := C.llmc_nccl_init(&c.comm, C.int(size), (*C.llmc_nccl_id)(unsafe.Pointer(&id[0])), C.int(rank))
		runtime.KeepAlive(id)
		if r == C.LLMC_NCCL_IN_PROGRESS {
			return nil
		}
		return check(r)
	})
	if err == nil {
		err = c.settle(stop)
	}
	if err != nil {
		c.Leave()
		return nil, err
	}
	return c, nil
}

// settle waits until what has been begun is under way.
func (c *Communicator) settle(stop <-chan struct{}) error {
	for {
		going, err := c.state()
		if err != nil || !going {
			return err
		}
		select {
		case <-stop:
			return errLeft
		case <-time.After(pollEvery):
		}
	}
}

// state tells whether something is still being begun, and what has gone wrong.
func (c *Communicator) state() (going bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.comm == nil {
		return false, errLeft
	}
	var state C.int
	if err := check(C.llmc_nccl_state(c.comm, &state)); err != nil {
		return false, err
	}
	if state == C.LLMC_NCCL_IN_PROGRESS {
		return true, nil
	}
	return false, check(state)
}

// Failed tells what has gone wrong; nil once the communicator has been left.
func (c *Communicator) Failed() error {
	if _, err := c.state(); !errors.Is(err, errLeft) {
		return err
	}
	return nil
}

// Range is memory of the card.
type Range struct{ Address, Bytes uint64 }

// Send queues the sending of ranges to a member on a stream, Receive the receiving. The thread has the card's context.
func (c *Communicator) Send(ranges []Range, peer int, stream unsafe.Pointer) error {
	return c.move(C.LLMC_NCCL_SEND, ranges, peer, stream)
}

// Receive is the other side of Send.
func (c *Communicator) Receive(ranges []Range, peer int, stream unsafe.Pointer) error {
	return c.move(C.LLMC_NCCL_RECV, ranges, peer, stream)
}

func (c *Communicator) move(call C.int, ranges []Range, peer int, stream unsafe.Pointer) error {
	if len(ranges) == 0 {
		return nil
	}
	if err := c.begin(call, ranges, peer, stream); err != nil {
		return err
	}
	return c.settle(nil)
}

func (c *Communicator) begin(call C.int, ranges []Range, peer int, stream unsafe.Pointer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.comm == nil {
		return errLeft
	}
	r := C.llmc_nccl_move(c.comm, call, (*C.llmc_nccl_range)(unsafe.Pointer(&ranges[0])), C.size_t(len(ranges)), C.int(peer), C.CUstream(stream))
	if r == C.LLMC_NCCL_IN_PROGRESS {
		return nil
	}
	return check(r)
}

// Leave ends what is under way, whatever comes of it.
func (c *Communicator) Leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.comm != nil {
		C.llmc_nccl_abort(c.comm) // who has gone has nothing to answer
		c.comm = nil
	}
}

// Calls is how many calls there are, in the order of their numbers.
const Calls = C.LLMC_NCCL_CALLS

// Replace puts an emulated library in the place of NVIDIA's; without calls there is none.
func Replace(calls []unsafe.Pointer) {
	if len(calls) < Calls {
		C.llmc_nccl_replace(nil)
		return
	}
	C.llmc_nccl_replace(&calls[0])
}
