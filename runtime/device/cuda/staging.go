//go:build cuda

package cuda

import (
	"errors"
	"unsafe"

	"gorgonia.org/cu"

	"llmc/runtime/device/cuda/shim"
)

const (
	// stagingBytes of pinned memory take a step's arrays, and weights in halves.
	stagingBytes = 16 << 20
	// stagingAlign is that of each part, which the device copies in lines.
	stagingAlign = 64
)

// staging is pinned memory on the way to and from the device: what the processor can not move away and the device therefore copies by itself.
type staging struct {
	pinned []byte
	used   int         // by copies that may not be done
	sent   [2]cu.Event // of each half: its copy is done
}

func (s *staging) take() error {
	var err error
	if s.pinned, err = shim.AllocPinned(stagingBytes); err != nil {
		return err
	}
	for i := range s.sent {
		if s.sent[i], err = cu.MakeEvent(cu.DisableTiming); err != nil {
			return err
		}
	}
	return nil
}

func (s *staging) release() error {
	var errs []error
	for i := range s.sent {
		if s.sent[i] != (cu.Event{}) {
			errs = append(errs, cu.DestroyEvent(&s.sent[i]))
		}
	}
	if s.pinned != nil {
		errs = append(errs, cu.MemFreeHost(unsafe.Pointer(&s.pinned[0])))
		s.pinned = nil
	}
	return errors.Join(errs...)
}

func (s *staging) room() int { return len(s.pinned) - s.used }

// next returns memory for up to n bytes, which is in use until the queue has been waited for. There must be room.
func (s *staging) next(n int) []byte {
	part := s.pinned[s.used:min(s.used+n, len(s.pinned))]
	s.used = min((s.used+len(part)+stagingAlign-1)&^(stagingAlign-1), len(s.pinned))
	return part
}

// send copies what fits a half, once the copy before from that half is done, and returns how much that is.
func (s *staging) send(half int, to cu.DevicePtr, data []byte, stream cu.Stream) (int, error) {
	if err := s.sent[half].Synchronize(); err != nil {
		return 0, err
	}
	const bytes = stagingBytes / 2
	n := copy(s.pinned[half*bytes:(half+1)*bytes], data)
	if err := cu.MemcpyHtoDAsync(to, unsafe.Pointer(&s.pinned[half*bytes]), int64(n), stream); err != nil {
		return 0, err
	}
	return n, s.sent[half].Record(stream)
}
