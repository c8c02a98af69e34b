//go:build cuda

package cuda

import (
	"fmt"
	"unsafe"

	"gorgonia.org/cu"

	"llmc/runtime/device/cuda/shim"
	"llmc/runtime/device/gpu"
)

// mostMarks is how many marks there may be that have not been awaited.
const mostMarks = 2

// marks are places in the queue that can be waited for, in turn.
type marks struct {
	events [mostMarks]cu.Event
	made   int // marks so far
}

func (m *marks) take() error {
	for i := range m.events {
		var err error
		if m.events[i], err = cu.MakeEvent(cu.DisableTiming); err != nil {
			return err
		}
	}
	return nil
}

func (m *marks) release() (errs []error) {
	for i := range m.events {
		if m.events[i] != (cu.Event{}) {
			errs = append(errs, cu.DestroyEvent(&m.events[i]))
		}
	}
	return errs
}

// Mark implements gpu.Driver.
func (d *device) Mark() (gpu.Mark, error) {
	mark := gpu.Mark(d.marks.made)
	d.marks.made++
	d.queue.Event(d.marks.events[int(mark)%mostMarks], "the end of a step")
	return mark, d.submit("a step", false)
}

// Await implements gpu.Driver.
func (d *device) Await(m gpu.Mark) error {
	return d.do("a step", func() error {
		if err := d.marks.events[int(m)%mostMarks].Synchronize(); err != nil {
			return err
		}
		if int(m) == d.marks.made-1 && d.queue.Len() == 0 {
			d.staging.used = 0 // nothing is on its way
		}
		return nil
	})
}

// Pinned implements gpu.Driver.
func (d *device) Pinned(name string, bytes int64) ([]byte, error) {
	var pinned []byte
	err := d.do(name, func() (err error) {
		if pinned, err = shim.AllocPinned(int(max(bytes, 1))); err == nil {
			d.pinned = append(d.pinned, unsafe.Pointer(&pinned[0]))
		}
		return err
	})
	return pinned, err
}

// mostGap is how much memory between two arrays is copied along rather than left out: the start of a copy takes as long as some tens of KiB.
const mostGap = 32 << 10

// Send implements gpu.Driver. Arrays that lie in the host's memory as they lie in the device's go in one copy.
func (d *device) Send(list []gpu.Transfer) error {
	for i := 0; i < len(list); {
		first := list[i].To.(*memory)
		if err := first.check(0, len(list[i].Data)); err != nil {
			return err
		}
		from := unsafe.Pointer(unsafe.SliceData(list[i].Data))
		length := len(list[i].Data)
		for i++; i < len(list); i++ {
			next := list[i].To.(*memory)
			if err := next.check(0, len(list[i].Data)); err != nil {
				return err
			}
			offset := int(next.address - first.address)
			if offset < length || offset-length > mostGap || uintptr(unsafe.Pointer(unsafe.SliceData(list[i].Data)))-uintptr(from) != uintptr(offset) {
				break
			}
			length = offset + len(list[i].Data)
		}
		// In one allocation of pinned memory, or the addresses would not be as far apart.
		d.queue.ToDevice(first.address, unsafe.Slice((*byte)(from), length), first.name)
	}
	return d.lost
}

// Clear implements gpu.Driver.
func (d *device) Clear(to gpu.Memory, offset, bytes int64) error {
	m := to.(*memory)
	if err := m.check(offset, int(bytes)); err != nil {
		return err
	}
	d.queue.Clear(m.address+uint64(offset), bytes, m.name)
	return d.lost
}

// Fetch implements gpu.Driver.
func (d *device) Fetch(to []byte, from gpu.Memory, offset int64) error {
	m, ok := from.(*memory)
	if !ok {
		return fmt.Errorf("memory of another device")
	}
	if err := m.check(offset, len(to)); err != nil {
		return err
	}
	d.queue.ToHost(to, m.address+uint64(offset), m.name)
	return d.lost
}
