package gpu

import (
	"llmc/engine"
)

// cost adds what a launch moves and computes in a step. Of a stack of experts at most one matrix is counted for each row of the result.
func (m *Model) cost(p *engine.Program, launch int, step *engine.Step, t *engine.LaunchTime) {
	l := &p.Launches[launch]
	env := step.Sizes()
	roles := engine.FindKernel(l.Kernel).Roles[:len(l.Operands)]
	results := 0.0 // rows of the last result
	for i, role := range roles {
		if l.Operands[i].Kind != engine.OperandBuffer || role.Scratch {
			continue
		}
		b := &p.Buffers[l.Operands[i].Index]
		n, err := b.Rows.Eval(env)
		if err != nil {
			continue // the step has run: there is none
		}
		t.Traffic += float64(n) * float64(b.Stride)
		if role.Writes {
			results = float64(n)
		}
	}
	for i, role := range roles {
		switch o := l.Operands[i]; o.Kind {
		case engine.OperandWeight:
			weightCost(l.Kernel, role.Name, m.weight(p, o), results, t)
		case engine.OperandCache:
			if c := &m.program.Caches[o.Index]; c.Kind == engine.State {
				t.Traffic += 2 * float64(step.B()) * float64(c.StateRows(l)) / float64(c.KVHeads) * float64(m.pool.layers[o.Index].layerBytes)
				continue
			}
			m.cacheCost(l, float64(m.pool.layers[o.Index].layerBytes)/float64(m.limits.PageSize), step, t)
		}
	}
}

// weightCost adds what reading a weight moves, and for a matrix what multiplying the rows of the result by it computes.
func weightCost(kernel, role string, w *engine.WeightEntry, rows float64, t *engine.LaunchTime) {
	share, elements := 1.0, 1.0
	for _, n := range w.Shape {
		elements *= float64(n)
	}
	switch {
	case readsRows(kernel, role):
		share = min(1, rows/float64(w.Shape[0]))
	case len(w.Shape) == 3 && w.Layout != "" && kernel != "cuda.linear_heads": // experts
		share = min(1, rows/float64(w.Shape[0]))
		t.Flops += 2 * rows * elements / float64(w.Shape[0])
	case w.Layout != "":
		t.Flops += 2 * rows * elements
	}
	t.Traffic += share * float64(w.Bytes)
}

// cacheCost adds the positions of a cache that a launch reads or writes, of so many bytes each, and the products of attention.
func (m *Model) cacheCost(l *engine.Launch, perPosition float64, step *engine.Step, t *engine.LaunchTime) {
	if l.Int("planes", 0) == 0 { // no attention
		t.Traffic += float64(step.T()) * perPosition // it writes them
		return
	}
	reach := engine.ReachOf(l)
	pairs := 0.0 // of a query and a key
	for b := range step.B() {
		length := reach.Length(step, b)
		longest := length
		if first := step.SeqStart[b]; step.SeqStart[b+1] > first {
			longest -= reach.First(int64(step.Positions[first]))
		}
		t.Traffic += float64(longest) * perPosition
		for i := step.SeqStart[b]; i < step.SeqStart[b+1]; i++ {
			pairs += float64(reach.Seen(int64(step.Positions[i]), length))
		}
	}
	channels := 2 * l.Int("dim", 0) // of a key and a value
	if rank := l.Int("rank", 0); rank > 0 {
		cache := engine.FindKernel(l.Kernel).Operand(l, "cache")
		channels = int64(m.program.Caches[cache.Index].Dim) + rank
	}
	t.Flops += 2 * pairs * float64(l.Int("heads", 0)*channels)
}
