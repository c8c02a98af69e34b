package engine

import (
	"fmt"

	"llmc/internal/sym"
)

// access is memory that a launch reads or writes.
type access struct {
	role   string
	place  place
	reads  bool // what others wrote, so that it must have been written
	writes bool
}

// place is where it lies. Places of different kinds or indices never overlap: slots lie one behind the other, and so do caches and the layers of one.
type place struct {
	kind  OperandKind
	index int   // of the slot, the cache or the input
	layer int64 // of a cache
	// Of a slot: rows of so many bytes, the first of which begins at an offset.
	rows                sym.Dim
	offset, row, stride int64
}

// overlaps tells whether two places may have a byte in common. Rows of equal distance that have different columns do not; all else in one slot may.
func (p *place) overlaps(q *place) bool {
	if p.kind != q.kind || p.index != q.index || p.layer != q.layer {
		return false
	}
	if p.kind != OperandBuffer || p.stride != q.stride || p.stride == 0 {
		return true
	}
	// Columns modulo the stride, counted from p's first one.
	apart := ((q.offset-p.offset)%p.stride + p.stride) % p.stride
	return apart < p.row || apart+q.row > p.stride
}

// within tells whether rows of q contain those of p, so that who writes q writes p.
func (p *place) within(q *place) bool {
	if p.kind != q.kind || p.index != q.index || p.stride != q.stride {
		return false
	}
	for i := range p.rows.Coef {
		if p.rows.Coef[i] > q.rows.Coef[i] {
			return false
		}
	}
	return p.rows.K <= q.rows.K && p.offset >= q.offset && p.offset+p.row <= q.offset+q.row
}

// countingInputs are step arrays in which launches count: zero before and after each, which two launches at the same time would upset.
var countingInputs = map[string]bool{"tickets": true, "items": true}

// accesses lists what a launch of the program touches and others may write: weights and most step arrays never change while a step runs.
func (p *Program) accesses(l *Launch) ([]access, error) {
	var list []access
	for i, role := range FindKernel(l.Kernel).Roles {
		if i >= len(l.Operands) {
			break
		}
		o := l.Operands[i]
		a := access{role: role.Name, place: place{kind: o.Kind, index: o.Index}, reads: !role.Writes, writes: role.Writes}
		switch o.Kind {
		case OperandBuffer:
			b := &p.Buffers[o.Index]
			bytes, err := b.RowBytes()
			if err != nil {
				return nil, fmt.Errorf("buffer %s: %w", b.Name, err)
			}
			a.place.index, a.place.rows, a.place.offset, a.place.row, a.place.stride = b.Slot, b.Rows, b.Offset, bytes, b.Stride
			if role.Scratch {
				a.reads, a.writes = false, true
			}
		case OperandCache:
			a.place.layer = l.Int("layer", 0)
			a.reads = false // what a step before wrote will do
		case OperandInput:
			if !countingInputs[role.Name] {
				continue
			}
			a.reads, a.writes = false, true
		default:
			continue
		}
		list = append(list, a)
	}
	return list, nil
}
