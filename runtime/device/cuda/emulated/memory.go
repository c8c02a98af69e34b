//go:build cuda

package emulated

// #include "table.h"
import "C"

import (
	"slices"
	"sort"
	"unsafe"

	"llmc/runtime/device/emu"
)

//export emulatedMemInfo
func emulatedMemInfo(free, total *C.size_t) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		*free, *total = C.size_t(d.Card.Memory-d.now.used), C.size_t(d.Card.Memory)
		return C.CUDA_SUCCESS
	})
}

//export emulatedMemAlloc
func emulatedMemAlloc(address *C.CUdeviceptr, bytes C.size_t) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		if bytes == 0 {
			return C.CUDA_ERROR_INVALID_VALUE
		}
		d.counts.Allocations++
		if n := d.Faults.OutOfMemory; n > 0 && d.counts.Allocations >= n || int64(bytes) > d.Card.Memory-d.now.used {
			return C.CUDA_ERROR_OUT_OF_MEMORY
		}
		if d.Idle {
			d.now.used += int64(bytes)
			*address = C.CUdeviceptr(d.idle.take(int64(bytes)))
			return C.CUDA_SUCCESS
		}
		b, err := d.now.memory.Alloc("device memory", int(bytes))
		if err != nil {
			return C.CUDA_ERROR_OUT_OF_MEMORY
		}
		d.now.used += int64(bytes)
		d.now.buffers = append(d.now.buffers, b) // addresses only grow
		*address = C.CUdeviceptr(b.Addr())
		return C.CUDA_SUCCESS
	})
}

//export emulatedMemFree
func emulatedMemFree(address C.CUdeviceptr) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		if bytes, ok := d.idle.bytes[uint64(address)]; ok {
			d.now.used -= bytes
			delete(d.idle.bytes, uint64(address))
			return C.CUDA_SUCCESS
		}
		c := d.now
		i := slices.IndexFunc(c.buffers, func(b *emu.Buffer) bool { return b.Addr() == uint64(address) })
		if i < 0 {
			return C.CUDA_ERROR_INVALID_VALUE
		}
		c.used -= int64(len(c.buffers[i].Bytes()))
		c.memory.Free(c.buffers[i])
		c.buffers = slices.Delete(c.buffers, i, i+1)
		return C.CUDA_SUCCESS
	})
}

//export emulatedHostAlloc
func emulatedHostAlloc(memory *unsafe.Pointer, bytes C.size_t, _ C.uint) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		d.counts.PinnedAllocations++
		*memory = C.malloc(bytes)
		d.pinned[*memory] = int(bytes)
		return C.CUDA_SUCCESS
	})
}

//export emulatedHostFree
func emulatedHostFree(memory unsafe.Pointer) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		if d.pinned[memory] == 0 {
			return C.CUDA_ERROR_INVALID_VALUE
		}
		delete(d.pinned, memory)
		C.free(memory)
		return C.CUDA_SUCCESS
	})
}

// onDevice returns memory of the device that the call is for; nil where no allocation has all of it.
func (d *Driver) onDevice(address C.CUdeviceptr, bytes C.size_t) []byte {
	buffers := d.now.buffers
	i := sort.Search(len(buffers), func(i int) bool { return buffers[i].Addr() > uint64(address) }) - 1
	if i < 0 {
		return nil
	}
	data, offset := buffers[i].Bytes(), uint64(address)-buffers[i].Addr()
	if offset > uint64(len(data)) || uint64(bytes) > uint64(len(data))-offset {
		return nil
	}
	return data[offset : offset+uint64(bytes)]
}

// onHost returns pinned memory; nil where the memory is not pinned: a copy of that would wait on hardware.
func (d *Driver) onHost(memory unsafe.Pointer, bytes C.size_t) []byte {
	for base, size := range d.pinned {
		if offset := uintptr(memory) - uintptr(base); uintptr(memory) >= uintptr(base) && offset+uintptr(bytes) <= uintptr(size) {
			return unsafe.Slice((*byte)(memory), int(bytes))
		}
	}
	return nil
}

//export emulatedToDevice
func emulatedToDevice(to C.CUdeviceptr, from unsafe.Pointer, bytes C.size_t, s C.CUstream) C.CUresult {
	if d := installed; d.Idle {
		d.idle.copy(from, int(bytes))
		return C.CUDA_SUCCESS
	}
	return call(func(d *Driver) C.CUresult {
		return d.copies(unsafe.Pointer(s), d.onDevice(to, bytes), d.onHost(from, bytes))
	})
}

//export emulatedToHost
func emulatedToHost(to unsafe.Pointer, from C.CUdeviceptr, bytes C.size_t, s C.CUstream) C.CUresult {
	if installed.Idle {
		clear(unsafe.Slice((*byte)(to), int(bytes)))
		return C.CUDA_SUCCESS
	}
	return call(func(d *Driver) C.CUresult {
		if d.answers++; d.answers == d.Faults.Answer {
			return d.queue(unsafe.Pointer(s), func() C.CUresult { return C.CUresult(d.Faults.Failure) })
		}
		return d.copies(unsafe.Pointer(s), d.onHost(to, bytes), d.onDevice(from, bytes))
	})
}

//export emulatedClear
func emulatedClear(to C.CUdeviceptr, value C.uchar, bytes C.size_t, s C.CUstream) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		if d.Idle {
			return C.CUDA_SUCCESS
		}
		memory := d.onDevice(to, bytes)
		if memory == nil {
			return C.CUDA_ERROR_INVALID_VALUE
		}
		return d.queue(unsafe.Pointer(s), func() C.CUresult {
			for i := range memory {
				memory[i] = byte(value)
			}
			return C.CUDA_SUCCESS
		})
	})
}

func (d *Driver) copies(s unsafe.Pointer, to, from []byte) C.CUresult {
	if to == nil || from == nil {
		return C.CUDA_ERROR_INVALID_VALUE
	}
	d.counts.Copies++
	return d.queue(s, func() C.CUresult {
		copy(to, from)
		return C.CUDA_SUCCESS
	})
}
