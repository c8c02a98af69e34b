//go:build cuda

package emulated

// #include "table.h"
import "C"

import (
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"llmc/engine"
	"llmc/runtime/device/emu"
)

// function is an entry of a module with the dynamic shared memory that it may have.
type function struct {
	kernel *emu.Kernel
	shared int
}

const sharedWithoutAsking = 48 << 10

// load makes a module of PTX, or of what begins as an ELF file and goes on as PTX, in the place of code for GPUs that there are.
func (d *Driver) load(module *C.CUmodule, image unsafe.Pointer) (C.CUresult, string) {
	text, assembled := strings.CutPrefix(C.GoString((*C.char)(image)), elf.ELFMAG)
	if assembled && d.Faults.OldCubins {
		return C.CUDA_ERROR_NO_BINARY_FOR_GPU, ""
	}
	m, answer, said := d.parse(text)
	if answer != 0 {
		return answer, said
	}
	p := d.handle(m)
	d.functions[p] = map[string]unsafe.Pointer{}
	if assembled {
		d.counts.Cubins++
	} else {
		d.counts.Texts++
	}
	*module = C.CUmodule(p)
	return C.CUDA_SUCCESS, ""
}

// parse reads a text, and says what a driver would that does not take it.
func (d *Driver) parse(text string) (m *emu.Module, answer C.CUresult, said string) {
	version, err := engine.VersionOfPTX([]byte(text))
	if err != nil {
		return nil, C.CUDA_ERROR_INVALID_PTX, err.Error()
	}
	if oldest, known := engine.DriverFor(version); !known || oldest.CUDA > d.Card.Driver {
		return nil, C.CUDA_ERROR_UNSUPPORTED_PTX_VERSION, fmt.Sprintf("Unsupported .version %v", version)
	}
	if m, err = emu.Load(text); err == nil {
		err = emu.CheckTarget(m.Target(), fmt.Sprintf("sm%d", d.Card.Capability))
	}
	if err != nil {
		return nil, C.CUDA_ERROR_INVALID_PTX, err.Error()
	}
	return m, C.CUDA_SUCCESS, ""
}

//export emulatedLoad
func emulatedLoad(module *C.CUmodule, image unsafe.Pointer) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		answer, _ := d.load(module, image)
		return answer
	})
}

//export emulatedLoadWith
func emulatedLoadWith(module *C.CUmodule, image unsafe.Pointer, n C.uint, options *C.CUjit_option, values *unsafe.Pointer) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		answer, said := d.load(module, image)
		var log unsafe.Pointer
		room := 0
		for i, o := range unsafe.Slice(options, int(n)) {
			slot := unsafe.Add(unsafe.Pointer(values), 8*i)
			switch o {
			case C.CU_JIT_ERROR_LOG_BUFFER:
				log = *(*unsafe.Pointer)(slot)
			case C.CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
				room = int(*(*uint32)(slot))
			}
		}
		if log != nil && room > 0 {
			out := unsafe.Slice((*byte)(log), room)
			out[copy(out[:room-1], said)] = 0
		}
		return answer
	})
}

//export emulatedUnload
func emulatedUnload(module C.CUmodule) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		for _, f := range d.functions[unsafe.Pointer(module)] {
			drop[*function](d, f)
		}
		delete(d.functions, unsafe.Pointer(module))
		return drop[*emu.Module](d, unsafe.Pointer(module))
	})
}

//export emulatedFunction
func emulatedFunction(f *C.CUfunction, module C.CUmodule, name *C.char) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		m, ok := find[*emu.Module](d, unsafe.Pointer(module))
		if !ok {
			return C.CUDA_ERROR_INVALID_HANDLE
		}
		known := d.functions[unsafe.Pointer(module)]
		entry := C.GoString(name)
		if known[entry] == nil {
			kernel, err := m.Kernel(entry)
			if err != nil {
				return C.CUDA_ERROR_NOT_FOUND
			}
			known[entry] = d.handle(&function{kernel, sharedWithoutAsking})
		}
		*f = C.CUfunction(known[entry])
		return C.CUDA_SUCCESS
	})
}

