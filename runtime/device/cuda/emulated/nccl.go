//go:build cuda

package emulated

// #include "nccl.h"
import "C"

import (
	"encoding/binary"
	"sync"
	"unsafe"

	"llmc/runtime/device/cuda/nccl"
)

// network is a communicator's members, all in this process. What is sent waits in a box for who receives it.
type network struct {
	mu      sync.Mutex
	moved   *sync.Cond
	size    int
	joined  int
	boxes   map[[2]int][][]byte // by who sends and who receives
	aborted bool
	failed  bool // members are told so
	deaf    bool // nothing arrives any more
}

// member is one of them.
type member struct {
	*network
	rank int
	card *card
}

const (
	networkInvalid    = 4
	networkRemote     = 6
	networkInProgress = 7
)

// installNetwork puts the emulated NCCL in the place of NVIDIA's, or nothing.
func (d *Driver) installNetwork() {
	d.networks, d.groups = map[uint64]*network{}, 0
	if !d.NCCL {
		nccl.Replace(nil)
		return
	}
	nccl.Replace(unsafe.Slice((*unsafe.Pointer)(unsafe.Pointer(&C.emulated_nccl)), nccl.Calls))
}

// LoseMessages has nothing that is sent from now on arrive.
func (d *Driver) LoseMessages() { d.eachNetwork(func(n *network) { n.deaf = true }) }

// BreakNetworks has all members of all networks be told that a peer is gone.
func (d *Driver) BreakNetworks() { d.eachNetwork(func(n *network) { n.failed = true }) }

func (d *Driver) eachNetwork(change func(n *network)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, n := range d.networks {
		n.mu.Lock()
		change(n)
		n.mu.Unlock()
	}
}

//export emulatedNetworkVersion
func emulatedNetworkVersion(version *C.int) C.int {
	*version = 22304
	return 0
}

//export emulatedNetworkID
func emulatedNetworkID(id *C.emulated_id) C.int {
	d := installed
	d.mu.Lock()
	defer d.mu.Unlock()
	n := &network{boxes: map[[2]int][][]byte{}}
	n.moved = sync.NewCond(&n.mu)
	number := uint64(len(d.networks) + 1)
	d.networks[number] = n
	binary.LittleEndian.PutUint64(unsafe.Slice((*byte)(unsafe.Pointer(id)), 128), number)
	return 0
}

//export emulatedNetworkInit
func emulatedNetworkInit(communicator *unsafe.Pointer, size C.int, id *C.emulated_id, rank C.int) C.int {
	d := installed
	d.mu.Lock()
	defer d.mu.Unlock()
	n, card := d.networks[binary.LittleEndian.Uint64(unsafe.Slice((*byte)(unsafe.Pointer(id)), 128))], d.current()
	if n == nil || card == nil || rank < 0 || rank >= size || n.size != 0 && n.size != int(size) {
		return networkInvalid
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.size = int(size)
	n.joined++
	*communicator = d.handle(&member{n, int(rank), card})
	return networkInProgress
}

// memberOf finds one.
func memberOf(communicator unsafe.Pointer) *member {
	d := installed
	d.mu.Lock()
	defer d.mu.Unlock()
	m, _ := find[*member](d, communicator)
	return m
}

//export emulatedNetworkState
func emulatedNetworkState(communicator unsafe.Pointer, state *C.int) C.int {
	m := memberOf(communicator)
	if m == nil {
		return networkInvalid
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch *state = 0; {
	case m.failed:
		*state = networkRemote
	case m.joined < m.size:
		*state = networkInProgress
	}
	return 0
}

//export emulatedNetworkAbort
func emulatedNetworkAbort(communicator unsafe.Pointer) C.int {
	m := memberOf(communicator)
	if m == nil {
		return networkInvalid
	}
	m.mu.Lock()
	m.aborted = true
	m.moved.Broadcast()
	m.mu.Unlock()
	d := installed
	d.mu.Lock()
	defer d.mu.Unlock()
	drop[*member](d, communicator)
	return 0
}

//export emulatedGroupStart
func emulatedGroupStart() C.int {
	d := installed
	d.mu.Lock()
	defer d.mu.Unlock()
	d.groups++
	return 0
}

//export emulatedGroupEnd
func emulatedGroupEnd() C.int {
	d := installed
	d.mu.Lock()
	defer d.mu.Unlock()
	d.groups--
	return networkInProgress
}

//export emulatedNetworkSend
func emulatedNetworkSend(from unsafe.Pointer, bytes C.size_t, _, peer C.int, communicator unsafe.Pointer, s C.CUstream) C.int {
	return moveBytes(from, bytes, peer, communicator, s, func(n *network, m *member, memory []byte) {
		way := [2]int{m.rank, int(peer)}
		if n.deaf {
			return
		}
		n.boxes[way] = append(n.boxes[way], append([]byte(nil), memory...))
		n.moved.Broadcast()
	})
}

//export emulatedNetworkReceive
func emulatedNetworkReceive(to unsafe.Pointer, bytes C.size_t, _, peer C.int, communicator unsafe.Pointer, s C.CUstream) C.int {
	return moveBytes(to, bytes, peer, communicator, s, func(n *network, m *member, memory []byte) {
		way := [2]int{int(peer), m.rank}
		for len(n.boxes[way]) == 0 && !n.aborted {
			n.moved.Wait()
		}
		if len(n.boxes[way]) > 0 {
			copy(memory, n.boxes[way][0])
			n.boxes[way] = n.boxes[way][1:]
		}
	})
}

// moveBytes queues what becomes of memory when the stream's turn has come, which it does by itself: whoever is at the other end waits for it.
func moveBytes(address unsafe.Pointer, bytes C.size_t, peer C.int, communicator unsafe.Pointer, s C.CUstream, do func(n *network, m *member, memory []byte)) C.int {
	d := installed
	d.mu.Lock()
	defer d.mu.Unlock()
	m, ok := find[*member](d, communicator)
	st, has := find[*stream](d, unsafe.Pointer(s))
	if d.now = d.current(); !ok || !has || d.now != m.card || d.groups == 0 || int(peer) >= m.size || int(peer) == m.rank || d.sticky != 0 {
		return networkInvalid
	}
	memory := d.onDevice(C.CUdeviceptr(uintptr(address)), bytes)
	if memory == nil {
		return networkInvalid
	}
	d.counts.Networked++
	d.queue(unsafe.Pointer(s), func() C.CUresult {
		m.mu.Lock()
		defer m.mu.Unlock()
		do(m.network, m, memory)
		return C.CUDA_SUCCESS
	})
	until := st.queued
	go func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.run(st, until)
	}()
	return 0
}
