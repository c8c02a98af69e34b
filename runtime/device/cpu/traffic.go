package cpu

import (
	"slices"
	"time"
	"unsafe"

	"llmc/engine"
	"llmc/runtime/device/cpu/kernel"
)

const (
	probeBytes   = 256 << 20 // larger than any cache
	probePiece   = 256 << 10 // read between looks at the clock
	probeRepeats = 7
)

// Traffic sums up what a decode step reads and measures how fast the team reads memory that is in no cache.
func (m *model) Traffic() (engine.Traffic, error) {
	var t engine.Traffic
	if m.split != nil { // what one rank reads beside others says nothing about a step
		return t, nil
	}
	if !m.main.program.KeepsState() { // of which a token reads and writes one, however many tokens it has seen
		t.KVTokenBytes = m.kv.pageBytes() / int64(m.kv.pageSize)
	}
	for i, name := range m.main.program.Weights {
		l := m.streams(i)
		if l == nil {
			continue
		}
		w, _, err := m.plan.Weight(name)
		if err != nil {
			return t, err
		}
		if l.Chooses(w) {
			t.AddStack(m.main.program, l, w)
			continue
		}
		t.WeightBytes += w.Bytes
	}
	probe, err := newRegion(probeBytes, "the bandwidth probe")
	if err != nil {
		return t, err
	}
	defer probe.release()
	for i := 0; i < len(probe); i += 4096 {
		probe[i] = 1
	}
	var speeds []float64
	for range probeRepeats {
		start := time.Now()
		m.team.Run(func(worker int) { readAll(m.set, probe, worker, m.state.workers) })
		speeds = append(speeds, probeBytes/time.Since(start).Seconds())
	}
	slices.Sort(speeds)
	t.Bandwidth = speeds[len(speeds)/2]
	return t, nil
}

// streams returns a launch that reads the whole weight, or all that a step needs of a stack, not only rows of it; nil if there is none.
func (m *model) streams(weight int) *engine.Launch {
	for i := range m.main.program.Launches {
		l := &m.main.program.Launches[i]
		if l.Kernel != "cpu.gather" && slices.Contains(l.Operands, engine.Operand{Kind: engine.OperandWeight, Index: weight}) {
			return l
		}
	}
	return nil
}

func readAll(set *kernel.Set, mem region, worker, workers int) {
	lo, hi := share(len(mem)/probePiece, worker, workers)
	for i := lo; i < hi; i++ {
		piece := mem[i*probePiece : (i+1)*probePiece]
		set.ArgMax(unsafe.Slice((*float32)(unsafe.Pointer(&piece[0])), len(piece)/4))
	}
}