//export emulatedFunctionAttribute
func emulatedFunctionAttribute(value *C.int, attribute C.CUfunction_attribute, f C.CUfunction) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		fn, ok := find[*function](d, unsafe.Pointer(f))
		if !ok || attribute != C.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES {
			return C.CUDA_ERROR_INVALID_VALUE
		}
		*value = C.int(fn.kernel.StaticShared())
		return C.CUDA_SUCCESS
	})
}

//export emulatedSetFunctionAttribute
func emulatedSetFunctionAttribute(f C.CUfunction, attribute C.CUfunction_attribute, value C.int) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		fn, ok := find[*function](d, unsafe.Pointer(f))
		if !ok || attribute != C.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 || int(value)+fn.kernel.StaticShared() > d.Card.SharedMemory {
			return C.CUDA_ERROR_INVALID_VALUE
		}
		fn.shared = int(value)
		return C.CUDA_SUCCESS
	})
}

//export emulatedLaunchWith
func emulatedLaunchWith(c *C.CUlaunchConfig, f C.CUfunction, parameters, extra *unsafe.Pointer) C.CUresult {
	early := false
	for _, a := range unsafe.Slice(c.attrs, int(c.numAttrs)) {
		if a.id != C.CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION || installed.Card.Capability < 90 {
			return C.CUDA_ERROR_NOT_SUPPORTED
		}
		early = true
	}
	answer := emulatedLaunch(f, c.gridDimX, c.gridDimY, c.gridDimZ, c.blockDimX, c.blockDimY, c.blockDimZ, c.sharedMemBytes, c.hStream, parameters, extra)
	if early && answer == C.CUDA_SUCCESS {
		installed.mu.Lock()
		installed.counts.Early++
		installed.mu.Unlock()
	}
	return answer
}

//export emulatedLaunch
func emulatedLaunch(f C.CUfunction, gx, gy, gz, bx, by, bz, shared C.uint, s C.CUstream, parameters, extra *unsafe.Pointer) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		if extra != nil {
			return C.CUDA_ERROR_INVALID_VALUE
		}
		return d.launchFunction(f, [3]uint32{uint32(gx), uint32(gy), uint32(gz)}, [3]uint32{uint32(bx), uint32(by), uint32(bz)}, int(shared), s, parameters)
	})
}

// launchFunction queues a launch.
func (d *Driver) launchFunction(f C.CUfunction, grid, block [3]uint32, shared int, s C.CUstream, parameters *unsafe.Pointer) C.CUresult {
	fn, ok := find[*function](d, unsafe.Pointer(f))
	if !ok || shared > fn.shared || slices.Contains(grid[:], 0) {
		return C.CUDA_ERROR_INVALID_VALUE
	}
	config := emu.Config{Grid: grid, Block: block, Shared: shared}
	for i, size := range fn.kernel.Params() {
		if size > 8 {
			return C.CUDA_ERROR_NOT_SUPPORTED
		}
		var slot [8]byte // the driver reads what the parameter has, when it is called
		copy(slot[:], unsafe.Slice(*(**byte)(unsafe.Add(unsafe.Pointer(parameters), 8*i)), size))
		config.Args = append(config.Args, binary.LittleEndian.Uint64(slot[:]))
	}
	c := d.now
	return d.queue(unsafe.Pointer(s), func() C.CUresult { return d.launch(c, fn.kernel, config) })
}

// launch runs a kernel on a card. Its faults are those that hardware finds too, and others that it does not.
func (d *Driver) launch(c *card, k *emu.Kernel, config emu.Config) C.CUresult {
	d.mu.Lock()
	d.counts.Launches++
	fails := d.counts.Launches == d.Faults.Launch
	d.mu.Unlock()
	switch {
	case fails:
		c.memory.Fail(errors.New("a launch failed, as was asked for"))
		return C.CUresult(d.Faults.Failure)
	case d.Idle:
		return C.CUDA_SUCCESS
	}
	_, err := k.Launch(context.Background(), c.memory, config, d.Options)
	if err == nil {
		return C.CUDA_SUCCESS
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = err
	return C.CUDA_ERROR_LAUNCH_FAILED
}
