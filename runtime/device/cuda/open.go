//go:build cuda

package cuda

import (
	"errors"
	"fmt"

	"gorgonia.org/cu"

	"llmc/engine"
	"llmc/runtime/device/cuda/driver"
	"llmc/runtime/device/cuda/shim"
	"llmc/runtime/device/gpu"
)

// Built tells whether this binary can use GPUs.
const Built = true

// oldestPTX is the least that programs are written in; drivers that do not read it run none of them.
const oldestPTX engine.PTXVersion = 78

// start starts the driver, and tells its version and how many devices it shows, of which there is one at least.
func start() (version engine.CUDAVersion, devices int, err error) {
	if err := driver.Start(); err != nil {
		return 0, 0, notStarted(err)
	}
	version = engine.CUDAVersion(cu.Version())
	if oldest, _ := engine.DriverFor(oldestPTX); version < oldest.CUDA {
		return 0, 0, &absent{fmt.Sprintf("the NVIDIA driver here is of CUDA %v: programs need driver %d or newer (CUDA %v)", version, oldest.Branch, oldest.CUDA)}
	}
	if devices, err = cu.NumDevices(); err == nil && devices == 0 {
		err = cu.NoDevice
	}
	if err != nil {
		return 0, 0, notStarted(err)
	}
	return version, devices, nil
}

// open starts the driver and takes the first device.
func open() (gpu.Driver, error) {
	version, _, err := start()
	if err != nil {
		return nil, err
	}
	d, err := openDevice(0, version)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// openDevice takes a device by its number among those that the driver shows.
func openDevice(number int, version engine.CUDAVersion) (*device, error) {
	of, err := cu.GetDevice(number)
	if err != nil {
		return nil, notStarted(err)
	}
	d := &device{number: of, card: gpu.Card{Driver: version}}
	if err := d.take(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// notStarted says in one line what is wrong with the driver or with what it sees.
func notStarted(err error) error {
	var missing *driver.NotFound
	switch {
	case errors.As(err, &missing):
		return &absent{"no NVIDIA driver is installed (" + missing.Reason + "): install one, or take --device cpu"}
	case resultOf(err) == noDevice:
		return &absent{"the NVIDIA driver sees no GPU; there is none, or CUDA_VISIBLE_DEVICES hides it"}
	}
	return &absent{"the NVIDIA driver does not start: " + describe(err)}
}

// take describes the device and takes what every model needs of it: the primary context, a stream and pinned memory.
func (d *device) take() error {
	var err error
	if d.card.Name, err = d.number.Name(); err != nil {
		return fmt.Errorf("name of GPU 0: %s", describe(err))
	}
	var major, minor int
	for _, a := range []struct {
		attribute cu.DeviceAttribute
		value     *int
	}{{cu.ComputeCapabilityMajor, &major}, {cu.ComputeCapabilityMinor, &minor}, {shim.SharedMemoryOptIn, &d.card.SharedMemory}} {
		if *a.value, err = d.number.Attribute(a.attribute); err != nil {
			return fmt.Errorf("attribute %d of %s: %s", a.attribute, d.card.Name, describe(err))
		}
	}
	d.card.Capability = 10*major + minor
	if err := d.takeCores(); err != nil {
		return fmt.Errorf("multiprocessors of %s: %s", d.card.Name, describe(err))
	}
	if d.context, err = d.number.RetainPrimaryCtx(); err != nil {
		return d.judge("a context on "+d.card.Name, err)
	}
	d.retained = true
	return d.do("a stream on "+d.card.Name, func() error {
		if d.card.Memory, _, err = cu.MemInfo(); err != nil {
			return err
		}
		if d.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
			return err
		}
		if err := d.marks.take(); err != nil {
			return err
		}
		return d.staging.take()
	})
}
