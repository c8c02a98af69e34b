package cpu

import (
	"llmc/engine/partition"
	"llmc/runtime/comm"
)

// exchange sends what other ranks need of what a launch has computed, and receives what they have. One worker does it, while the others wait.
type exchange struct {
	m           *model
	launch      uint64
	sends, gets []transfer // one for each rank that takes or gives
	out, in     []comm.Message
	buffers     [][]byte // of sends, then of gets; they grow
}

// transfer is what goes to a rank, or comes from one, in the order of the program's moves.
type transfer struct {
	rank   int
	pieces []piece
}

// piece is some bytes of each row of a buffer.
type piece struct {
	v     view
	bytes partition.Set
	rows  rowsOf
}

// bindExchanges finds what this rank sends and receives behind each launch.
func (f *function) bindExchanges(m *model) error {
	f.exchanges = make([]*exchange, len(f.runners))
	if f.partition == nil {
		return nil
	}
	for i := range f.exchanges {
		x := &exchange{m: m, launch: uint64(i)}
		for _, move := range f.partition.Launches[i].Moves {
			b := &f.program.Buffers[move.Buffer]
			p := piece{v: f.views[move.Buffer], bytes: move.Bytes, rows: rowsOf{dim: b.Rows}}
			if move.Experts != nil {
				p.rows.experts, p.rows.offsets = move.Experts, f.views[move.Offsets]
			}
			switch m.rank() {
			case move.From:
				x.sends = appendPiece(x.sends, move.To, p)
			case move.To:
				x.gets = appendPiece(x.gets, move.From, p)
			}
		}
		if n := len(x.sends) + len(x.gets); n > 0 {
			x.buffers = make([][]byte, n)
			f.exchanges[i] = x
		}
	}
	return nil
}

func appendPiece(list []transfer, rank int, p piece) []transfer {
	for i := range list {
		if list[i].rank == rank {
			list[i].pieces = append(list[i].pieces, p)
			return list
		}
	}
	return append(list, transfer{rank, []piece{p}})
}

func (x *exchange) run(s *state, _ int) {
	x.out, x.in = x.out[:0], x.in[:0]
	for i := range x.sends {
		t := &x.sends[i]
		data := x.room(i, t.size(s))
		at := 0
		t.each(s, func(row []byte) { at += copy(data[at:], row) })
		x.out = append(x.out, comm.Message{Rank: t.rank, Data: data})
	}
	for i := range x.gets {
		t := &x.gets[i]
		x.in = append(x.in, comm.Message{Rank: t.rank, Data: x.room(len(x.sends)+i, t.size(s))})
	}
	if err := x.m.split.Group.Exchange(x.m.steps<<16|x.launch, x.out, x.in); err != nil {
		s.failure.CompareAndSwap(nil, &err)
		return
	}
	for i := range x.gets {
		data := x.in[i].Data
		x.gets[i].each(s, func(row []byte) { data = data[copy(row, data):] })
	}
}

// room returns n bytes that are kept from step to step.
func (x *exchange) room(i, n int) []byte {
	if cap(x.buffers[i]) < n {
		x.buffers[i] = make([]byte, n)
	}
	return x.buffers[i][:n]
}

// size is how many bytes go in a step.
func (t *transfer) size(s *state) int {
	n := 0
	for i := range t.pieces {
		p := &t.pieces[i]
		first, end := p.rows.span(s)
		n += (end - first) * p.bytes.Len()
	}
	return n
}

// each calls visit with the bytes of each row.
func (t *transfer) each(s *state, visit func(row []byte)) {
	for i := range t.pieces {
		p := &t.pieces[i]
		first, end := p.rows.span(s)
		for r := first; r < end; r++ {
			for _, b := range p.bytes {
				visit(p.v.data[r*p.v.stride:][b.From:b.To])
			}
		}
	}
}
