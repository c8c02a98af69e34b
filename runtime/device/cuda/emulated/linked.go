//go:build cuda

package emulated

// #include "table.h"
import "C"

import "unsafe"

//export emulatedStreamWait
func emulatedStreamWait(s C.CUstream, e C.CUevent, flags C.uint) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		ev, ok := find[*event](d, unsafe.Pointer(e))
		if !ok || flags != 0 {
			return C.CUDA_ERROR_INVALID_HANDLE
		}
		if ev.stream == nil || d.Faults.Deaf {
			return C.CUDA_SUCCESS
		}
		c, other, until := d.now, ev.stream, ev.until // as it was recorded last
		return d.queue(unsafe.Pointer(s), func() C.CUresult {
			d.mu.Lock()
			defer d.mu.Unlock()
			if answer := d.run(other, until); answer != 0 {
				return answer
			}
			c.memory.Learn(ev.known)
			return C.CUDA_SUCCESS
		})
	})
}

//export emulatedFromPeer
func emulatedFromPeer(to C.CUdeviceptr, own C.CUcontext, from C.CUdeviceptr, theirs C.CUcontext, bytes C.size_t, s C.CUstream) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		c, other := d.of(unsafe.Pointer(own)), d.of(unsafe.Pointer(theirs))
		if c != d.now || other == nil {
			return C.CUDA_ERROR_INVALID_CONTEXT
		}
		d.counts.Handed++
		return d.queue(unsafe.Pointer(s), func() C.CUresult {
			if err := c.memory.CopyFrom(other.memory, uint64(to), uint64(from), int64(bytes), d.Options.Races); err != nil {
				d.mu.Lock()
				defer d.mu.Unlock()
				d.fault = err
				return C.CUDA_ERROR_ILLEGAL_ADDRESS
			}
			return C.CUDA_SUCCESS
		})
	})
}
