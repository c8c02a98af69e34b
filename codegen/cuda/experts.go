package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/engine/layout"
	"llmc/internal/sym"
)

// matrices is how many matrices of a stack a row or its parts are multiplied with, 1 where the weight is no stack.
func (e *entry) matrices() int {
	switch {
	case e.headed():
		return e.experts()
	case !e.stacked():
		return 1
	}
	of := e.buffer("y").Rows
	return int(max(of.Coef[sym.T], of.Coef[sym.R], 1))
}

// stacked tells whether the kernel is a product with a stack of matrices.
func (e *entry) stacked() bool { return e.has("w") && e.has("offsets") }

// experts returns the number of matrices of the stack.
func (e *entry) experts() int { return int(e.weight("w").Type.Rows().K) }

// expertGrid has the outputs of a matrix first, then tiles of rows: each expert has whole ones, so the last of each may be in part empty.
func expertGrid(e *entry) [3]engine.Extent {
	g := linearGrid(e)
	g[1].Of = e.buffer("y").Rows.Add(sym.Const(int64(e.experts() * (tokenTile - 1))))
	return g
}

// expertCodes puts the same entry with a smaller grid before the others, for steps with no more places than experts: each place has a tile at most.
func expertCodes(e *entry, codes []engine.Code) []engine.Code {
	few, places := codes[0], e.buffer("y").Rows
	few.Limit = engine.Limit{Of: sym.Of(sym.T), Max: int64(e.experts() / e.matrices())}
	if places.Coef[sym.T] == 0 {
		few.Limit.Of = sym.Of(sym.R)
	}
	few.Grid[1] = engine.Extent{Of: places, Per: 1}
	return append([]engine.Code{few}, codes...)
}

// expertCTAs keeps the assembler from spilling registers of small CTAs for the sake of a fourth one.
func expertCTAs(e *entry) int {
	if newProduct(e).blocks == maxBlocks {
		return 0
	}
	return linearGroup
}

// expertLinear is linear with the matrix of each place's expert. CTA (i, j) has the outputs 16*blocks*i.. of the expert that the j-th tile of 16
// places belongs to; those behind the last tile have nothing to do. A place's result is that of linear, so neither the places beside it
// nor the number of its expert's rows matter.
func expertLinear(e *entry) {
	p := newProduct(e)
	stack := layout.Stack{Packed: p.w, Experts: e.experts()}
	expert, first, end := p.findTile(e.CtaY())
	p.unless([]ptx.Reg{p.Ge(expert, stack.Experts)}, func() { p.multiplyOf(stack, expert, first, end) })
}

// multiplyOf is multiply for a tile of an expert.
func (p *product) multiplyOf(stack layout.Stack, expert, first, end ptx.Reg) {
	p.pointers["w"] = p.Index(p.pointers["w"], p.Cvt(ptx.U64, expert), stack.ExpertBytes())
	if p.has("bias") {
		p.pointers["bias"] = p.Index(p.pointers["bias"], expert, 4*p.w.N)
	}
	p.tile = &tile{first, end, func(row ptx.Reg) ptx.Reg { return row }}
	if p.has("rows") {
		p.tile.source = func(row ptx.Reg) ptx.Reg { return p.Ld(ptx.U32, p.Index(p.pointers["rows"], row, 4)) }
	}
	p.multiply()
}

// findTile returns the expert of a tile, and its places from the tile's first on; without such a tile, an expert that there is not. A lane looks at
// one expert at a time, each warp at all of them.
func (p *product) findTile(number ptx.Reg) (expert, first, end ptx.Reg) {
	p.Section("tile")
	experts, lane := p.experts(), p.Lane()
	expert, first, end = p.Const(ptx.U32, experts), p.Const(ptx.U32, 0), p.Const(ptx.U32, 0)
	before := p.Const(ptx.U32, 0) // tiles of experts that were looked at
	p.For(ptx.Range{Name: "experts", From: 0, To: experts, Step: 32, NoUnroll: true}, func(base ptx.Reg) {
		id := p.Add(base, lane)
		at := p.Index(p.pointers["offsets"], p.Min(id, experts-1), 4)
		from, to := p.Ld(ptx.U32, at), p.Ld(ptx.U32, at.At(4))
		to = p.Select(p.Lt(id, experts), to, from)
		tiles := p.Shr(p.Add(p.Sub(to, from), tokenTile-1), log2(tokenTile))
		upTo := p.scanOfWarp(tiles)
		within := p.Sub(p.Sub(number, before), p.Sub(upTo, tiles)) // wraps around where the tile is one before
		found := p.Ballot(p.Lt(within, tiles)).As(ptx.U32)
		owner := p.And(p.Clz(p.Brev(found)), 31)
		here := p.Ne(found, 0)
		start, stop := p.ShflIdx(p.Mad(within, tokenTile, from), owner), p.ShflIdx(to, owner)
		p.When(here).Set(expert, p.Add(base, owner))
		p.When(here).Set(first, start)
		p.When(here).Set(end, stop)
		p.Into(before).Add(before, p.ShflIdx(upTo, 31))
	})
	uniform := func(x ptx.Reg) ptx.Reg { return p.Assume(ptx.CTAUniform, p.Mov(x)) }
	return uniform(expert), uniform(first), uniform(end)
}

// scanOfWarp is the sum of a number over the lanes up to each.
func (e *entry) scanOfWarp(x ptx.Reg) ptx.Reg {
	lane := e.Lane()
	for distance := 1; distance < 32; distance *= 2 {
		below := e.ShflUp(x, distance)
		x = e.Select(e.Ge(lane, distance), e.Add(x, below), x)
	}
	return x
}

// combine is z[m] = the sum of weights[m,j] * y[places[m,j]], j after j, or of what is there where nothing weighs it, one CTA for each row.
func combine(e *entry) {
	row, k := e.CtaX(), e.cols("places")
	out := e.row("z", row)
	places := e.Index(e.pointers["places"], row, 4*k)
	var from, by []ptx.Reg
	for j := range k {
		from = append(from, e.row("y", e.Ld(ptx.U32, places.At(4*j))))
	}
	if e.has("weights") {
		weights := e.row("weights", row)
		for j := range k {
			by = append(by, e.Ld(ptx.F32, weights.At(4*j)))
		}
	}
	e.pairs(e.cols("z"), func(i ptx.Reg) {
		var sum [2]ptx.Reg
		for j := range k {
			for n, v := range e.load2("y", from[j], i) {
				switch {
				case by == nil && j == 0:
					sum[n] = v
				case by == nil:
					sum[n] = e.Add(v, sum[n])
				case j == 0:
					sum[n] = e.Mul(v, by[j])
				default:
					sum[n] = e.Fma(v, by[j], sum[n])
				}
			}
		}
		e.store2("z", out, i, sum)
	})
}

// scaleRows is y[m] = x[m] * by[m], one CTA for each row.
func scaleRows(e *entry) {
	row := e.CtaX()
	in, out, by := e.row("x", row), e.row("y", row), e.Ld(ptx.F32, e.row("by", row))
	e.pairs(e.cols("y"), func(i ptx.Reg) {
		v := e.load2("x", in, i)
		e.store2("y", out, i, [2]ptx.Reg{e.Mul(v[0], by), e.Mul(v[1], by)})
	})
}
