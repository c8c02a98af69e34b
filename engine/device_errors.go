package engine

import "errors"

// What can be wrong with a device. Errors of devices wrap one of these where it matters to those above.
var (
	// ErrNoDevice: there is no such device here, or nothing that drives it.
	ErrNoDevice = errors.New("no such device")
	// ErrDeviceMemory: the device has no memory left for what was asked. It goes on working.
	ErrDeviceMemory = errors.New("out of device memory")
	// ErrNoDrafts: the plan keeps states of sequences, in which wrong guesses would stay.
	ErrNoDrafts = errors.New("the plan keeps a state of each sequence, from which a wrong guess can not be taken back: serve it without --draft, and take another plan to draft")
	// ErrNoAdapters: the device, or what the plan does, takes no adapters beside the model.
	ErrNoAdapters = errors.New("takes no adapters beside the model: plans that generate do, for GPUs those that llmc build --max-lora-rank 64 made; build it so, or merge the adapter with llmc build --lora")
	// ErrDeviceLost: the device does not answer any more, or what it holds is not to be trusted. Nothing can be done with the model but to close it.
	ErrDeviceLost = errors.New("the device is lost")
)
