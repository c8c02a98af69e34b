// Package team runs one function on several OS threads at once, with barriers inside it that cost a few hundred nanoseconds.
// It owns threads and waiting; it knows nothing of what they compute.
//
// Waiting spins for a bounded time (or naps, where other threads want the processor) and then sleeps in the kernel, so a team without work uses no processor and goroutines of
// the rest of the program are never kept from running. There are never more workers than processors: a spinning worker must not
// take the processor from the one that it waits for.
package team

import (
	"math/bits"
	"runtime"
	"sync"

	"llmc/runtime/device/cpu/numa"
)

// Team is a fixed number of workers. Worker 0 is the goroutine that calls Run; each of the others owns an OS thread.
type Team struct {
	workers int
	nodes   []numa.Node // by worker; nil: they run anywhere

	mu     sync.Mutex // held by Run: callers take turns
	fn     func(worker int)
	closed bool
	ended  sync.WaitGroup

	_       linePad
	regions flag // counts regions started
	// signals[w*rounds+k] counts what worker w was told in round k of barriers.
	signals []flag
	rounds  int
	passed  []barriers
}

// barriers counts those that one worker has passed. Only that worker touches it.
type barriers struct {
	count uint32
	waits worker
	_     linePad
}

// linePad keeps what different workers write apart: two cache lines, because processors fetch them in pairs.
type linePad [128]byte

// New starts a team of up to n workers: no more than the processors that this process may use. nodes says where each of the n runs; nil: anywhere.
func New(n int, nodes []numa.Node) *Team {
	return start(possible(n), nodes)
}

func possible(n int) int { return max(1, min(n, runtime.NumCPU(), runtime.GOMAXPROCS(0))) }

func start(n int, nodes []numa.Node) *Team {
	rounds := bits.Len(uint(n - 1))
	t := &Team{workers: n, nodes: nodes, rounds: rounds, signals: make([]flag, n*rounds), passed: make([]barriers, n)}
	spins := spinRounds()
	for w := range t.passed {
		t.passed[w].waits.spins = spins
	}
	t.ended.Add(n - 1)
	for w := 1; w < n; w++ {
		go t.work(w)
	}
	return t
}

// Workers returns the number of workers.
func (t *Team) Workers() int { return t.workers }

// Run calls fn on every worker and returns when all calls have. It does not allocate. fn must not call Run, and must not panic.
func (t *Team) Run(fn func(worker int)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		panic("team: Run after Close")
	}
	defer t.pin(0)()
	if t.workers == 1 {
		fn(0)
		return
	}
	t.fn = fn
	t.regions.raise()
	fn(0)
	t.Barrier(0)
	t.fn = nil
}

// pin keeps the calling goroutine on a thread, and that on the worker's node, until back is called.
func (t *Team) pin(w int) (back func()) {
	if t.nodes == nil {
		return func() {}
	}
	runtime.LockOSThread()
	free, err := numa.Pin(t.nodes[w])
	if err != nil { // it may not: then it runs anywhere
		free = func() {}
	}
	return func() {
		free()
		runtime.UnlockOSThread()
	}
}

// Barrier waits until every worker has called it; worker is the caller's own number. Inside Run, all workers must call it equally often.
//
// It is a dissemination barrier (Hensgen, Finkel and Manber, "Two algorithms for barrier synchronization", 1988): in round k each worker
// signals the one 2^k places on and waits for the one 2^k places back. Every flag has one writer and one reader, so two workers pass in the time of
// one transfer of a cache line, 64 in six.
func (t *Team) Barrier(worker int) {
	me := &t.passed[worker]
	for k := range t.rounds {
		to := (worker + 1<<k) % t.workers
		t.signals[to*t.rounds+k].raise()
		t.signals[worker*t.rounds+k].await(me.count, &me.waits)
	}
	me.count++
}

// Close ends the workers. It must not be called during Run.
func (t *Team) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	t.closed = true
	t.regions.raise()
	t.ended.Wait()
}

// work is the life of worker w.
func (t *Team) work(w int) {
	defer t.ended.Done()
	runtime.LockOSThread() // ends with the goroutine, thread and all: spinning must not move between threads
	t.pin(w)
	for region := uint32(0); ; region++ {
		t.regions.await(region, &t.passed[w].waits)
		if t.closed {
			return
		}
		t.fn(w)
		t.Barrier(w)
	}
}
