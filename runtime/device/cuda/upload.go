//go:build cuda

package cuda

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"gorgonia.org/cu"

	"llmc/runtime/device/cuda/shim"
	"llmc/runtime/device/gpu"
)

const (
	// pieceBytes go to the device in one copy.
	pieceBytes = 4 << 20
	// mostCarriers read pieces into pinned memory. One does 6 to 10 GB/s of what is in memory already; the fastest bus takes 55.
	mostCarriers = 12
	// aheadPieces is how far a file is read ahead of the carriers.
	aheadPieces = 16
)

// upload brings constants to one range of the device's memory. Carriers take pieces of the range, one after the other, whichever is free.
type upload struct {
	device    *device
	constants []gpu.Constant
	starts    []int64 // of each constant in the range
	bytes     int64
	address   uint64
	next      atomic.Int64 // piece
	stop      atomic.Bool
	carriers  sync.WaitGroup
	mu        sync.Mutex
	errs      []error
}

// Constants implements gpu.Driver. The weights take one allocation.
func (d *device) Constants(list []gpu.Constant) (gpu.Upload, error) {
	u := &upload{device: d, constants: list}
	for _, c := range list {
		u.starts = append(u.starts, u.bytes)
		u.bytes += gpu.RangeBytes([]gpu.Range{{Name: c.Name, Bytes: c.Size()}})
	}
	block, err := d.allocate("weights", u.bytes)
	if err != nil {
		return nil, err
	}
	u.address = uint64(block)
	d.uploads = append(d.uploads, u)
	pieces := (u.bytes + pieceBytes - 1) / pieceBytes
	u.readAhead(0, 2*aheadPieces)
	for range min(pieces, mostCarriers, int64(runtime.NumCPU())) {
		u.carriers.Add(1)
		go u.carry()
	}
	return u, nil
}

// Addr implements gpu.Upload.
func (u *upload) Addr(i int) uint64 { return u.address + uint64(u.starts[i]) }

// Wait implements gpu.Upload.
func (u *upload) Wait() error {
	u.carriers.Wait()
	return u.device.judge("weights", errors.Join(u.errs...))
}

// cancel comes back when nothing is on its way any more.
func (u *upload) cancel() {
	u.stop.Store(true)
	u.carriers.Wait()
}

// carry brings pieces until there are no more.
func (u *upload) carry() {
	defer u.carriers.Done()
	err := u.device.inContext(func() error {
		var c carrier
		err := c.take()
		for err == nil && !u.stop.Load() {
			piece := u.next.Add(1) - 1
			at := piece * pieceBytes
			if at >= u.bytes {
				break
			}
			if piece%aheadPieces == 0 {
				u.readAhead(piece+aheadPieces, aheadPieces)
			}
			err = c.bring(u, at, min(pieceBytes, u.bytes-at))
		}
		return errors.Join(err, c.release())
	})
	if err != nil {
		u.stop.Store(true)
		u.mu.Lock()
		defer u.mu.Unlock()
		u.errs = append(u.errs, err)
	}
}

// first is the constant that lies at a place of the range, or the last before it.
func (u *upload) first(at int64) int {
	i, found := slices.BinarySearch(u.starts, at)
	if !found {
		i--
	}
	return max(i, 0)
}

// fill reads what lies in a part of the range. Bytes between constants stay as they are: nobody reads them.
func (u *upload) fill(to []byte, at int64) error {
	for i, end := u.first(at), at+int64(len(to)); i < len(u.starts) && u.starts[i] < end; i++ {
		c := &u.constants[i]
		from, until := max(at, u.starts[i]), min(end, u.starts[i]+c.Size())
		if from >= until {
			continue
		}
		if err := c.Read(to[from-at:until-at], from-u.starts[i]); err != nil {
			return err
		}
	}
	return nil
}

// readAhead has pieces read from the disk.
func (u *upload) readAhead(piece, pieces int64) {
	from, to := piece*pieceBytes, (piece+pieces)*pieceBytes
	for i := u.first(from); i < len(u.starts) && u.starts[i] < to; i++ {
		u.constants[i].ReadAhead(max(from-u.starts[i], 0), to-max(from, u.starts[i]))
	}
}

// carrier is two buffers that take turns: one is filled while the device reads the other.
type carrier struct {
	stream cu.Stream
	pinned [2][]byte
	sent   [2]cu.Event
	turn   int
}

func (c *carrier) take() (err error) {
	if c.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
		return err
	}
	for i := range c.pinned {
		if c.sent[i], err = cu.MakeEvent(cu.DisableTiming); err != nil {
			return err
		}
		if c.pinned[i], err = shim.AllocPinned(pieceBytes); err != nil {
			return err
		}
	}
	return nil
}

// bring copies a part of the range once the buffer whose turn it is has been read.
func (c *carrier) bring(u *upload, at, bytes int64) error {
	c.turn ^= 1
	buffer, sent := c.pinned[c.turn][:bytes], &c.sent[c.turn]
	if err := sent.Synchronize(); err != nil {
		return err
	}
	if err := u.fill(buffer, at); err != nil {
		return err
	}
	if err := cu.MemcpyHtoDAsync(cu.DevicePtr(u.address+uint64(at)), unsafe.Pointer(&buffer[0]), bytes, c.stream); err != nil {
		return err
	}
	return sent.Record(c.stream)
}

// release waits for what is on its way and gives everything back.
func (c *carrier) release() error {
	var errs []error
	if c.stream != (cu.Stream{}) {
		errs = append(errs, c.stream.Synchronize())
	}
	for i := range c.pinned {
		if c.pinned[i] != nil {
			errs = append(errs, cu.MemFreeHost(unsafe.Pointer(&c.pinned[i][0])))
		}
		if c.sent[i] != (cu.Event{}) {
			errs = append(errs, cu.DestroyEvent(&c.sent[i]))
		}
	}
	if c.stream != (cu.Stream{}) {
		errs = append(errs, c.stream.Destroy())
	}
	return errors.Join(errs...)
}
