package cuda

import (
	"math"

	"llmc/codegen/ptx"
)

// rowState is what a lane knows of the two rows of a tile of 16 that its accumulators belong to: row lane/4 and eight further.
type rowState struct {
	*attend
	number       ptx.Reg    // of the first one in the CTA
	slope        [2]ptx.Reg // of the row's head, where there is alibi
	learned      [2]ptx.Reg // place of distance 0 among the numbers of the row's head, where there are such
	own          [2]ptx.Reg // the row's position, where it sees others ahead of it and it matters which; elsewhere that is to
	to           [2]ptx.Reg // last position that the row sees; -1 where there is no row
	largest, sum [2]ptx.Reg // of the splits so far
	out          [][]ptx.Reg
	parked       []ptx.Addr // where the last blocks of out lie in shared memory, when registers do not hold them
	partLargest  [2]ptx.Reg // of the tiles so far of the present split
	partSum      [2]ptx.Reg
	part         [][]ptx.Reg
	valid        [2]ptx.Reg // the row sees something of the tile
	tileLargest  [2]ptx.Reg
}

func newRowState(a *attend, item []ptx.Reg, row ptx.Reg, blocks int) *rowState {
	s := &rowState{attend: a, number: row}
	for i := range 2 {
		token, column, ok := a.query(item, a.e.Add(row, 8*i))
		s.to[i] = a.e.Const(ptx.S32, -1)
		s.sees(i, token, ok)
		if a.e.has("alibi") {
			s.slope[i] = a.e.Mul(a.ofHead("alibi", column, ok), math.Log2E)
		}
		s.startRelative(i, column)
		s.largest[i], s.sum[i], s.tileLargest[i] = a.e.Const(ptx.F32, math.Inf(-1)), a.e.Const(ptx.F32, 0), a.e.Const(ptx.F32, 0)
		s.partLargest[i], s.partSum[i] = a.e.Const(ptx.F32, math.Inf(-1)), a.e.Const(ptx.F32, 0)
	}
	for range blocks {
		s.out, s.part = append(s.out, a.e.Zeros(ptx.F32, 4)), append(s.part, a.e.Zeros(ptx.F32, 4))
	}
	return s
}

// sees finds where row i is and what it sees last.
func (s *rowState) sees(i int, token, ok ptx.Reg) {
	s.own[i] = s.to[i]
	if s.reach.Text {
		s.e.When(ok).Into(s.to[i]).Mov(s.work.end)
		return
	}
	at := s.e.Index(s.e.pointers["positions"], token, 4)
	s.e.When(ok).Into(s.to[i]).Ld(ptx.S32, at)
	if s.reach.Ahead == 0 {
		return
	}
	if !s.reach.FromFirst() || s.relative() {
		s.own[i] = s.e.Mov(s.to[i])
	}
	s.e.When(ok).Into(s.to[i]).Mov(s.lastSeen(s.to[i], s.work.end))
}

func (s *rowState) state() *rowState { return s }

// clearPart begins a split.
func (s *rowState) clearPart() {
	for i := range 2 {
		s.e.Set(s.partLargest[i], math.Inf(-1))
		s.e.Set(s.partSum[i], 0.0)
	}
	for _, block := range s.part {
		for _, v := range block {
			s.e.Set(v, 0.0)
		}
	}
}

// after tells, where p holds, whether a position is not before the first one that a row sees. There may be none before it.
func (s *rowState) after(position ptx.Reg, i int, p ptx.Reg) ptx.Reg {
	if s.reach.FromFirst() {
		return p
	}
	return s.e.CmpAnd(ptx.GE, position, s.firstSeen(s.own[i]), p)
}

// see tells which rows see something of the tile.
func (s *rowState) see(position ptx.Reg) {
	last := s.e.Add(position, attentionTile-1)
	for i := range 2 {
		s.valid[i] = s.after(last, i, s.e.Ge(s.to[i], position))
	}
}

