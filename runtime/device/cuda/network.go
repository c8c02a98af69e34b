//go:build cuda

package cuda

import (
	"fmt"

	"llmc/engine"
	"llmc/runtime/device/cuda/nccl"
	"llmc/runtime/device/cuda/shim"
	"llmc/runtime/device/gpu"
)

// Network implements gpu.Networked.
func (d *device) Network() error { return nccl.Available() }

// NewNetwork implements gpu.Networked.
func (d *device) NewNetwork() ([]byte, error) { return nccl.NewID() }

// Join implements gpu.Networked.
func (d *device) Join(network []byte, rank, size int, stop <-chan struct{}) error {
	c, err := nccl.Join(network, rank, size, stop, d.inContext)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", d.card.Name, engine.ErrDeviceLost, err)
	}
	d.network.Store(c)
	return nil
}

// SendTo implements gpu.Networked.
func (d *device) SendTo(rank int, list []gpu.Moved) error {
	return d.move(rank, list, func(m gpu.Moved) gpu.Memory { return m.From }, (*nccl.Communicator).Send)
}

// ReceiveFrom implements gpu.Networked.
func (d *device) ReceiveFrom(rank int, list []gpu.Moved) error {
	return d.move(rank, list, func(m gpu.Moved) gpu.Memory { return m.To }, (*nccl.Communicator).Receive)
}

// move hands over what is queued, and queues ranges behind it.
func (d *device) move(rank int, list []gpu.Moved, of func(gpu.Moved) gpu.Memory, how func(c *nccl.Communicator, ranges []nccl.Range, peer int, stream shim.Pointer) error) error {
	c := d.network.Load()
	if c == nil {
		return fmt.Errorf("%s is in no network", d.card.Name)
	}
	var ranges []nccl.Range
	for _, r := range list {
		m := of(r).(*memory)
		if err := m.check(r.Offset, int(r.Bytes)); err != nil {
			return err
		}
		ranges = append(ranges, nccl.Range{Address: m.address + uint64(r.Offset), Bytes: uint64(r.Bytes)})
	}
	if err := d.submit("what comes before a machine's rows", false); err != nil {
		return err
	}
	if err := d.inContext(func() error { return how(c, ranges, rank, shim.StreamPointer(d.stream)) }); err != nil {
		return fmt.Errorf("%s: %w: %w", d.card.Name, engine.ErrDeviceLost, err)
	}
	return nil
}

// NetworkFailed implements gpu.Networked.
func (d *device) NetworkFailed() error {
	if c := d.network.Load(); c != nil {
		return c.Failed()
	}
	return nil
}

// Leave implements gpu.Networked.
func (d *device) Leave() {
	if c := d.network.Load(); c != nil {
		c.Leave()
	}
}

var _ gpu.Networked = (*device)(nil)
