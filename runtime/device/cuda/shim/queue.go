//go:build cuda

package shim

// #cgo CFLAGS: -I${SRCDIR}/../driver/include
// #include "commands.h"
import "C"

import (
	"fmt"
	"unsafe"

	"gorgonia.org/cu"

	"llmc/runtime/device/cuda/driver"
)

// Queue is a list of commands that the driver does not know of yet. A call from Go to C costs more than most commands: Submit is one for all.
type Queue struct {
	commands  []C.llmc_command
	arguments []C.uint64_t
	labels    []string
}

// Launch is a kernel and how it is launched. Arguments are slots of 8 bytes, of which a parameter takes the first.
type Launch struct {
	Label           string
	Grid            [3]uint32
	Threads, Shared uint32
	Args            []uint64
	// Early: the kernel waits for the one before it by itself, so that it may be started while that ends. It counts where a launch is right before.
	Early    bool
	Together bool // all CTAs run at the same time, or the launch is refused
}

// Launch queues a kernel. The arguments are copied.
func (q *Queue) Launch(f cu.Function, l *Launch) error {
	if len(l.Args) > C.LLMC_MOST_ARGUMENTS {
		return fmt.Errorf("launch %s: %d arguments, at most %d", l.Label, len(l.Args), C.LLMC_MOST_ARGUMENTS)
	}
	c := C.llmc_command{kind: C.LLMC_LAUNCH, threads: C.uint32_t(l.Threads), shared: C.uint32_t(l.Shared), handle: C.uint64_t(uintptr(handle(&f))),
		first: C.uint32_t(len(q.arguments)), count: C.uint32_t(len(l.Args))}
	if n := len(q.commands); l.Early && n > 0 && q.commands[n-1].kind == C.LLMC_LAUNCH {
		c.early = 1
	}
	if l.Together {
		c.kind = C.LLMC_LAUNCH_TOGETHER
	}
	for i, n := range l.Grid {
		c.grid[i] = C.uint32_t(n)
	}
	for _, a := range l.Args {
		q.arguments = append(q.arguments, C.uint64_t(a))
	}
	q.add(c, l.Label)
	return nil
}

// ToDevice queues a copy from pinned memory, which must stay as it is until it is done.
func (q *Queue) ToDevice(to uint64, from []byte, label string) {
	q.add(C.llmc_command{kind: C.LLMC_TO_DEVICE, target: C.uint64_t(to), source: address(from), bytes: C.uint64_t(len(from))}, label)
}

// ToHost queues a copy to pinned memory.
func (q *Queue) ToHost(to []byte, from uint64, label string) {
	q.add(C.llmc_command{kind: C.LLMC_TO_HOST, target: address(to), source: C.uint64_t(from), bytes: C.uint64_t(len(to))}, label)
}

// Graph queues what was captured.
func (q *Queue) Graph(g cu.ExecGraph, label string) {
	q.add(C.llmc_command{kind: C.LLMC_GRAPH, handle: C.uint64_t(uintptr(handle(&g)))}, label)
}

// Clear queues the filling of memory with zeros.
func (q *Queue) Clear(address uint64, bytes int64, label string) {
	q.add(C.llmc_command{kind: C.LLMC_CLEAR, target: C.uint64_t(address), bytes: C.uint64_t(bytes)}, label)
}

// Event queues the record of an event: what is behind everything before it.
func (q *Queue) Event(e cu.Event, label string) {
	q.add(C.llmc_command{kind: C.LLMC_EVENT, handle: C.uint64_t(uintptr(handle(&e)))}, label)
}

// Wait queues waiting for an event of any stream, as it was recorded last when the queue is submitted.
func (q *Queue) Wait(e cu.Event, label string) {
	q.add(C.llmc_command{kind: C.LLMC_WAIT, handle: C.uint64_t(uintptr(handle(&e)))}, label)
}

// Peer is memory of a device.
type Peer struct {
	Context cu.CUContext
	Address uint64
}

// FromPeer queues a copy from another device's memory to that of the stream's.
func (q *Queue) FromPeer(to, from Peer, bytes int64, label string) {
	c := C.llmc_command{kind: C.LLMC_FROM_PEER, target: C.uint64_t(to.Address), source: C.uint64_t(from.Address), bytes: C.uint64_t(bytes)}
	c.contexts = [2]C.uint64_t{C.uint64_t(uintptr(handle(&to.Context))), C.uint64_t(uintptr(handle(&from.Context)))}
	q.add(c, label)
}

func (q *Queue) add(c C.llmc_command, label string) {
	q.commands, q.labels = append(q.commands, c), append(q.labels, label)
}

// Len is how many commands are queued.
func (q *Queue) Len() int { return len(q.commands) }

// Submit gives the commands to a stream in one call. The queue is empty then. The error names the command that was refused; those behind it are lost.
func (q *Queue) Submit(s cu.Stream) error {
	if len(q.commands) == 0 {
		return nil
	}
	q.arguments = append(q.arguments, 0) // so that there is a first one
	var done C.size_t
	err := driver.Check(int(C.llmc_submit(&q.commands[0], C.size_t(len(q.commands)), &q.arguments[0], C.CUstream(handle(&s)), &done)))
	if err != nil {
		err = fmt.Errorf("%s: %w", q.labels[done], err)
	}
	q.Drop()
	return err
}

// Drop empties the queue.
func (q *Queue) Drop() {
	q.commands, q.arguments, q.labels = q.commands[:0], q.arguments[:0], q.labels[:0]
}

func address(pinned []byte) C.uint64_t {
	return C.uint64_t(uintptr(unsafe.Pointer(unsafe.SliceData(pinned))))
}