// score multiplies a span of queries from channel c on with that of 16 keys: blocks of 8 positions.
func (s *rowState) score(acc, query [][]ptx.Reg, keys ptx.Addr, c int) {
	for n, blocks := range s.keyOperand(keys, c) {
		for i, k := range blocks {
			s.e.Mma(s.format.mma, acc[i], query[n], k)
		}
	}
}

// queryOperand reads a span of queries from channel c on as operands A, for each product of 16 channels.
func (s *rowState) queryOperand(queries ptx.Reg, c int) (products [][]ptx.Reg) {
	for further := 0; further < s.keySpan(); further += 16 {
		products = append(products, s.e.Ldmatrix(s.format.pair, 4, false, queries.At(2*(c+further))))
	}
	return products
}

// queryPlace is where a lane reads operand A of a tile of rows: row lane%16, the second eight channels in the upper half of the warp.
func (s *rowState) queryPlace(base, tile ptx.Reg, rowBytes int) ptx.Reg {
	lane := s.e.Mad(s.e.And(s.lane, 15), rowBytes, s.e.Shl(s.e.Shr(s.lane, 4), 4))
	return s.e.Add(s.e.Mad(tile, 16*rowBytes, base), lane)
}

// keyPlace is where a lane reads 16 positions as operand B: matrices of positions 0-7 and 8-15, each of channels 0-7, then 8-15; of codes, all 16
// channels.
func (s *rowState) keyPlace() ptx.Reg {
	if s.codedKeys() {
		return s.e.Mul(s.e.And(s.lane, 15), s.keyRowBytes())
	}
	position := s.e.Add(s.e.And(s.lane, 7), s.e.Shl(s.e.Shr(s.lane, 4), 3))
	return s.e.Mad(position, s.keyRowBytes(), s.e.Shl(s.e.And(s.lane, 8), 1))
}

// valuePlace is where a lane reads 16 positions transposed: channels 0-7, then 8-15, each of positions 0-7, then 8-15; of codes, all 16
// channels, which only half of the lanes read.
func (s *rowState) valuePlace() ptx.Reg {
	place := s.e.Mul(s.e.And(s.lane, 15), s.tileRowBytes())
	if s.scaled() {
		return place
	}
	return s.e.Add(place, s.e.Shl(s.e.Shr(s.lane, 4), 4))
}

// valueScales loads the scales of a tile's values as pairs of neighbouring positions, in the order of operand B: two for 16 positions.
func (s *rowState) valueScales(slot ptx.Reg) (scales []ptx.Reg) {
	if !s.scaled() {
		return nil
	}
	at := s.e.Add(slot, s.e.Shl(s.e.And(s.lane, 3), 2)).At(s.tileScale())
	for i := range 2 * tileSteps {
		scale := s.e.Ld(ptx.F16x2, at.At(8*i*kvScaleBytes))
		if factor := s.format.codes.factor; factor != 1 {
			scale = s.e.Mul(scale, s.e.Const(ptx.F16x2, factor))
		}
		scales = append(scales, scale)
	}
	return scales
}

// keyScales multiplies the scores of a block of positions by their keys' scales; positions is where the block's scales lie.
func (s *rowState) keyScales(block []ptx.Reg, positions ptx.Addr) {
	low, high := s.e.Unpack(ptx.F16, s.e.Ld(ptx.F16x2, positions))
	for j, scale := range []ptx.Reg{s.e.Cvt(ptx.F32, low), s.e.Cvt(ptx.F32, high)} {
		for _, v := range []ptx.Reg{block[j], block[j+2]} {
			s.e.Into(v).Mul(v, scale)
		}
	}
}

