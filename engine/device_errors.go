package engine

import "errors"

// What can be wrong with a device. Errors of devices wrap one of these where it matters to those above.
var (
	// ErrNoDevice: there is no such device here, or nothing that drives it.
	ErrNoDevice = errors.New("no such device")
	// ErrDeviceMemory: the device has no memory left for what was asked. It goes on working.
	ErrDeviceMemory = errors.New("out of device memory")
	// ErrDeviceLost: the device does not answer any more, or what it holds is not to be trusted. Nothing can be done with the model but to close it.
	ErrDeviceLost = errors.New("the device is lost")
)
