//go:build cuda

package cuda

import (
	"gorgonia.org/cu"

	"llmc/runtime/device/cuda/shim"
	"llmc/runtime/device/gpu"
)

// takeCores finds how many multiprocessors the device has for CTAs that wait for each other; none where it can not launch such.
func (d *device) takeCores() error {
	together, err := d.number.Attribute(shim.Cooperative)
	if err == nil && together != 0 {
		d.card.Cores, err = d.number.Attribute(cu.MultiprocessorCount)
	}
	return err
}

// Resident implements gpu.Cooperator.
func (d *device) Resident(k gpu.Kernel, threads, shared uint32) (int, error) {
	if d.card.Cores == 0 {
		return 0, nil
	}
	each := 0
	err := d.do("what a multiprocessor has room for", func() (err error) {
		each, err = k.(cu.Function).MaxActiveBlocksPerMultiProcessor(int(threads), int64(shared))
		return err
	})
	return each * d.card.Cores, err
}