// exponents makes products exponents of 2 and hides positions that a row does not see. Column c of block n is position 8n + c behind
// first; scales is where the keys' scales begin, of keys that are codes.
func (s *rowState) exponents(acc [][]ptx.Reg, tile, first, scales ptx.Reg) {
	softcap, factor := s.e.launch.Float("softcap", 0), 1.0
	if s.codedKeys() {
		factor = s.format.codes.factor
		scales = s.e.Add(scales, s.e.Shl(s.e.And(s.lane, 3), 2))
	}
	for n, block := range acc {
		if s.codedKeys() {
			s.keyScales(block, scales.At(8*n*kvScaleBytes))
		}
		for _, v := range block {
			if softcap == 0 {
				s.e.Into(v).Mul(v, factor*s.base2())
				continue
			}
			s.e.Into(v).Mul(s.tanh(s.e.Mul(v, factor*s.e.launch.Float("scale", 1)/softcap)), softcap*math.Log2E)
		}
	}
	if s.e.has("alibi") {
		s.lean(acc, first)
	}
	if s.relative() {
		s.addRelative(acc, first)
	}
	whole := s.e.Ge(tile, 0)
	last := s.e.Add(tile, attentionTile-1)
	for i := range 2 {
		inside := s.after(tile, i, s.e.Le(last, s.to[i]))
		whole = s.e.And(whole, s.e.CmpOr(ptx.LT, s.to[i], 0, inside))
	}
	s.e.If(s.e.VoteAll(whole).Not(), func() {
		column := s.e.Add(first, s.e.Shl(s.e.And(s.lane, 3), 1).As(ptx.S32))
		for n, block := range acc {
			for j, v := range block {
				position := s.e.Add(column, 8*n+j%2)
				seen := s.after(position, j/2, s.e.Le(position, s.to[j/2]))
				s.e.Unless(seen).Set(v, math.Inf(-1))
			}
		}
	})
}

// lean adds slope times the distance from the row's position, an exact number, to the exponents.
func (s *rowState) lean(acc [][]ptx.Reg, first ptx.Reg) {
	column := s.e.Add(first, s.e.Shl(s.e.And(s.lane, 3), 1).As(ptx.S32))
	for i := range 2 {
		distance := s.e.Cvt(ptx.F32, s.e.Sub(column, s.to[i]))
		for n, block := range acc {
			for j, v := range block[2*i : 2*i+2] {
				s.e.Into(v).Fma(s.slope[i], s.e.Add(distance, float64(8*n+j)), v)
			}
		}
	}
}

// tanh is good to the last places of 1, which is what scores need: 1 - 2/(1 + e^2x).
func (s *rowState) tanh(x ptx.Reg) ptx.Reg {
	e := s.e.Ex2(s.e.Mul(x, 2*math.Log2E))
	return s.e.Fma(s.e.RcpApprox(s.e.Add(e, 1)), -2.0, 1.0)
}

// largestOf is the largest exponent of each row among the blocks.
func (s *rowState) largestOf(acc [][]ptx.Reg) (top [2]ptx.Reg) {
	for i := range 2 {
		top[i] = s.e.Max(acc[0][2*i], acc[0][2*i+1])
		for _, block := range acc[1:] {
			top[i] = s.e.Max(top[i], s.e.Max(block[2*i], block[2*i+1]))
		}
		for _, mask := range []int{1, 2} {
			top[i] = s.e.Max(top[i], s.e.ShflXor(top[i], mask))
		}
	}
	return top
}

// weights makes exponents the weights 2^(exponent - largest), as pairs of what values are multiplied as: for each block those of the first row, then of the
// second.
func (s *rowState) weights(acc [][]ptx.Reg, top [2]ptx.Reg, pairs []ptx.Reg) {
	for i := range 2 {
		s.e.Set(s.tileLargest[i], s.e.Select(s.valid[i], top[i], 0.0))
	}
	for n, block := range acc {
		for i := range 2 {
			low, high := s.e.Ex2Ftz(s.e.Sub(block[2*i], s.tileLargest[i])), s.e.Ex2Ftz(s.e.Sub(block[2*i+1], s.tileLargest[i]))
			s.e.Into(pairs[2*n+i]).Cvt2(s.format.pair, low, high)
		}
	}
}

