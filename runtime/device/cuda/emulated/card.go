//go:build cuda

package emulated

// #include "table.h"
import "C"

import (
	"unsafe"

	"llmc/runtime/device/emu"
)

// card is one of the driver's cards.
type card struct {
	memory   *emu.Memory
	buffers  []*emu.Buffer // by address
	used     int64
	context  unsafe.Pointer // the primary one, once it has been asked for
	retained int
	peers    map[*card]bool // whose memory its kernels may reach
}

// takeCards makes the cards.
func (d *Driver) takeCards() {
	memories := []*emu.Memory{emu.NewMemory()}
	if d.Devices > 1 {
		memories = emu.NewCards(d.Devices)
	}
	d.cards = nil
	for _, m := range memories {
		d.cards = append(d.cards, &card{memory: m, peers: map[*card]bool{}})
	}
}

// current is the card of the calling thread's context; nil where there is none.
func (d *Driver) current() *card { return d.of(unsafe.Pointer(C.emulated_current())) }

func (d *Driver) of(context unsafe.Pointer) *card {
	for _, c := range d.cards {
		if c.retained > 0 && c.context == context {
			return c
		}
	}
	return nil
}

//export emulatedRetain
func emulatedRetain(context *C.CUcontext, device C.CUdevice) C.CUresult {
	d := installed
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.cards[device]
	if c.context == nil {
		c.context = C.malloc(1)
	}
	c.retained++
	*context = C.CUcontext(c.context)
	return C.CUDA_SUCCESS
}

//export emulatedRelease
func emulatedRelease(device C.CUdevice) C.CUresult {
	d := installed
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.cards[device]
	if c.retained == 0 {
		return C.CUDA_ERROR_INVALID_CONTEXT
	}
	if c.retained--; c.retained == 0 {
		clear(c.peers)
	}
	return d.sticky
}

//export emulatedCanAccessPeer
func emulatedCanAccessPeer(can *C.int, device, peer C.CUdevice) C.CUresult {
	if *can = 0; device != peer && !installed.Apart {
		*can = 1
	}
	return C.CUDA_SUCCESS
}

//export emulatedEnablePeerAccess
func emulatedEnablePeerAccess(peer C.CUcontext, flags C.uint) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		other := d.of(unsafe.Pointer(peer))
		switch {
		case flags != 0 || other == nil || other == d.now:
			return C.CUDA_ERROR_INVALID_DEVICE
		case d.Apart:
			return C.CUDA_ERROR_PEER_ACCESS_UNSUPPORTED
		case d.now.peers[other]:
			return C.CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED
		}
		d.now.peers[other] = true
		d.counts.Peers++
		return C.CUDA_SUCCESS
	})
}
