package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/engine/layout"
)

// headed tells whether the launch is a product of each head's columns with a matrix of its own.
func (e *entry) headed() bool { return e.launch.Kernel == "cuda.linear_heads" }

// headsGrid is linearGrid for each head.
func headsGrid(e *entry) [3]engine.Extent {
	g := linearGrid(e)
	g[2] = engine.Extent{Of: constant(e.experts()), Per: 1}
	return g
}

// linearHeads is y[m, h*N+n] = sum over k of x[m, h*K+k]*w[h,n,k]: linear for each head of a stack of matrices, with inputs of f32 that lanes round on their way
// to operand B.
//
//	CTA (i, j, h): outputs 16*blocks*i.., tokens 16*j.., of head h
//
//	x, a row:  | head 0: K | head 1: K | ..    a lane reads pairs of f32 where linear reads pairs of 16 bits; those behind a head's last column count as zeros
func linearHeads(e *entry) {
	p := newProduct(e)
	stack := layout.Stack{Packed: p.w, Experts: e.experts()}
	p.pointers["w"] = p.Index(p.pointers["w"], p.Cvt(ptx.U64, p.CtaZ()), stack.ExpertBytes())
	p.multiply()
}

// wide is how a lane reads numbers of f32 of which pairs of 16 bits are made.
func (o operandB) wide() operandB {
	o.element, o.lane, o.second = 2*o.element, 2*o.lane, 2*o.second
	return o
}

// loadHead rounds the lane's part of a chunk, of which number is the number, of one token.
func (p *product) loadHead(o operandB, x, number ptx.Reg) [][]ptx.Reg {
	wide := o.wide()
	var first ptx.Reg // the lane's first k
	if p.w.K%chunk != 0 {
		first = p.Mad(number, chunk, p.Mul(p.And(p.Lane(), 3), wide.lane/4))
	}
	var steps [][]ptx.Reg
	for s := range o.steps() {
		var pairs []ptx.Reg
		for n := range 2 {
			further := 16*s + n*wide.second/4
			var v []ptx.Reg
			if p.w.K%chunk == 0 {
				v = p.LdV(ptx.F32, 2, x.At(4*further))
			} else if v = p.Zeros(ptx.F32, 2); further < p.w.K {
				p.When(p.Lt(first, p.w.K-further)).Into(v...).LdV(ptx.F32, 2, x.At(4*further))
			}
			pairs = append(pairs, p.Cvt2(o.register, v[0], v[1]))
		}
		steps = append(steps, pairs)
	}
	return steps
}

// storeHead writes y.
func (p *product) storeHead(at resultPlace, results []tokenResult) {
	stride := int(p.buffer("y").Stride)
	base := p.Index(p.row("y", at.token), p.Mad(p.CtaZ(), p.w.N, at.row), 4)
	for _, r := range results {
		exists := p.exists(at, r.n)
		for h, v := range r.v {
			p.When(p.And(exists, p.Lt(p.Add(at.row, 8*h), p.w.N))).St(base.At(r.n*stride+4*8*h), v)
		}
	}
}

func latentGrid(e *entry) [3]engine.Extent {
	return grid(engine.Extent{Of: e.buffer("c").Rows, Per: ropeWarps})
}

// latentWrite is one CTA for four tokens, a warp each: a lane has channels lane, lane+32, ... of c, and of k behind it, which stay in its registers from the load to
// the store.
//
//	row of the token's slot:  | c: rank | k: rope |
func latentWrite(e *entry) {
	r := &rope{e: e, lane: e.Lane()}
	token := e.Mad(e.CtaX(), ropeWarps, e.Warp())
	e.If(e.Lt(token, e.rows("c")), func() {
		rank := e.cols("c")
		all := append(r.latentPart("c", token, 0), r.latentPart("k", token, rank)...)
		r.storeRow(all, func(then func(place kvPlace)) { e.atLatentSlot(token, then) })
	})
}

// latentPart loads a token's row of an operand, which are the channels from first on.
func (r *rope) latentPart(role string, token ptx.Reg, first int) (all []channel) {
	row := r.e.row(role, token)
	for from := 0; from < r.e.cols(role); from += 32 {
		i, ok := r.share(from, r.e.cols(role))
		c := channel{i, r.e.Const(ptx.F32, 0), ok}
		r.load(c.value, row, c)
		c.at = r.e.Add(i, first)
		all = append(all, c)
	}
	return all
}
