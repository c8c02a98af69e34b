package partition

import (
	"fmt"
	"slices"

	"llmc/engine"
	"llmc/internal/sym"
)

// Stage is one of a pipeline's, on devices that take code from the plan: a program of the stage's launches, with what they touch of weights, slots and layers of caches. Its
// buffers have the numbers that they have in the whole, and lie in their slots as they do there.
type Stage struct {
	*engine.Program
	Whole      *engine.Program
	Number, Of int
	// Takes are the buffers that launches of earlier stages have written and that this or a later stage reads; Gives are those of the next stage. Rows of others that share memory
	// with them may be handed on too: nobody reads them before they are written again.
	Takes, Gives []int
	// Found is where rows' tokens are found, of the first stage, which begins the next step with them, and of the last, which samples; -1: of a stage that has none.
	Found int
}

// First tells whether it takes tokens.
func (s *Stage) First() bool { return s.Number == 0 }

// Last tells whether it samples.
func (s *Stage) Last() bool { return s.Number == s.Of-1 }

// OnlySteps refuses plans that no pipeline runs, by the functions that they have beside the one that they are for.
func OnlySteps(pp int, main string, beside []string) error {
	switch {
	case pp < 2:
	case len(beside) > 0:
		return fmt.Errorf("pp %d: the plan has functions %v beside %s, and only one can be a pipeline: take tp", pp, beside, main)
	case main != engine.StepFunc:
		return fmt.Errorf("pp %d: function %s takes whole sequences, and only steps that sample tokens can be a pipeline of GPUs: take tp", pp, main)
	}
	return nil
}

// Cut takes a program that has been validated apart into stages.
func Cut(p *engine.Program, weights Weights, pp int) ([]*Stage, error) {
	of, err := stages(p, weights, pp)
	if err != nil {
		return nil, err
	}
	var list []*Stage
	for n := range pp {
		s := &Stage{Program: &engine.Program{}, Whole: p, Number: n, Of: pp, Found: -1}
		first, end := bounds(of, n)
		s.Takes, s.Gives = handedOn(p, first), handedOn(p, end)
		if s.First() || s.Last() {
			s.Found = found(p)
		}
		*s.Program = *p
		s.cut(first, end)
		list = append(list, s)
	}
	return list, nil
}

// bounds are the first launch of a stage and the one behind its last.
func bounds(of []int, stage int) (first, end int) {
	first, _ = slices.BinarySearch(of, stage)
	end, _ = slices.BinarySearch(of, stage+1)
	return first, end
}

// handedOn lists the buffers that launches from one on read before any of these has written them, in slots that earlier launches have written to.
func handedOn(p *engine.Program, cut int) (list []int) {
	if cut == len(p.Launches) {
		return nil
	}
	filled, written := make([]bool, len(p.Slots)), make([][]int, len(p.Slots))
	eachBuffer(p, 0, cut, func(role *engine.Role, buffer int) {
		filled[p.Buffers[buffer].Slot] = filled[p.Buffers[buffer].Slot] || role.Writes
	})
	for i := cut; i < len(p.Launches); i++ {
		eachBuffer(p, i, i+1, func(role *engine.Role, buffer int) {
			slot := p.Buffers[buffer].Slot
			covered := slices.ContainsFunc(written[slot], func(by int) bool { return covers(&p.Buffers[by], &p.Buffers[buffer]) })
			if !role.Writes && !role.Scratch && filled[slot] && !covered && !slices.Contains(list, buffer) {
				list = append(list, buffer)
			}
		})
		eachBuffer(p, i, i+1, func(role *engine.Role, buffer int) {
			if slot := p.Buffers[buffer].Slot; role.Writes && !slices.Contains(written[slot], buffer) {
				written[slot] = append(written[slot], buffer)
			}
		})
	}
	return list
}