// merging is how what was before and what comes now are put together: out = out*old + new*now, in rows in which there is something new.
type merging struct {
	old, now [2]ptx.Reg
	valid    [2]ptx.Reg
}

// join makes largest and sum those of both.
func (s *rowState) join(largest, sum, newLargest, newSum, valid [2]ptx.Reg) (m merging) {
	m.valid = valid
	for i := range 2 {
		top := s.e.Max(largest[i], newLargest[i])
		m.old[i], m.now[i] = s.e.Ex2Ftz(s.e.Sub(largest[i], top)), s.e.Ex2Ftz(s.e.Sub(newLargest[i], top))
		part := s.e.Mul(newSum[i], m.now[i])
		s.e.When(valid[i]).Into(sum[i]).Fma(sum[i], m.old[i], part)
		s.e.When(valid[i]).Into(largest[i]).Mov(top)
	}
	return m
}

// add is out*old + new*now.
func (s *rowState) add(m merging, out, block []ptx.Reg) {
	for j, v := range block {
		part := s.e.Mul(v, m.now[j/2])
		s.e.When(m.valid[j/2]).Into(out[j]).Fma(out[j], m.old[j/2], part)
	}
}

// fold adds a split to those before it. To the first one nothing is added, so that it stays as it is.
func (s *rowState) fold() {
	var some [2]ptx.Reg
	for i := range 2 {
		some[i] = s.e.Gt(s.partLargest[i], math.Inf(-1))
	}
	m := s.join(s.largest, s.sum, s.partLargest, s.partSum, some)
	for n := range s.out {
		s.add(m, s.out[n], s.part[n])
	}
	for i, at := range s.parked {
		block := s.e.LdV(ptx.F32, 4, at)
		s.add(m, block, s.part[len(s.out)+i])
		s.e.StV(at, block)
	}
}

// park keeps the last n blocks of out in shared memory, a place for each thread. Only the ends of splits need them.
func (s *rowState) park(n int) {
	s.out = s.out[:len(s.out)-n]
	first := s.e.Index(s.e.Addr(s.e.Dynamic("parked", s.parkedBytes(), 16)), s.e.TidX(), 16)
	zero := s.e.Zeros(ptx.F32, 4)
	for i := range n {
		at := first.At(16 * attentionThreads * i)
		s.parked = append(s.parked, at)
		s.e.StV(at, zero)
	}
}

// unpark brings them back, for good.
func (s *rowState) unpark() {
	for _, at := range s.parked {
		s.out = append(s.out, s.e.LdV(ptx.F32, 4, at))
	}
	s.parked = nil
}

// merge adds the weights of the tile to the sum. The matrix units add them up, as products with ones, in the order of all products.
func (s *rowState) merge(weights [][]ptx.Reg) merging {
	sums, ones := s.e.Zeros(ptx.F32, 4), s.e.Const(s.format.pair, 1.0)
	for _, w := range weights {
		s.e.Mma(s.format.mma, sums, w, []ptx.Reg{ones, ones})
	}
	return s.join(s.partLargest, s.partSum, s.tileLargest, [2]ptx.Reg{sums[0], sums[2]}, s.valid)
}

// product adds weights times a span of the tile's values to its blocks of the result.
func (s *rowState) product(m merging, weights, out [][]ptx.Reg, values ptx.Addr, scales []ptx.Reg) {
	var acc [][]ptx.Reg
	for range out {
		acc = append(acc, s.e.Zeros(ptx.F32, 4))
	}
	for step, w := range weights {
		var mine []ptx.Reg
		if scales != nil {
			mine = scales[2*step : 2*step+2]
		}
		for i, v := range s.valueOperand(values.At(16*step*s.tileRowBytes()), mine) {
			s.e.Mma(s.format.mma, acc[i], w, v)
		}
	}
	for n := range acc {
		s.add(m, out[n], acc[n])
	}
}
