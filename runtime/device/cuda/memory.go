//go:build cuda

package cuda

import (
	"fmt"

	"gorgonia.org/cu"

	"llmc/runtime/device/gpu"
)

// memory is a range of the device's memory.
type memory struct {
	device  *device
	name    string
	address uint64
	bytes   int64
}

// Addr implements gpu.Memory.
func (m *memory) Addr() uint64 { return m.address }

func (m *memory) check(offset int64, n int) error {
	if offset < 0 || int64(n) > m.bytes-offset {
		return fmt.Errorf("%d bytes at %d of %s, which has %d", n, offset, m.name, m.bytes)
	}
	return nil
}

// stage returns pinned memory for up to n bytes on their way; where there is none left, what is queued is waited for.
func (d *device) stage(what string, n int) ([]byte, error) {
	if d.staging.room() == 0 {
		if err := d.submit(what, true); err != nil {
			return nil, err
		}
	}
	return d.staging.next(n), nil
}

// Write implements gpu.Memory. The copy is queued: data is taken to pinned memory first.
func (m *memory) Write(offset int64, data []byte) error {
	if err := m.check(offset, len(data)); err != nil {
		return err
	}
	d := m.device
	for len(data) > 0 {
		part, err := d.stage(m.name, len(data))
		if err != nil {
			return err
		}
		copy(part, data)
		d.queue.ToDevice(m.address+uint64(offset), part, m.name)
		data, offset = data[len(part):], offset+int64(len(part))
	}
	return d.lost
}

// Read implements gpu.Memory.
func (m *memory) Read(offset int64, data []byte) error {
	if err := m.check(offset, len(data)); err != nil {
		return err
	}
	d := m.device
	for len(data) > 0 {
		part, err := d.stage(m.name, len(data))
		if err != nil {
			return err
		}
		d.queue.ToHost(part, m.address+uint64(offset), m.name)
		if err := d.submit(m.name, true); err != nil {
			return err
		}
		copy(data, part)
		data, offset = data[len(part):], offset+int64(len(part))
	}
	return d.lost
}

// Constant implements gpu.Driver. A page of the file is read while the one before it is on its way: the halves of the pinned memory take turns.
func (d *device) Constant(name string, data []byte) (gpu.Memory, error) {
	m, err := d.Alloc(name, int64(len(data)))
	if err != nil {
		return nil, err
	}
	if err := d.submit(name, true); err != nil {
		return nil, err
	}
	return m, d.do(name, func() error {
		to := cu.DevicePtr(m.Addr())
		for i := 0; len(data) > 0; i++ {
			n, err := d.staging.send(i%2, to, data, d.stream)
			if err != nil {
				return err
			}
			data, to = data[n:], to+cu.DevicePtr(n)
		}
		return d.stream.Synchronize()
	})
}
