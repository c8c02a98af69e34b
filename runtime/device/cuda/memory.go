//go:build cuda

package cuda

import (
	"fmt"

	"gorgonia.org/cu"

	"llmc/engine"
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

// Alloc implements gpu.Driver. The ranges lie in one allocation: the driver gives memory in pieces of megabytes.
func (d *device) Alloc(what string, ranges []gpu.Range) ([]gpu.Memory, error) {
	block, err := d.allocate(what, gpu.RangeBytes(ranges))
	if err != nil {
		return nil, err
	}
	var list []gpu.Memory
	for i, r := range ranges {
		list = append(list, &memory{d, r.Name, uint64(block) + uint64(gpu.RangeBytes(ranges[:i])), r.Bytes})
	}
	return list, nil
}

// allocate takes memory that is given back with the device.
func (d *device) allocate(what string, bytes int64) (p cu.DevicePtr, err error) {
	if bytes == 0 {
		return 0, d.lost
	}
	err = d.do(what, func() error {
		if p, err = cu.MemAlloc(bytes); err != nil {
			if resultOf(err) == outOfMemory {
				err = d.noRoom(what, bytes)
			}
			return err
		}
		d.memory = append(d.memory, p)
		return nil
	})
	return p, err
}

// noRoom says what was wanted, what there is, and what to do.
func (d *device) noRoom(what string, bytes int64) error {
	const gib = 1 << 30
	free, total, err := cu.MemInfo()
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s: %.2f GiB for %s, %.2f of %.2f GiB are free; give less --kv-memory, --gpu-memory-utilization, --max-batch or --max-step-tokens, or build with a smaller --quant",
		engine.ErrDeviceMemory, d.card.Name, float64(bytes)/gib, what, float64(free)/gib, float64(total)/gib)
}

// Write implements gpu.Memory. The copy is queued: data is taken to pinned memory first.
func (m *memory) Write(offset int64, data []byte) error {
	return m.inParts(offset, data, func(address uint64, part, pinned []byte) error {
		copy(pinned, part)
		m.device.queue.ToDevice(address, pinned, m.name)
		return nil
	})
}

// Read implements gpu.Memory.
func (m *memory) Read(offset int64, data []byte) error {
	return m.inParts(offset, data, func(address uint64, part, pinned []byte) error {
		m.device.queue.ToHost(pinned, address, m.name)
		if err := m.device.submit(m.name, true); err != nil {
			return err
		}
		copy(part, pinned)
		return nil
	})
}

// inParts moves data in parts for which there is pinned memory.
func (m *memory) inParts(offset int64, data []byte, move func(address uint64, part, pinned []byte) error) error {
	if err := m.check(offset, len(data)); err != nil {
		return err
	}
	for len(data) > 0 {
		pinned, err := m.device.stage(m.name, len(data))
		if err != nil {
			return err
		}
		n := len(pinned)
		if err := move(m.address+uint64(offset), data[:n], pinned); err != nil {
			return err
		}
		data, offset = data[n:], offset+int64(n)
	}
	return m.device.lost
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
