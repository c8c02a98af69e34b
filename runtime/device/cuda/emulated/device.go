//go:build cuda

package emulated

// #include "table.h"
import "C"

import (
	"unsafe"

	"llmc/runtime/device/cuda/driver"
)

//export emulatedInit
func emulatedInit(C.uint) C.CUresult {
	d := installed
	name := C.CString("CUDA_CACHE_PATH") // as C sees it
	defer C.free(unsafe.Pointer(name))
	d.told = C.GoString(C.getenv(name))
	if d.Faults.Start == 0 && d.Devices == 0 {
		return C.CUDA_ERROR_NO_DEVICE
	}
	return C.CUresult(d.Faults.Start)
}

// words are the names and texts of results.
var words = map[driver.Result][2]*C.char{}

// wordsOf makes texts that are never given back, as those of the driver are constants.
func wordsOf(r C.CUresult) [2]*C.char {
	d := installed
	d.mu.Lock()
	defer d.mu.Unlock()
	w, ok := words[driver.Result(r)]
	if !ok {
		name, known := names[driver.Result(r)]
		if !known {
			name = "CUDA_ERROR_EMULATED"
		}
		w = [2]*C.char{C.CString(name), C.CString("emulated failure")}
		words[driver.Result(r)] = w
	}
	return w
}

// names of the results that tests look for.
var names = map[driver.Result]string{2: "CUDA_ERROR_OUT_OF_MEMORY", 218: "CUDA_ERROR_INVALID_PTX", 700: "CUDA_ERROR_ILLEGAL_ADDRESS", 719: "CUDA_ERROR_LAUNCH_FAILED",
	803: "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"}

//export emulatedErrorName
func emulatedErrorName(r C.CUresult, text **C.char) C.CUresult {
	*text = wordsOf(r)[0]
	return C.CUDA_SUCCESS
}

//export emulatedErrorString
func emulatedErrorString(r C.CUresult, text **C.char) C.CUresult {
	*text = wordsOf(r)[1]
	return C.CUDA_SUCCESS
}

//export emulatedVersion
func emulatedVersion(version *C.int) C.CUresult {
	*version = C.int(installed.Card.Driver)
	return C.CUDA_SUCCESS
}

//export emulatedDeviceCount
func emulatedDeviceCount(count *C.int) C.CUresult {
	*count = C.int(installed.Devices)
	return C.CUDA_SUCCESS
}

//export emulatedDevice
func emulatedDevice(device *C.CUdevice, ordinal C.int) C.CUresult {
	if ordinal < 0 || int(ordinal) >= installed.Devices {
		return C.CUDA_ERROR_INVALID_DEVICE
	}
	*device = C.CUdevice(ordinal)
	return C.CUDA_SUCCESS
}

//export emulatedDeviceName
func emulatedDeviceName(name *C.char, room C.int, _ C.CUdevice) C.CUresult {
	out := unsafe.Slice((*byte)(unsafe.Pointer(name)), int(room))
	out[copy(out[:room-1], installed.Card.Name)] = 0
	return C.CUDA_SUCCESS
}

//export emulatedDeviceAttribute
func emulatedDeviceAttribute(value *C.int, attribute C.CUdevice_attribute, _ C.CUdevice) C.CUresult {
	card := &installed.Card
	v, ok := map[C.CUdevice_attribute]int{
		C.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:          card.Capability / 10,
		C.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:          card.Capability % 10,
		C.CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: card.SharedMemory,
		C.CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH:                min(card.Cores, 1),
		C.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:              card.Cores,
	}[attribute]
	if !ok {
		return C.CUDA_ERROR_INVALID_VALUE
	}
	*value = C.int(v)
	return C.CUDA_SUCCESS
}
