//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"gorgonia.org/cu"

	"llmc/engine"
	"llmc/runtime/device/cuda/shim"
	"llmc/runtime/device/gpu"
)

// device is a GPU with what a model has of it. One goroutine at a time uses it.
type device struct {
	number   cu.Device
	card     gpu.Card
	context  cu.CUContext
	retained bool // the context has to be released
	stream   cu.Stream
	queue    shim.Queue // what the driver does not know of yet
	staging  staging
	marks    marks
	pinned   []unsafe.Pointer
	memory   []cu.DevicePtr
	modules  []cu.Module
	graphs   []cu.ExecGraph
	stamps   []cu.Event // by number; see Stamp
	lost     error      // after which nothing works any more
}

// earlyCUDA is the first CUDA whose graphs keep that a launch may start before the one before it has ended.
const earlyCUDA = 12030

// mostQueued bounds the commands of one call.
const mostQueued = 4096

// do calls the driver, from a thread whose context is ours. what says in errors what is being done.
func (d *device) do(what string, call func() error) error {
	if d.lost != nil {
		return d.lost
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.SetCurrentContext(d.context); err != nil {
		return d.judge(what, err)
	}
	return d.judge(what, call())
}

// submit hands the queue over; with wait it comes back when all is done. Pinned memory is free again then.
func (d *device) submit(what string, wait bool) error {
	return d.do(what, func() error {
		err := d.queue.Submit(d.stream)
		if wait || err != nil {
			// Behind an error too: what came before it still reads pinned memory.
			err = errors.Join(err, d.stream.Synchronize())
			d.staging.used = 0
		}
		return err
	})
}

// Card implements gpu.Driver.
func (d *device) Card() gpu.Card { return d.card }

// Alloc implements gpu.Driver.
func (d *device) Alloc(name string, bytes int64) (gpu.Memory, error) {
	m := &memory{device: d, name: name, bytes: bytes}
	err := d.do(name, func() error {
		p, err := cu.MemAlloc(max(bytes, 1)) // there are no allocations of nothing
		if err != nil {
			if resultOf(err) == outOfMemory {
				err = d.noRoom(name, bytes)
			}
			return err
		}
		d.memory, m.address = append(d.memory, p), uint64(p)
		return nil
	})
	return m, err
}

// noRoom says what was wanted, what there is, and what to do.
func (d *device) noRoom(name string, bytes int64) error {
	const gib = 1 << 30
	free, total, err := cu.MemInfo()
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s: %.2f GiB for %s, %.2f of %.2f GiB are free; give less --kv-memory, --max-batch or --max-step-tokens, or build with a smaller --quant",
		engine.ErrDeviceMemory, d.card.Name, float64(bytes)/gib, name, float64(free)/gib, float64(total)/gib)
}

// Launch implements gpu.Driver.
func (d *device) Launch(l *gpu.Launch) error {
	if d.lost != nil {
		return d.lost
	}
	if d.queue.Len() >= mostQueued {
		if err := d.submit("launches", false); err != nil {
			return err
		}
	}
	return d.queue.Launch(l.Kernel.(cu.Function), &shim.Launch{Label: l.Label, Grid: l.Grid, Threads: l.Threads, Shared: l.Shared, Args: l.Args,
		Early: l.Early && d.card.Driver >= earlyCUDA})
}

// Finish implements gpu.Driver.
func (d *device) Finish() error { return d.submit("a step", true) }

// Close implements gpu.Driver. Of a lost device the driver takes everything back when the process ends.
func (d *device) Close() error {
	if !d.retained {
		return nil
	}
	d.retained = false
	if d.lost == nil {
		if err := d.do("giving memory back", d.release); err != nil {
			return err
		}
	}
	if err := d.number.ReleasePrimaryCtx(); err != nil && d.lost == nil {
		return d.judge("giving the context back", err)
	}
	return nil
}

func (d *device) release() error {
	d.queue.Drop()
	var errs []error
	if d.stream != (cu.Stream{}) {
		errs = append(errs, d.stream.Synchronize())
	}
	for _, g := range d.graphs {
		errs = append(errs, g.Destroy())
	}
	for _, m := range d.modules {
		errs = append(errs, m.Unload())
	}
	for _, p := range d.memory {
		errs = append(errs, cu.MemFree(p))
	}
	for _, p := range d.pinned {
		errs = append(errs, cu.MemFreeHost(p))
	}
	errs = append(errs, d.marks.release()...)
	for i := range d.stamps {
		errs = append(errs, cu.DestroyEvent(&d.stamps[i]))
	}
	errs = append(errs, d.staging.release())
	if d.stream != (cu.Stream{}) {
		errs = append(errs, d.stream.Destroy())
	}
	return errors.Join(errs...)
}

var (
	_ gpu.Driver      = (*device)(nil)
	_ gpu.Recorder    = (*device)(nil)
	_ gpu.CubinLoader = (*device)(nil)
	_ gpu.Timer       = (*device)(nil)
)
