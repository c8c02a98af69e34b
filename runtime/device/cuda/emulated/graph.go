//go:build cuda

package emulated

// #include "table.h"
import "C"

import (
	"slices"
	"unsafe"
)

// graph is work that was captured, executable what can be launched of it.
type (
	graph      struct{ work []work }
	executable struct {
		work     []work
		uploaded bool
	}
)

//export emulatedBeginCapture
func emulatedBeginCapture(s C.CUstream, _ C.CUstreamCaptureMode) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		st, ok := find[*stream](d, unsafe.Pointer(s))
		if !ok || st.capture != nil {
			return C.CUDA_ERROR_ILLEGAL_STATE
		}
		st.capture = &graph{}
		return C.CUDA_SUCCESS
	})
}

//export emulatedEndCapture
func emulatedEndCapture(s C.CUstream, g *C.CUgraph) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		st, ok := find[*stream](d, unsafe.Pointer(s))
		if !ok || st.capture == nil {
			return C.CUDA_ERROR_ILLEGAL_STATE
		}
		*g = C.CUgraph(d.handle(st.capture))
		st.capture = nil
		d.counts.Captures++
		return C.CUDA_SUCCESS
	})
}

//export emulatedInstantiate
func emulatedInstantiate(e *C.CUgraphExec, g C.CUgraph, _ C.ulonglong) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		captured, ok := find[*graph](d, unsafe.Pointer(g))
		switch {
		case !ok:
			return C.CUDA_ERROR_INVALID_HANDLE
		case d.Faults.NoGraphs:
			return C.CUDA_ERROR_OUT_OF_MEMORY
		}
		*e = C.CUgraphExec(d.handle(&executable{work: slices.Clone(captured.work)}))
		return C.CUDA_SUCCESS
	})
}

//export emulatedGraphUpload
func emulatedGraphUpload(e C.CUgraphExec, s C.CUstream) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		x, ok := find[*executable](d, unsafe.Pointer(e))
		if !ok {
			return C.CUDA_ERROR_INVALID_HANDLE
		}
		x.uploaded = true
		return d.queue(unsafe.Pointer(s), func() C.CUresult { return C.CUDA_SUCCESS })
	})
}

//export emulatedGraphLaunch
func emulatedGraphLaunch(e C.CUgraphExec, s C.CUstream) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		x, ok := find[*executable](d, unsafe.Pointer(e))
		switch {
		case !ok:
			return C.CUDA_ERROR_INVALID_HANDLE
		case !x.uploaded: // hardware would take memory for it now
			return C.CUDA_ERROR_OUT_OF_MEMORY
		}
		d.counts.Replays++
		return d.queue(unsafe.Pointer(s), func() C.CUresult {
			for _, w := range x.work {
				if answer := w(); answer != 0 {
					return answer
				}
			}
			return C.CUDA_SUCCESS
		})
	})
}

//export emulatedGraphDestroy
func emulatedGraphDestroy(g C.CUgraph) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		return drop[*graph](d, unsafe.Pointer(g))
	})
}

//export emulatedGraphExecDestroy
func emulatedGraphExecDestroy(e C.CUgraphExec) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		return drop[*executable](d, unsafe.Pointer(e))
	})
}
