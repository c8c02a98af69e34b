package runtime

import (
	"errors"
	"fmt"
	"sync/atomic"

	"llmc/engine"
	"llmc/runtime/sched"
)

// Adapter is an adapter that is loaded beside an engine's model. Requests name it.
type Adapter struct {
	engine *Engine
	plan   *engine.Plan
	seat   sched.Adapter

	users  atomic.Int32 // generations that have not ended; changed under the engine's lock
	inStep atomic.Int32 // of these, those that have a part in the last step

	// Guarded by the engine's lock.
	gone bool // nobody may begin to use it
}

// The errors of adapters.
var (
	ErrAdapterGone   = errors.New("the adapter has been unloaded")
	ErrAdapterPlaces = errors.New("as many adapters are loaded as may be; unload one, or start the server with a higher --max-loras")
)

// adapterTable is what an engine keeps of adapters, guarded by its lock.
type adapterTable struct {
	places  []*Adapter // by place; place 0 is the model's own
	serials uint64
}

// LoadAdapter loads the adapter of a plan, while requests run. The plan is the engine's from then on; where it fails, it stays the caller's.
func (e *Engine) LoadAdapter(plan *engine.Plan) (*Adapter, error) {
	host, ok := e.model.(engine.AdapterModel)
	if !ok || e.limits.MaxAdapters == 0 {
		return nil, fmt.Errorf("model %s: %w", e.info.Name, engine.ErrNoAdapters)
	}
	e.adapting.Lock()
	defer e.adapting.Unlock()
	a, err := e.seatAdapter(plan)
	if err != nil {
		return nil, err
	}
	if err := host.LoadAdapter(int(a.seat.Place), plan); err != nil {
		e.mu.Lock()
		e.adapters.places[a.seat.Place] = nil
		e.mu.Unlock()
		return nil, err
	}
	return a, nil
}

// seatAdapter takes a free place.
func (e *Engine) seatAdapter(plan *engine.Plan) (*Adapter, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := &e.adapters
	if e.closed.Load() || e.draining.Load() {
		return nil, ErrDraining
	}
	if t.places == nil {
		t.places = make([]*Adapter, e.limits.MaxAdapters+1)
	}
	for place := 1; place < len(t.places); place++ {
		if t.places[place] == nil {
			t.serials++
			a := &Adapter{engine: e, plan: plan, seat: sched.Adapter{Place: int32(place), Serial: t.serials}}
			t.places[place] = a
			return a, nil
		}
	}
	return nil, fmt.Errorf("%w (%d)", ErrAdapterPlaces, e.limits.MaxAdapters)
}

// Unload takes the adapter away: requests that have it go on to their end, new ones are refused. Its place is free when the last has ended.
func (a *Adapter) Unload() {
	e := a.engine
	e.mu.Lock()
	last := !a.gone && a.users.Load() == 0
	a.gone = true
	e.mu.Unlock()
	if last {
		a.release()
	}
}

// release empties the place: no step names it any more, and nobody can begin to.
func (a *Adapter) release() {
	e := a.engine
	e.model.(engine.AdapterModel).UnloadAdapter(int(a.seat.Place))
	if err := a.plan.Close(); err != nil {
		e.options.Log.Error("closing an adapter", "err", err)
	}
	e.mu.Lock()
	e.adapters.places[a.seat.Place] = nil
	e.mu.Unlock()
}

// Load returns how many generations that have the adapter were in the last step, and how many others have not ended. It takes no lock.
func (a *Adapter) Load() (running, waiting int) {
	users := int(a.users.Load())
	running = min(int(a.inStep.Load()), users)
	return running, users - running
}

// count notes whose adapters are in a step; nil: in none. The caller holds the lock.
func (t *adapterTable) count(st *engine.Step) {
	for _, a := range t.places {
		if a != nil {
			a.inStep.Store(0)
		}
	}
	if st == nil || len(t.places) == 0 {
		return
	}
	for _, place := range st.Adapters {
		if a := t.places[place]; a != nil {
			a.inStep.Add(1)
		}
	}
}

// use counts a generation that has the adapter. The caller holds the lock.
func (a *Adapter) use(e *Engine) error {
	switch {
	case a == nil:
		return nil
	case a.engine != e:
		return &FieldError{"model", "the adapter is one of another model"}
	case a.gone:
		return ErrAdapterGone
	}
	a.users.Add(1)
	return nil
}

// leave counts one that has ended, and tells whether it was the last of an adapter that has been taken away. The caller holds the lock.
func (a *Adapter) leave() (last bool) {
	if a == nil {
		return false
	}
	left := a.users.Add(-1)
	return a.gone && left == 0
}

// closeAdapters unloads all, once the loop has ended.
func (e *Engine) closeAdapters() {
	e.adapting.Lock()
	defer e.adapting.Unlock()
	e.mu.Lock()
	var all []*Adapter
	for _, a := range e.adapters.places {
		if a != nil && !a.gone {
			a.gone = true
			all = append(all, a)
		}
	}
	e.mu.Unlock()
	for _, a := range all {
		a.release()
	}
}
