//go:build cuda

package cuda

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"gorgonia.org/cu"

	"llmc/engine"
	"llmc/runtime/device/cuda/jit"
	"llmc/runtime/device/cuda/shim"
	"llmc/runtime/device/gpu"
)

const (
	logBytes = 16 << 10 // of what the driver's assembler has to say about a part
	logShown = 500
	// mostParts of a module are compiled apart. The number is the same everywhere, so that the driver's cache serves any number of cores.
	mostParts = 16
)

// Load implements gpu.Driver: the text is cut into parts that are compiled side by side.
func (d *device) Load(ptx string) (gpu.Code, error) {
	parts := jit.Split(ptx, mostParts)
	logs, err := d.stage("compiling", len(parts)*logBytes) // of C, as the driver wants it
	if err != nil {
		return nil, err
	}
	share := len(logs) / len(parts)
	c := &code{device: d, modules: make([]cu.Module, len(parts)), of: map[string]int{}}
	errs := make([]error, len(parts))
	var threads sync.WaitGroup
	turns := make(chan struct{}, runtime.NumCPU())
	for i := range parts {
		for _, entry := range parts[i].Entries {
			c.of[entry] = i
		}
		threads.Add(1)
		turns <- struct{}{}
		go func() {
			defer func() { <-turns; threads.Done() }()
			errs[i] = d.inContext(func() (err error) {
				c.modules[i], err = compile(parts[i].Text, logs[i*share:(i+1)*share])
				return err
			})
		}()
	}
	threads.Wait()
	for i, err := range errs {
		if err == nil {
			d.modules = append(d.modules, c.modules[i])
		}
	}
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		return nil, d.judge("compiling", errs[i])
	}
	return c, nil
}

// compile makes a part of the text ready. The driver may have it in its cache.
func compile(text string, log []byte) (cu.Module, error) {
	clear(log)
	m, err := cu.LoadDataEx(text, &cu.JITErrorLogBuffer{Buffer: log})
	if err != nil {
		said, _, _ := bytes.Cut(log, []byte{0})
		if words := strings.Join(strings.Fields(string(said)), " "); words != "" {
			err = fmt.Errorf("%w: %.*s", resultOf(err), logShown, words)
		}
	}
	return m, err
}

// LoadCubin implements gpu.CubinLoader.
func (d *device) LoadCubin(c *engine.Cubin) (gpu.Code, bool) {
	exact := fmt.Sprintf("sm_%d", d.card.Capability)
	if !slices.Contains([]string{exact, exact + "a", exact + "f"}, c.Arch) {
		return nil, false
	}
	loaded := &code{device: d, modules: make([]cu.Module, 1)}
	err := d.do("loading code", func() (err error) {
		loaded.modules[0], err = cu.LoadData(string(c.Image))
		return err
	})
	if err != nil {
		return nil, false // by a newer assembler than the driver knows, for one
	}
	d.modules = append(d.modules, loaded.modules...)
	return loaded, true
}

// code is loaded modules.
type code struct {
	device  *device
	modules []cu.Module
	of      map[string]int // the module of an entry; the first where it is not listed
}

// Entry implements gpu.Code. The function may be launched with as much dynamic shared memory as the card has beside what it declares; asking for
// that also makes drivers that load functions late load it now, not while a graph is being recorded.
func (c *code) Entry(name string) (gpu.Kernel, error) {
	var f cu.Function
	err := c.device.do("entry "+name, func() error {
		var err error
		if f, err = c.modules[c.of[name]].Function(name); err != nil {
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
