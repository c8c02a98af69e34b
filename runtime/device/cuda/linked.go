//go:build cuda

package cuda

import (
	"fmt"

	"gorgonia.org/cu"

	"llmc/runtime/device/cuda/shim"
	"llmc/runtime/device/gpu"
)

// signals are events by number, made when they are given first.
type signals [gpu.MostSignals]cu.Event

func (s *signals) release() (errs []error) {
	for i := range s {
		if s[i] != (cu.Event{}) {
			errs = append(errs, cu.DestroyEvent(&s[i]))
		}
	}
	return errs
}

// Signal implements gpu.Linked.
func (d *device) Signal(n int) error {
	if d.signals[n] == (cu.Event{}) {
		if err := d.do("a signal", func() (err error) {
			d.signals[n], err = cu.MakeEvent(cu.DisableTiming)
			return err
		}); err != nil {
			return err
		}
	}
	d.queue.Event(d.signals[n], "a signal to another GPU")
	return d.submit("a signal to another GPU", false)
}

// WaitFor implements gpu.Linked.
func (d *device) WaitFor(other gpu.Driver, n int) error {
	peer := other.(*device)
	if peer.signals[n] == (cu.Event{}) {
		return fmt.Errorf("%s waits for a signal that %s has not been told to give", d.card.Name, peer.card.Name)
	}
	d.queue.Wait(peer.signals[n], "waiting for another GPU")
	return d.submit("waiting for another GPU", false)
}

// CopyFrom implements gpu.Linked. GPUs that do not reach each other's memory are copied between through the host's, by the driver.
func (d *device) CopyFrom(other gpu.Driver, list []gpu.Moved) error {
	peer := other.(*device)
	for _, c := range list {
		to, from := c.To.(*memory), c.From.(*memory)
		for _, m := range []*memory{to, from} {
			if err := m.check(c.Offset, int(c.Bytes)); err != nil {
				return err
			}
		}
		d.queue.FromPeer(shim.Peer{Context: d.context, Address: to.address + uint64(c.Offset)}, shim.Peer{Context: peer.context, Address: from.address + uint64(c.Offset)},
			c.Bytes, "what another GPU hands on")
	}
	return d.lost
}

var _ gpu.Linked = (*device)(nil)
