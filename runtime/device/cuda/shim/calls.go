//go:build cuda

package shim

// #include "cuda.h"
import "C"

import (
	"fmt"
	"unsafe"

	"gorgonia.org/cu"

	"llmc/runtime/device/cuda/driver"
)

// SharedMemoryOptIn is the attribute for the dynamic shared memory that a CTA can have when its function asks for it. cu does not have it.
const SharedMemoryOptIn cu.DeviceAttribute = C.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN

// Cooperative is the attribute for whether kernels can be launched whose CTAs wait for each other. cu does not have it.
const Cooperative cu.DeviceAttribute = C.CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH

// AllowSharedMemory lets a function be launched with so many bytes of dynamic shared memory; without, there are 48 KiB.
func AllowSharedMemory(f cu.Function, bytes int) error {
	return driver.Check(int(C.cuFuncSetAttribute(C.CUfunction(handle(&f)), C.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, C.int(bytes))))
}

// AllocPinned takes memory of the host that the device copies from and to by itself. cu.MemFreeHost gives it back.
func AllocPinned(bytes int) ([]byte, error) {
	if bytes <= 0 {
		return nil, fmt.Errorf("%d bytes of pinned memory", bytes)
	}
	var p unsafe.Pointer
	if err := driver.Check(int(C.cuMemHostAlloc(&p, C.size_t(bytes), C.CU_MEMHOSTALLOC_PORTABLE))); err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(p), bytes), nil
}
