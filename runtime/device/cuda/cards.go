//go:build cuda

package cuda

import (
	"errors"
	"fmt"

	"llmc/runtime/device/gpu"
)

// peerAlready is the driver's answer where access to a peer has been enabled before: contexts are those of the process.
const peerAlready = 704

// openCards takes the first devices that the driver shows, and lets each reach the others' memory: those of a stage must.
func openCards(cards, stages int) (drivers []gpu.Driver, err error) {
	n := cards * stages
	version, there, err := start()
	if err != nil {
		return nil, err
	}
	if there < n {
		return nil, &absent{fmt.Sprintf("%d GPUs are to share the model (--tp, --pp), and the NVIDIA driver shows %d", n, there)}
	}
	var devices []*device
	defer func() {
		for _, d := range devices {
			if err != nil {
				err = errors.Join(err, d.Close())
			}
		}
	}()
	for i := range n {
		d, err := openDevice(i, version)
		if err != nil {
			return nil, err
		}
		devices, drivers = append(devices, d), append(drivers, d)
		if first := &devices[0].card; d.card.Capability != first.Capability {
			return nil, fmt.Errorf("GPU 0 is %v, GPU %d %v: those that share a model are of one compute capability; CUDA_VISIBLE_DEVICES chooses", first, i, &d.card)
		}
	}
	for i, d := range devices {
		for j, peer := range devices {
			if i == j {
				continue
			}
			err := d.reach(peer, i, j)
			if errors.Is(err, errApart) && i/cards != j/cards {
				continue // the driver copies what they hand on through the host's memory
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return drivers, nil
}

var errApart = errors.New("does not reach the memory")

// reach lets kernels of a device read and write the memory of another; the numbers are theirs in messages.
func (d *device) reach(peer *device, from, to int) error {
	can, err := d.number.CanAccessPeer(peer.number)
	if err == nil && can == 0 {
		return fmt.Errorf("GPU %d %w of GPU %d, which those that share layers must (NVLink, or PCIe with peer access); CUDA_VISIBLE_DEVICES chooses others, --tp fewer", from, errApart, to)
	}
	if err == nil {
		err = d.inContext(func() error { return peer.context.EnablePeerAccess(0) })
	}
	if err == nil || resultOf(err) == peerAlready {
		return nil
	}
	return d.judge(fmt.Sprintf("access of GPU %d to the memory of GPU %d", from, to), err)
}
