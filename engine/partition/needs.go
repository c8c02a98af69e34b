package partition

import "llmc/engine"

// need is what a rank reads of a buffer.
type need struct {
	bytes   Set // of each row
	offsets int // if above 0: only rows at the rank's own experts, whose first rows are in buffer offsets-1
}

func (n need) empty() bool { return len(n.bytes) == 0 }

func (n need) union(m need) need {
	switch {
	case n.empty():
		return m
	case m.empty():
		return n
	case n.offsets != m.offsets:
		return need{bytes: n.bytes.Union(m.bytes)}
	}
	return need{n.bytes.Union(m.bytes), n.offsets}
}

// want is a need of launches behind the one at hand, in terms of the buffer that they read.
type want struct {
	buffer, rank int
	need
}

// analysis goes through the launches from the last to the first, and knows what those behind read of each slot.
type analysis struct {
	p       *engine.Program
	weights Weights
	ranks   Ranks
	out     *Program
	rows    []int          // bytes of a row, by buffer
	wants   map[int][]want // by slot
}

func (a *analysis) add(w want) {
	if w.empty() {
		return
	}
	slot := a.p.Buffers[w.buffer].Slot
	for i := range a.wants[slot] {
		if v := &a.wants[slot][i]; v.buffer == w.buffer && v.rank == w.rank {
			v.need = v.need.union(w.need)
			return
		}
	}
	a.wants[slot] = append(a.wants[slot], w)
}

// take returns what each rank needs of a buffer that is written now, which earlier launches need not give any more.
func (a *analysis) take(buffer int) []need {
	b := &a.p.Buffers[buffer]
	needs, all := make([]need, a.ranks.Size()), Of(0, a.rows[buffer])
	kept := a.wants[b.Slot][:0]
	for _, w := range a.wants[b.Slot] {
		c, n := &a.p.Buffers[w.buffer], &needs[w.rank]
		switch {
		case w.buffer == buffer:
			*n = n.union(w.need)
		case c.Rows == b.Rows && c.Stride == b.Stride: // other columns of the same rows
			by := int(c.Offset - b.Offset)
			bytes := w.bytes.Shift(by)
			if own := bytes.Intersect(all); len(own) > 0 {
				*n = n.union(need{own, w.offsets})
			}
			if w.bytes = bytes.Minus(all).Shift(-by); len(w.bytes) > 0 {
				kept = append(kept, w)
			}
		case c.Offset == b.Offset && c.Rows.Scale(c.Stride) == b.Rows.Scale(b.Stride): // the same bytes as rows of another length
			*n = n.union(need{bytes: all})
		default:
			*n = n.union(need{bytes: all})
			kept = append(kept, w)
		}
	}
	a.wants[b.Slot] = kept
	return needs
}

// element is the size of a column of a plain buffer.
func (a *analysis) element(buffer int) int { return a.p.Buffers[buffer].DType.Size() }

// cols is how many columns a buffer has.
func (a *analysis) cols(buffer int) int { return int(a.p.Buffers[buffer].Cols) }

// bytesOf are the bytes of columns, those of the last with the padding behind it.
func (a *analysis) bytesOf(buffer int, columns Set) Set {
	bytes := columns.Scale(a.element(buffer))
	if n := len(bytes); n > 0 && columns[n-1].To == a.cols(buffer) {
		bytes[n-1].To = a.rows[buffer]
	}
	return bytes
}
