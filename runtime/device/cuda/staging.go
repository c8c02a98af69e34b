//go:build cuda

package cuda

import (
	"unsafe"

	"gorgonia.org/cu"

	"llmc/runtime/device/cuda/shim"
)

const (
	// stagingBytes of pinned memory take a step's arrays.
	stagingBytes = 16 << 20
	// stagingAlign is that of each part, which the device copies in lines.
	stagingAlign = 64
)

// staging is pinned memory on the way to and from the device: what the processor can not move away and the device therefore copies by itself.
type staging struct {
	pinned []byte
	used   int // by copies that may not be done
}

func (s *staging) take() (err error) {
	s.pinned, err = shim.AllocPinned(stagingBytes)
	return err
}

func (s *staging) release() error {
	if s.pinned == nil {
		return nil
	}
	p := unsafe.Pointer(&s.pinned[0])
	s.pinned = nil
	return cu.MemFreeHost(p)
}

func (s *staging) room() int { return len(s.pinned) - s.used }

// next returns memory for up to n bytes, which is in use until the queue has been waited for. There must be room.
func (s *staging) next(n int) []byte {
	part := s.pinned[s.used:min(s.used+n, len(s.pinned))]
	s.used = min((s.used+len(part)+stagingAlign-1)&^(stagingAlign-1), len(s.pinned))
	return part
}
