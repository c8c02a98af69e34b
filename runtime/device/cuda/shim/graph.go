//go:build cuda

package shim

// #include "cuda.h"
import "C"

import (
	"errors"
	"unsafe"

	"gorgonia.org/cu"

	"llmc/runtime/device/cuda/driver"
)

// Capture makes a graph of the commands of a queue, launches alone, instead of running them, and brings it to the device. The stream must not be used by others meanwhile.
func Capture(q *Queue, s cu.Stream) (cu.ExecGraph, error) {
	stream := C.CUstream(handle(&s))
	// Other threads may go on using the driver: nothing of theirs comes into the graph.
	if err := driver.Check(int(C.cuStreamBeginCapture(stream, C.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL))); err != nil {
		q.Drop()
		return cu.ExecGraph{}, err
	}
	err := q.Submit(s)
	var captured C.CUgraph
	ended := driver.Check(int(C.cuStreamEndCapture(stream, &captured)))
	if captured == nil {
		return cu.ExecGraph{}, errors.Join(err, ended)
	}
	graph := wrap[cu.Graph](unsafe.Pointer(captured))
	if err := errors.Join(err, ended); err != nil {
		return cu.ExecGraph{}, errors.Join(err, graph.Destroy())
	}
	var executable C.CUgraphExec
	err = driver.Check(int(C.cuGraphInstantiateWithFlags(&executable, captured, 0)))
	if err = errors.Join(err, graph.Destroy()); err != nil {
		return cu.ExecGraph{}, err
	}
	exec := wrap[cu.ExecGraph](unsafe.Pointer(executable))
	// Its first launch would take the memory that it wants of the device.
	if err := driver.Check(int(C.cuGraphUpload(executable, stream))); err != nil {
		return cu.ExecGraph{}, errors.Join(err, exec.Destroy())
	}
	return exec, nil
}
