//go:build cuda

package emulated

// #include "table.h"
import "C"

import "unsafe"

// ctasOfCore is how many CTAs of a function a multiprocessor has room for: as if registers allowed one.
func (d *Driver) ctasOfCore(f *function, shared int) int {
	if shared > f.shared {
		return 0
	}
	return 1
}

//export emulatedOccupancy
func emulatedOccupancy(ctas *C.int, f C.CUfunction, _ C.int, shared C.size_t) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		fn, ok := find[*function](d, unsafe.Pointer(f))
		if !ok {
			return C.CUDA_ERROR_INVALID_HANDLE
		}
		*ctas = C.int(d.ctasOfCore(fn, int(shared)))
		return C.CUDA_SUCCESS
	})
}

//export emulatedLaunchTogether
func emulatedLaunchTogether(f C.CUfunction, gx, gy, gz, bx, by, bz, shared C.uint, s C.CUstream, parameters *unsafe.Pointer) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		fn, ok := find[*function](d, unsafe.Pointer(f))
		if ok && int(gx*gy*gz) > d.ctasOfCore(fn, int(shared))*d.Card.Cores {
			return C.CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE
		}
		d.counts.Together++
		return d.launchFunction(f, [3]uint32{uint32(gx), uint32(gy), uint32(gz)}, [3]uint32{uint32(bx), uint32(by), uint32(bz)}, int(shared), s, parameters)
	})
}
