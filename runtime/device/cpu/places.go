package cpu

import (
	"runtime"
	"sync"
	"sync/atomic"

	"llmc/engine"
	"llmc/runtime/device/cpu/numa"
)

// places are where a model's workers, and what each of them reads alone, lie on a machine whose memory has several nodes.
type places struct {
	nodes    []numa.Node // by worker
	stop     atomic.Bool
	bringing sync.WaitGroup
}

// newPlaces returns nil where all memory is as near as any other, or where that is not to count.
func (d Device) newPlaces(settings *engine.Settings) *places {
	nodes := d.Nodes
	if nodes == nil {
		nodes = numa.Read(numa.Sysfs, numa.Allowed())
	}
	if len(nodes) < 2 || settings.NUMA == engine.NUMAOff {
		return nil
	}
	return &places{nodes: numa.Assign(settings.Threads, nodes)}
}

// workers are the nodes of a team's workers; nil: they run anywhere.
func (p *places) workers() []numa.Node {
	if p == nil {
		return nil
	}
	return p.nodes
}

// share has memory that all workers read and write taken from all nodes.
func (p *places) share(mem region) {
	if p != nil {
		_ = numa.Interleave(mem, numa.IDs(p.nodes)) // else it is where it is touched first
	}
}

// near is a launch whose workers each read a part of a weight that no other worker reads, as long as steps have few rows.
type near interface {
	// ofWorker is the part of one of so many workers.
	ofWorker(worker, workers int) []byte
}

// begin brings the weights of all launches to the workers that read them, in the background: a step that comes first reads them where they are.
func (p *places) begin(functions []*function) {
	if p != nil {
		p.bringing.Go(func() { p.bring(functions) })
	}
}

// bring goes from node to node, so that what is in no memory yet is read into the right one. What can not be brought is read where it is.
func (p *places) bring(functions []*function) {
	runtime.LockOSThread() // the thread ends with the goroutine, wherever it is pinned
	for worker, node := range p.nodes {
		if _, err := numa.Pin(node); err != nil {
			return
		}
		for _, f := range functions {
			for _, r := range f.runners {
				part, ok := r.(near)
				if !ok {
					continue
				}
				if p.stop.Load() {
					return
				}
				_ = numa.Bring(part.ofWorker(worker, len(p.nodes)), node.ID)
			}
		}
	}
}

// end waits until nothing is brought any more.
func (p *places) end() {
	if p != nil {
		p.stop.Store(true)
		p.bringing.Wait()
	}
}

// ofWorker implements near.
func (l *linear) ofWorker(worker, workers int) []byte {
	panels := l.w.Panels() / l.units // of a unit
	if l.spans == nil {
		lo, hi := share(l.units, worker, workers)
		return l.w.Part(lo*panels, hi*panels)
	}
	at, stop := share(l.spans.Len(), worker, workers)
	for _, span := range l.spans { // the first of its pieces: mostly there is one
		if lo, hi := max(at, 0), min(stop, span.Len()); lo < hi {
			return l.w.Part((span.From+lo)*panels, (span.From+hi)*panels)
		}
		at, stop = at-span.Len(), stop-span.Len()
	}
	return nil
}
