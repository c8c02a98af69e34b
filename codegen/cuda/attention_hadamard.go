package cuda

import (
	"llmc/codegen/ptx"
)

// stageTurned is stageQueries of heads that are multiplied with Hadamard matrices, as the keys are, before they are rounded. Lanes have neighbouring pairs of
// channels, and of matrices of more than 64 several:
//
//	channel  0 1 | 2 3 | .. | 62 63 | 64 65 | ..
//	lane      0  |  1  |    |   31  |   0   |      butterflies of 1 in a lane, of 2 to 32 among lanes, of 64 and 128 in a lane
//
// Matrices of less than 64 lie side by side in the lanes, those of several rows too.
func (a *attend) stageTurned(item []ptx.Reg) {
	e, pairs, block := a.e, a.dimPad()/2, a.e.turnBlock()
	each := max(1, block/64)
	tiles := e.Shr(e.Add(e.Mul(item[2], a.group), 15), 4)
	e.For(ptx.Range{Name: "queries", From: e.Mul(a.warp, 32*each), To: e.Mul(tiles, 16*pairs), Step: attentionThreads * each}, func(first ptx.Reg) {
		i := e.Add(first, a.lane)
		row := e.Div(i, pairs)
		d := e.Shl(e.Sub(i, e.Mul(row, pairs)), 1)
		token, column, ok := a.query(item, row)
		v := e.Zeros(ptx.F32, 2*each)
		for n := range each {
			further := e.Add(d, 64*n)
			e.If(e.CmpAnd(ptx.LT, further, a.dim, ok), func() {
				for j, x := range a.queryNumbers(token, column, further) {
					e.Set(v[2*n+j], e.Mul(x, e.turnFactor()))
				}
			})
		}
		e.butterflies(v, 1, min(2, block))
		e.laneButterflies(v, a.lane, 2, 32, block)
		e.butterflies(v, 2, 2*each)
		for n := range each {
			at := e.Mad(row, a.rowBytes(), e.Index(a.q, a.queryOrder(e.Add(d, 64*n)), 2))
			e.St(at, e.Cvt2(a.format.pair, v[2*n], v[2*n+1]))
		}
	})
}

// turnResults multiplies the results with the matrices that the values were multiplied with, but for turnFactor. Butterflies within a span of channels are
// in a lane and among the four that have a row; those among spans are where the warp has all, or go through shared memory.
func (s *rowState) turnResults(plan scorePlan) {
	s.e.Section("results turn")
	block, span := s.e.turnBlock(), s.span()
	mine := span / 4 // channels of a lane
	for i := range 2 {
		for q := range len(s.out) / s.spanBlocks() {
			v := s.spanResults(s.out, q, i)
			s.e.butterflies(v, 1, min(mine, block))
			s.e.laneButterflies(v, s.lane, mine, 4, block)
		}
		switch {
		case block <= span:
		case plan.holds():
			s.turnSpans(i, block/span)
		default:
			s.exchangeSpans(plan, i, block/span)
		}
	}
}

// turnSpans are the butterflies among spans that a warp has.
func (s *rowState) turnSpans(i, spans int) {
	var rows [][]ptx.Reg
	for q := range len(s.out) / s.spanBlocks() {
		rows = append(rows, s.spanResults(s.out, q, i))
	}
	for first := 0; first < len(rows); first += spans {
		for c := range rows[0] {
			var v []ptx.Reg
			for _, row := range rows[first:][:spans] {
				v = append(v, row[c])
			}
			s.e.butterflies(v, 1, spans)
		}
	}
}

// exchangeSpans are those among spans that several warps have, of rows 8i to 8i+7 of each tile: all write theirs where tiles were, and each makes the sums
// that it needs of what all wrote. A row of f32 takes no more there than 32 positions of a tile for each tile of rows, which a slot has for one, and two
// slots for the two of rowWarps; 16 bytes more let eight rows lie in different banks.
//
//	row g of tile of rows r:  | span 0: lane 0 of 4 | lane 1 | .. | span 1: | .. |
func (s *rowState) exchangeSpans(plan scorePlan, i, spans int) {
	e, mine := s.e, s.span()/4
	rowBytes := 4*s.valuesPad() + 16
	row := e.Add(e.Mul(e.Shr(s.number, 4), 8), e.And(s.number, 7))
	at := e.Mad(row, rowBytes, e.Add(s.ring, e.Mul(e.And(s.lane, 3), 4*mine)))
	e.CopyWait(0) // no tile is on its way any more, but that is for others to say
	e.Sync()
	plan.spans(func(q int, number ptx.Reg) {
		v, to := s.spanResults(s.out, q, i), e.Index(at, number, 4*s.span())
		for c := 0; c < mine; c += 4 {
			e.StV(to.At(4*c), v[c:c+4])
		}
	})
	e.Sync()
	plan.spans(func(q int, number ptx.Reg) {
		from := e.Index(at, e.And(number, -spans), 4*s.span())
		v := s.spanResults(s.out, q, i)
		for c := 0; c < mine; c += 4 {
			var all [][]ptx.Reg
			for n := range spans {
				all = append(all, e.LdV(ptx.F32, 4, from.At(4*(n*s.span()+c))))
			}
			for bit := 1; bit < spans; bit *= 2 {
				sign := e.butterflySign(number, bit)
				for n := range len(all) / 2 {
					for j := range 4 {
						e.Into(all[2*n][j]).Fma(all[2*n+1][j], sign, all[2*n][j])
					}
					all[n] = all[2*n]
				}
				all = all[:len(all)/2]
			}
			for j, x := range all[0] {
				e.Set(v[c+j], x)
			}
		}
	})
}

// expandOctets is expandTile of rows that were multiplied with Hadamard matrices: they turn back before they are rounded. Neighbouring lanes have neighbouring
// octets of a row.
func (k *keyTurns) expandOctets(slot ptx.Reg) {
	e, octets := k.e, k.dimPad()/octet
	e.For(ptx.Range{Name: "octets", From: e.Mul(k.warp, 32), To: attentionTile * octets, Step: attentionThreads}, func(first ptx.Reg) {
		i := e.Add(first, k.lane)
		row := e.Div(i, octets)
		number := e.Sub(i, e.Mul(row, octets))
		scale := e.Cvt(ptx.F32, e.Ld(ptx.F16, e.Index(slot, row, kvScaleBytes).At(k.tileScale())))
		if factor := k.format.codes.factor; factor != 1 {
			scale = e.Mul(scale, factor)
		}
		codes := e.Mad(row, k.tileRowBytes(), e.Index(slot, number, k.channelBytes(octet)))
		var v []ptx.Reg
		for at := 0; at < k.channelBytes(octet); at += 4 {
			for _, pair := range k.format.codes.expand(k.attend, e.Ld(ptx.B32, codes.At(at)), false) {
				for _, x := range e.widen(pair) {
					v = append(v, e.Mul(x, scale))
				}
			}
		}
		e.turnOctet(v, k.lane)
		var pairs []ptx.Reg
		for n := 0; n < octet; n += 2 {
			pairs = append(pairs, e.Cvt2(k.format.pair, v[n], v[n+1]))
		}
		e.StV(e.Mad(row, k.rowBytes(), e.Index(k.turned, number, 2*octet)), pairs)
	})
}
