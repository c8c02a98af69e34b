package emu

import (
	"context"
	"fmt"

	"llmc/engine"
	"llmc/runtime/device/gpu"
)

// Device runs GPU plans without a GPU: slowly, and strictly. Options say how.
type Device struct{ Options Options }

// Name returns "emu".
func (Device) Name() string { return "emu" }

// Load implements engine.Device. The emulator has every architecture's instructions, so it runs the newest program of the plan.
func (d Device) Load(plan *engine.Plan, settings engine.Settings) (engine.Model, error) {
	d.Options.Workers = settings.Threads
	return gpu.Load(plan, &driver{options: d.Options, memory: NewMemory()}, settings)
}

// newestCapability is that of the newest GPU whose instructions the emulator has.
const newestCapability = 90

// emulatedMemory is what the emulated card has; it takes of the machine's memory what is in use.
const emulatedMemory = 4 << 30

// driver is the emulated card.
type driver struct {
	options Options
	memory  *Memory
}

func (*driver) Capability() int    { return newestCapability }
func (*driver) TotalMemory() int64 { return emulatedMemory }
func (*driver) Finish() error      { return nil } // launches return when they are done
func (*driver) Close() error       { return nil }

// Load implements gpu.Driver.
func (*driver) Load(ptx string) (gpu.Code, error) {
	m, err := Load(ptx)
	return code{m}, err
}

type code struct{ *Module }

// Entry implements gpu.Code.
func (c code) Entry(name string) (gpu.Kernel, error) { return c.Kernel(name) }

// Alloc implements gpu.Driver.
func (d *driver) Alloc(name string, bytes int64) (gpu.Memory, error) {
	b, err := d.memory.Alloc(name, int(bytes))
	return memory{b}, err
}

// Constant implements gpu.Driver: the data is used where it lies.
func (d *driver) Constant(name string, data []byte) (gpu.Memory, error) {
	b, err := d.memory.Wrap(name, data, true)
	return memory{b}, err
}

// Launch implements gpu.Driver.
func (d *driver) Launch(l *gpu.Launch) error {
	config := Config{Grid: l.Grid, Block: [3]uint32{l.Threads, 1, 1}, Shared: int(l.Shared), Args: l.Args}
	_, err := l.Kernel.(*Kernel).Launch(context.Background(), d.memory, config, d.options)
	return err
}

// memory is a buffer as gpu sees it.
type memory struct{ *Buffer }

// Write implements gpu.Memory.
func (m memory) Write(offset int64, data []byte) error {
	if offset < 0 || offset+int64(len(data)) > int64(len(m.data)) {
		return fmt.Errorf("%d bytes at %d of buffer %s, which has %d", len(data), offset, m.name, len(m.data))
	}
	copy(m.data[offset:], data)
	return nil
}

// Read implements gpu.Memory.
func (m memory) Read(offset int64, data []byte) error {
	if offset < 0 || offset+int64(len(data)) > int64(len(m.data)) {
		return fmt.Errorf("%d bytes at %d of buffer %s, which has %d", len(data), offset, m.name, len(m.data))
	}
	copy(data, m.data[offset:])
	return nil
}
