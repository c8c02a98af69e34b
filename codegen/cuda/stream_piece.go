package cuda

import (
	"llmc/codegen/ptx"
)

// streamPiece is the CTA's work: parts from to to-1 of a tile, by its numbers along the tokens and along the outputs.
type streamPiece struct {
	row, column ptx.Reg
	from, to    ptx.Reg
	cut         ptx.Reg // others have parts of the tile too; false in all CTAs of entries that cut no tiles
	ticket      ptx.Reg // the number of the tile among those that are cut
	length      ptx.Reg // of ranges
}

// streamRound is how the tiles of a launch are shared out: pieces CTAs have ranges of so many parts of the last rest tiles, which have the lowest
// numbers; those behind have a whole tile each.
type streamRound struct{ rows, tiles, rest, length, ranges, pieces ptx.Reg }

// startPiece finds what the CTA has to do, and conditions in which that is nothing.
func (w *wide) startPiece() (idle []ptx.Reg) {
	w.piece, idle = w.findPiece()
	return idle
}

// findPiece is startPiece that does not keep what it finds. It is called again where what only the end needs would take registers from the
// main loop.
func (w *wide) findPiece() (p streamPiece, idle []ptx.Reg) {
	if !w.cuts() {
		return streamPiece{row: w.CtaX(), column: w.CtaY(), from: w.Const(ptx.U32, 0), to: w.Const(ptx.U32, kParts)}, nil
	}
	w.Section("piece")
	round := w.knownRound()
	number := w.CtaY()
	if !w.oneRow {
		round, number = w.lastRound(), w.CtaX()
	}
	range_, second := number, w.Ge(number, round.ranges)
	range_ = w.Select(second, w.Sub(number, round.ranges), number)
	begin := w.Mul(range_, round.length)
	end := w.Min(w.Add(begin, round.length), w.Mul(round.rest, kParts))
	border := w.Min(w.And(w.Add(begin, kParts), -kParts), end) // of tiles, behind the first one's parts in the range
	other := w.CmpXor(ptx.LT, w.Sub(border, begin), w.Sub(end, border), second)
	from, to := w.Select(other, border, begin), w.Select(other, end, border)

	whole := w.Ge(number, round.pieces)
	tile := w.Select(whole, w.Add(w.Sub(number, round.pieces), round.rest), w.Shr(from, log2(kParts)))
	idle = []ptx.Reg{w.Ge(tile, round.tiles), w.CmpAnd(ptx.GE, from, to, whole.Not())}
	p = streamPiece{row: w.CtaX(), column: tile, ticket: tile, length: round.length}
	if !w.oneRow {
		p.column = w.Div(tile, round.rows)
		p.row = w.Sub(tile, w.Mul(p.column, round.rows))
	}
	first := w.Shl(tile, log2(kParts))
	p.from, p.to = w.Select(whole, w.Const(ptx.U32, 0), w.Sub(from, first)), w.Select(whole, w.Const(ptx.U32, kParts), w.Sub(to, first))
	p.cut = w.Lt(w.Sub(p.to, p.from), kParts)
	return p, idle
}

// knownRound is for one row of tiles.
func (w *wide) knownRound() streamRound {
	ranges, pieces := w.stream.piecesOf(w.rest())
	n := func(n int) ptx.Reg { return w.Const(ptx.U32, n) }
	return streamRound{n(1), n(w.columns()), n(w.rest()), n(w.stream.lengthOf(w.rest())), n(ranges), n(pieces)}
}

// lastRound computes what lengthOf and piecesOf do for as many rows of tiles as the step has.
func (w *wide) lastRound() streamRound {
	s := w.stream
	r := streamRound{rows: w.Shr(w.Add(w.rows("x"), w.tokens-1), log2(w.tokens))}
	r.tiles = w.Mul(r.rows, w.columns())
	r.rest = w.Rem(r.tiles, s.slots)
	length := w.Div(w.Mad(r.rest, kParts, s.slots-1), s.slots)
	length = w.Max(w.And(w.Add(length, s.step-1), -s.step), s.least)
	r.length = w.Select(w.Gt(length, s.most), w.Const(ptx.U32, kParts), length)
	r.ranges = w.Div(w.Sub(w.Mad(r.rest, kParts, r.length), 1), r.length)
	uneven := w.Ne(w.Rem(w.Const(ptx.U32, kParts), r.length), 0)
	r.pieces = w.Select(uneven, w.Shl(r.ranges, 1), r.ranges)
	return r
}

// partPlace is where a thread's first sum of a part of the tile lies: [tile][part][sum][thread] f32.
func (w *wide) partPlace(part ptx.Reg) ptx.Reg {
	number := w.Mad(w.piece.ticket, kParts, part)
	return w.Index(w.Index(w.Reload("parts"), number, w.partBytes()), w.owner(), 4)
}

// owners is how many threads have sums of a tile in the end, and owner the number of the thread among them.
func (w *wide) owners() int { return 128 * wideGroups / w.rings }

func (w *wide) owner() ptx.Reg { return w.And(w.TidX(), w.owners()-1) }

// storePart writes the thread's sums of a part.
func (w *wide) storePart(part ptx.Reg, sums []ptx.Reg) {
	to := w.partPlace(part)
	for i, v := range sums {
		w.St(to.At(4*w.owners()*i), v)
	}
}

// countPiece counts the CTA on the ticket of its tile, once its warpgroups have written all sums. It returns whether the CTA is the last one to.
func (w *wide) countPiece() ptx.Reg {
	both := func() { w.SyncSome(bothBarrier, 128*wideGroups) }
	last := w.lastPiece(w.counted, both, func() (at, others ptx.Reg) {
		first := w.Shl(w.piece.ticket, log2(kParts))
		others = w.Sub(w.Div(w.Add(first, kParts-1), w.piece.length), w.Div(first, w.piece.length))
		return w.Index(w.Reload("tickets"), w.piece.ticket, 4), others
	})
	return w.Assume(ptx.CTAUniform, last)
}

// addParts adds all parts of the tile to total, in order.
func (w *wide) addParts(total []ptx.Reg) {
	from := w.partPlace(w.Const(ptx.U32, 0))
	w.For(ptx.Range{Name: "parts", From: 0, To: kParts, NoUnroll: true}, func(ptx.Reg) {
		var sums []ptx.Reg
		for i := range total {
			sums = append(sums, w.Ld(ptx.F32, from.At(4*w.owners()*i)))
		}
		for i, v := range sums {
			w.Into(total[i]).Add(total[i], v)
		}
		w.Into(from).Add(from, w.partBytes())
	})
}
