package runtime

import (
	"sync"
	"sync/atomic"
	"time"

	"llmc/engine"
)

// KernelTime is what the launches of one kernel took in the steps that were watched.
type KernelTime struct {
	Kernel   string
	Launches uint64
	Seconds  float64
}

// watchFor is how long steps are timed, launch by launch, after somebody has asked for the times. Threads meet after each launch of such a step, so it
// takes somewhat longer.
const watchFor = 5 * time.Second

// watch times the launches of steps while somebody looks at them, and costs one load of an atomic a step otherwise.
type watch struct {
	profiler engine.Profiler // nil: the device does not tell, or works ahead of the host
	until    atomic.Int64    // age of the engine
	times    []engine.LaunchTime
	kernel   []int // of each launch the index in totals

	mu     sync.Mutex // guards totals; taken once a step that is watched
	totals []KernelTime
}

// newWatch returns what watches a model.
func newWatch(model engine.Model) *watch {
	w := &watch{}
	if _, ahead := model.(engine.Starter); ahead {
		return w
	}
	w.profiler, _ = model.(engine.Profiler)
	return w
}

// Kernels returns the times of kernels so far, and has steps timed for the next seconds. Without steps that were watched, and on devices that do not tell,
// there are none.
func (e *Engine) Kernels() []KernelTime {
	w := e.watch
	if w.profiler == nil {
		return nil
	}
	w.until.Store(e.age(e.options.Now().Add(watchFor)))
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]KernelTime(nil), w.totals...)
}

// compute has the model compute a step, and times its launches if somebody looks. Only the loop calls it.
func (e *Engine) compute(st *engine.Step, out []engine.Sampled) error {
	w := e.watch
	if until := w.until.Load(); until == 0 || e.age(e.options.Now()) > until {
		return e.model.Step(st, out)
	}
	if w.times == nil {
		w.prepare()
	}
	for i := range w.times {
		w.times[i].Seconds = 0
	}
	err := w.profiler.Profile(st, out, w.times)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.times {
		total := &w.totals[w.kernel[i]]
		total.Launches++
		total.Seconds += w.times[i].Seconds
	}
	return nil
}

// prepare makes a total for each kernel of the program.
func (w *watch) prepare() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.times = w.profiler.Launches()
	known := map[string]int{}
	for _, launch := range w.times {
		at, ok := known[launch.Kernel]
		if !ok {
			at = len(w.totals)
			known[launch.Kernel] = at
			w.totals = append(w.totals, KernelTime{Kernel: launch.Kernel})
		}
		w.kernel = append(w.kernel, at)
	}
}