// covers tells whether who writes all of a buffer writes all of another one of its slot: columns of the same rows, or the same bytes as rows of another length.
func covers(by, b *engine.Buffer) bool {
	if by.Rows.Scale(by.Stride) != b.Rows.Scale(b.Stride) {
		return false
	}
	all, err := by.RowBytes()
	own, err2 := b.RowBytes()
	if err != nil || err2 != nil {
		return false
	}
	if by.Rows == b.Rows {
		return by.Offset <= b.Offset && b.Offset+own <= by.Offset+all
	}
	return by.Offset == b.Offset && all == by.Stride
}

// eachBuffer visits the buffers of launches [first, end).
func eachBuffer(p *engine.Program, first, end int, visit func(role *engine.Role, buffer int)) {
	for i := first; i < end; i++ {
		l := &p.Launches[i]
		k := engine.FindKernel(l.Kernel)
		for n, o := range l.Operands {
			if o.Kind == engine.OperandBuffer {
				visit(&k.Roles[n], o.Index)
			}
		}
	}
}

// found is the buffer in which rows' tokens are found, -1 where the program does not sample.
func found(p *engine.Program) int {
	for i := range p.Launches {
		l := &p.Launches[i]
		if o := engine.FindKernel(l.Kernel).Operand(l, "found"); o.Kind == engine.OperandBuffer && engine.SampleFlags(l) != 0 {
			return o.Index
		}
	}
	return -1
}

// cut leaves the program what launches [first, end) touch. Entries that stand for launches of several stages are left out, and so is what adapters add.
func (s *Stage) cut(first, end int) {
	p, whole := s.Program, s.Whole
	p.Launches = slices.Clone(whole.Launches[first:end])
	p.Adapted, p.Persistent, p.Unpersistent = nil, nil, nil
	p.Auxiliary = slices.DeleteFunc(slices.Clone(p.Auxiliary), func(a engine.Auxiliary) bool {
		return a.Name == engine.BeginStep && s.Found < 0 || a.Name == engine.CountTokens && !s.Last()
	})
	used := map[int]bool{}
	for _, b := range slices.Concat(s.Takes, s.Gives) {
		used[p.Buffers[b].Slot] = true
	}
	if s.Found >= 0 {
		used[p.Buffers[s.Found].Slot] = true
	}
	eachBuffer(p, 0, len(p.Launches), func(_ *engine.Role, buffer int) { used[p.Buffers[buffer].Slot] = true })
	p.Slots = slices.Clone(p.Slots)
	for i := range p.Slots {
		if !used[i] {
			p.Slots[i] = sym.Dim{}
		}
	}
	s.cutWeights()
	s.cutCaches()
}

// cutWeights leaves the weights that launches read.
func (s *Stage) cutWeights() {
	p, place := s.Program, map[int]int{}
	p.Weights, p.Shares = nil, nil
	for i := range p.Launches {
		l := &p.Launches[i]
		l.Operands = slices.Clone(l.Operands)
		for n := range l.Operands {
			o := &l.Operands[n]
			if o.Kind != engine.OperandWeight {
				continue
			}
			at, known := place[o.Index]
			if !known {
				at = len(p.Weights)
				place[o.Index] = at
				p.Weights = append(p.Weights, s.Whole.Weights[o.Index])
				if s.Whole.Shares != nil {
					p.Shares = append(p.Shares, s.Whole.Shares[o.Index])
				}
			}
			o.Index = at
		}
	}
}

// cutCaches leaves each cache the layers that launches use, in their order. One of which that is none stays as a row of the table.
func (s *Stage) cutCaches() {
	p := s.Program
	p.Caches = slices.Clone(p.Caches)
	for c := range p.Caches {
		var layers []int64
		for i := range p.Launches {
			if l := &p.Launches[i]; cacheOf(l) == c {
				layers = append(layers, l.Int("layer", 0))
			}
		}
		slices.Sort(layers)
		layers = slices.Compact(layers)
		p.Caches[c].Layers = len(layers)
		for i := range p.Launches {
			if l := &p.Launches[i]; cacheOf(l) == c {
				at, _ := slices.BinarySearch(layers, l.Int("layer", 0))
				l.Attrs = slices.Clone(l.Attrs)
				for a := range l.Attrs {
					if l.Attrs[a].Name == "layer" {
						l.Attrs[a].Int = int64(at)
					}
				}
			}
		}
	}
}
