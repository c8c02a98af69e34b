//go:build cuda

package cuda

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"gorgonia.org/cu"

	"llmc/engine"
	"llmc/runtime/device/cuda/shim"
	"llmc/runtime/device/gpu"
)

const (
	logBytes = 16 << 10 // of what the driver's assembler has to say
	logShown = 500
)

// Load implements gpu.Driver: the driver compiles the text, or finds what it made of it before.
func (d *device) Load(ptx string) (gpu.Code, error) {
	c := &code{device: d}
	return c, d.do("compiling", func() error {
		log := d.staging.pinned[:logBytes] // of C, as the driver wants it; nothing is on its way yet
		clear(log)
		var err error
		if c.module, err = cu.LoadDataEx(ptx, &cu.JITErrorLogBuffer{Buffer: log}); err != nil {
			said, _, _ := bytes.Cut(log, []byte{0})
			if words := strings.Join(strings.Fields(string(said)), " "); words != "" {
				return fmt.Errorf("%w: %.*s", resultOf(err), logShown, words)
			}
			return err
		}
		d.modules = append(d.modules, c.module)
		return nil
	})
}

// LoadCubin implements gpu.CubinLoader.
func (d *device) LoadCubin(c *engine.Cubin) (gpu.Code, bool) {
	exact := fmt.Sprintf("sm_%d", d.card.Capability)
	if !slices.Contains([]string{exact, exact + "a", exact + "f"}, c.Arch) {
		return nil, false
	}
	loaded := &code{device: d}
	err := d.do("loading code", func() (err error) {
		loaded.module, err = cu.LoadData(string(c.Image))
		return err
	})
	if err != nil {
		return nil, false // by a newer assembler than the driver knows, for one
	}
	d.modules = append(d.modules, loaded.module)
	return loaded, true
}

// code is a loaded module.
type code struct {
	device *device
	module cu.Module
}

// Entry implements gpu.Code. The function may be launched with as much dynamic shared memory as the card has beside what it declares; asking for
// that also makes drivers that load functions late load it now, not while a graph is being recorded.
func (c *code) Entry(name string) (gpu.Kernel, error) {
	var f cu.Function
	err := c.device.do("entry "+name, func() error {
		var err error
		if f, err = c.module.Function(name); err != nil {
			return err
		}
		declared, err := f.Attribute(cu.SharedSizeBytes)
		if err != nil {
			return err
		}
		return shim.AllowSharedMemory(f, c.device.card.SharedMemory-declared)
	})
	return f, err
}
