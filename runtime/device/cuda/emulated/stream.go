//go:build cuda

package emulated

// #include "table.h"
import "C"

import (
	"time"
	"unsafe"

	"llmc/runtime/device/emu"
)

// work is something that a stream does when its turn has come.
type work func() C.CUresult

// stream is what has been queued and not yet been waited for.
type stream struct {
	pending []work
	queued  int    // work so far
	done    int    // of it
	running bool   // by some thread
	capture *graph // to which work goes instead, if not nil
}

// event is a place in a stream.
type event struct {
	stream *stream
	until  int // work of the stream
	timed  bool
	set    time.Time
	known  emu.Clock // to the card, then
}

// queue appends work to a stream.
func (d *Driver) queue(s unsafe.Pointer, w work) C.CUresult {
	st, ok := find[*stream](d, s)
	if !ok {
		return C.CUDA_ERROR_INVALID_HANDLE
	}
	if st.capture != nil {
		st.capture.work = append(st.capture.work, w)
		return C.CUDA_SUCCESS
	}
	st.pending = append(st.pending, w)
	st.queued++
	return C.CUDA_SUCCESS
}

// run does what has been queued up to a place, while other calls are made: what a stream of one card does may wait for what one of another does.
func (d *Driver) run(s *stream, until int) C.CUresult {
	for s.done < until && d.sticky == 0 {
		if s.running { // by another thread, for a stream that waits for this one
			d.ran.Wait()
			continue
		}
		w := s.pending[0]
		s.pending, s.running = s.pending[1:], true
		d.mu.Unlock()
		answer := w()
		d.mu.Lock()
		s.running = false
		if s.done++; answer != 0 {
			d.sticky = answer
		}
		d.ran.Broadcast()
	}
	return d.sticky
}

//export emulatedStream
func emulatedStream(s *C.CUstream, _ C.uint) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		*s = C.CUstream(d.handle(&stream{}))
		return C.CUDA_SUCCESS
	})
}

//export emulatedStreamDestroy
func emulatedStreamDestroy(s C.CUstream) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		return drop[*stream](d, unsafe.Pointer(s))
	})
}

//export emulatedStreamSynchronize
func emulatedStreamSynchronize(s C.CUstream) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		st, ok := find[*stream](d, unsafe.Pointer(s))
		switch {
		case !ok:
			return C.CUDA_ERROR_INVALID_HANDLE
		case st.capture != nil:
			return C.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
		}
		d.counts.Waits++
		return d.run(st, st.queued)
	})
}

//export emulatedEvent
func emulatedEvent(e *C.CUevent, flags C.uint) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		*e = C.CUevent(d.handle(&event{timed: flags&C.CU_EVENT_DISABLE_TIMING == 0}))
		return C.CUDA_SUCCESS
	})
}

//export emulatedEventDestroy
func emulatedEventDestroy(e C.CUevent) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		return drop[*event](d, unsafe.Pointer(e))
	})
}

//export emulatedEventRecord
func emulatedEventRecord(e C.CUevent, s C.CUstream) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		ev, ok := find[*event](d, unsafe.Pointer(e))
		st, has := find[*stream](d, unsafe.Pointer(s))
		if !ok || !has {
			return C.CUDA_ERROR_INVALID_HANDLE
		}
		ev.stream, ev.until, ev.set = st, st.queued+1, time.Time{}
		now := d.now
		return d.queue(unsafe.Pointer(s), func() C.CUresult {
			d.mu.Lock()
			ev.set, ev.known = time.Now(), now.memory.Clock()
			d.mu.Unlock()
			return C.CUDA_SUCCESS
		})
	})
}

//export emulatedEventSynchronize
func emulatedEventSynchronize(e C.CUevent) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		ev, ok := find[*event](d, unsafe.Pointer(e))
		if !ok {
			return C.CUDA_ERROR_INVALID_HANDLE
		}
		if ev.stream == nil {
			return C.CUDA_SUCCESS
		}
		d.counts.Waits++
		return d.run(ev.stream, ev.until)
	})
}

// emulatedElapsed tells the time of the machine that emulates.
//
//export emulatedElapsed
func emulatedElapsed(milliseconds *C.float, from, to C.CUevent) C.CUresult {
	return call(func(d *Driver) C.CUresult {
		a, ok := find[*event](d, unsafe.Pointer(from))
		b, has := find[*event](d, unsafe.Pointer(to))
		switch {
		case !ok || !has || a.stream == nil || b.stream == nil || !a.timed || !b.timed:
			return C.CUDA_ERROR_INVALID_HANDLE
		case a.set.IsZero() || b.set.IsZero():
			return C.CUDA_ERROR_NOT_READY
		}
		*milliseconds = C.float(b.set.Sub(a.set).Seconds() * 1e3)
		return C.CUDA_SUCCESS
	})
}
