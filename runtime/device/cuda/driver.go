//go:build cuda

package cuda

import (
	"errors"
	"runtime"
	"sync/atomic"
	"unsafe"

	"gorgonia.org/cu"

	"llmc/runtime/device/cuda/nccl"
	"llmc/runtime/device/cuda/shim"
	"llmc/runtime/device/gpu"
)

// device is a GPU with what a model has of it. One goroutine at a time uses it; uploads have threads of their own.
type device struct {
	number   cu.Device
	card     gpu.Card
	context  cu.CUContext
	retained bool // the context has to be released
	stream   cu.Stream
	queue    shim.Queue // what the driver does not know of yet
	staging  staging
	marks    marks
	signals  signals
	network  atomic.Pointer[nccl.Communicator] // nil: it is in none
	pinned   []unsafe.Pointer
	memory   []cu.DevicePtr
	uploads  []*upload
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
	return d.judge(what, d.inContext(call))
}

// inContext makes calls of the driver from any goroutine. What they answer is still to be judged, by the goroutine that uses the device.
func (d *device) inContext(call func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cu.SetCurrentContext(d.context); err != nil {
		return err
	}
	return call()
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
		Early: l.Early && d.card.Driver >= earlyCUDA, Together: l.Together})
}

// Finish implements gpu.Driver.
func (d *device) Finish() error { return d.submit("a step", true) }

// Close implements gpu.Driver. Of a lost device the driver takes everything back when the process ends.
func (d *device) Close() error {
	if !d.retained {
		return nil
	}
	d.retained = false
	d.Leave()
	for _, u := range d.uploads {
		u.cancel()
	}
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
	errs = append(errs, d.signals.release()...)
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
	_ gpu.Cooperator  = (*device)(nil)
)
