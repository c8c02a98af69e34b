package partition

import (
	"fmt"
	"strings"

	"llmc/engine"
)

// stages gives each launch its stage of a pipeline: about as many bytes of weights each, cut where the least is handed on. A layer of a cache is one stage's.
func stages(p *engine.Program, weights Weights, pp int) ([]int, error) {
	n := len(p.Launches)
	out := make([]int, n)
	if pp == 1 {
		return out, nil
	}
	live, err := liveBytes(p)
	if err != nil {
		return nil, err
	}
	allowed := cuts(p, live)
	if len(allowed) < pp-1 {
		return nil, fmt.Errorf("pp %d: the model can be cut between layers of its cache in %d places, which is too few: take tp", pp, len(allowed))
	}
	before := make([]int64, n+1) // bytes of weights
	for i := range p.Launches {
		before[i+1] = before[i] + weightBytes(p, &p.Launches[i], weights)
	}
	at := 0 // of allowed
	for s := 1; s < pp; s++ {
		target := before[n] / int64(pp) * int64(s)
		for at+1 <= len(allowed)-(pp-s) && distance(before[allowed[at+1]], target) <= distance(before[allowed[at]], target) {
			at++
		}
		for i := allowed[at]; i < n; i++ {
			out[i] = s
		}
		at++
	}
	return out, nil
}

func distance(a, b int64) int64 { return max(a-b, b-a) }

// weightBytes is what a launch reads of weights; of a table it is a few rows.
func weightBytes(p *engine.Program, l *engine.Launch, weights Weights) (bytes int64) {
	if strings.Contains(l.Kernel, ".gather") {
		return 0
	}
	for _, o := range l.Operands {
		if o.Kind == engine.OperandWeight {
			if w := weights(p.Weights[o.Index]); w != nil {
				bytes += w.Bytes
			}
		}
	}
	return bytes
}

// cuts are the launches that a stage may begin with: those before which the least is live.
func cuts(p *engine.Program, live []int64) []int {
	first, last := span(p)
	var allowed []int
	least := int64(0)
	for c := first + 1; c <= last; c++ {
		if dividesLayer(p, c) {
			continue
		}
		switch {
		case len(allowed) == 0 || live[c] < least:
			allowed, least = []int{c}, live[c]
		case live[c] == least:
			allowed = append(allowed, c)
		}
	}
	return allowed
}

// span returns the first and the last launch that uses a cache.
func span(p *engine.Program) (first, last int) {
	first = -1
	for i := range p.Launches {
		if cacheOf(&p.Launches[i]) >= 0 {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	return max(first, 0), last
}

// cacheOf returns the cache that a launch reads or writes, -1 if it is none.
func cacheOf(l *engine.Launch) int {
	if op := engine.FindKernel(l.Kernel).Operand(l, "cache"); op.Kind == engine.OperandCache {
		return op.Index
	}
	return -1
}

// dividesLayer tells whether launches on both sides of a cut use the same layer of a cache.
func dividesLayer(p *engine.Program, cut int) bool {
	type layer struct {
		cache int
		layer int64
	}
	before := map[layer]bool{}
	for i := range p.Launches {
		l := &p.Launches[i]
		c := cacheOf(l)
		if c < 0 {
			continue
		}
		at := layer{c, l.Int("layer", 0)}
		if i < cut {
			before[at] = true
		} else if before[at] {
			return true
		}
	}
	return false
}

// liveBytes returns, for each launch, the bytes for one token that later launches, it among them, read of what earlier ones wrote.
func liveBytes(p *engine.Program) ([]int64, error) {
	live := make([]int64, len(p.Launches)+1)
	last := map[int]int{} // launch that last reads what a launch wrote, by buffer
	writer := make([]int, len(p.Slots))
	for i := range writer {
		writer[i] = -1
	}
	end := func(slot int) error { // of what lies in the slot
		for b, until := range last {
			if p.Buffers[b].Slot != slot {
				continue
			}
			bytes, err := p.Buffers[b].RowBytes()
			if err != nil {
				return err
			}
			for c := writer[slot] + 1; c <= until; c++ {
				live[c] += bytes
			}
			delete(last, b)
		}
		return nil
	}
	for i := range p.Launches {
		l := &p.Launches[i]
		for n, role := range engine.FindKernel(l.Kernel).Roles {
			if o := l.Operands[n]; o.Kind == engine.OperandBuffer && !role.Writes && !role.Scratch {
				last[o.Index] = i
			}
		}
		for n, role := range engine.FindKernel(l.Kernel).Roles {
			if o := l.Operands[n]; o.Kind == engine.OperandBuffer && role.Writes {
				slot := p.Buffers[o.Index].Slot
				if err := end(slot); err != nil {
					return nil, err
				}
				writer[slot] = i
			}
		}
	}
	for slot := range p.Slots {
		if err := end(slot); err != nil {
			return nil, err
		}
	}
	return live, nil
}
