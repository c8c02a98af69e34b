package cuda

import (
	"strings"

	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/engine/layout"
	"llmc/ir"
)

// Shape of a CTA's share of a product.
const (
	linearWarps   = 8 // parts of K
	linearThreads = 32 * linearWarps
	tokenTile     = 16 // tokens of a CTA: two n8
	tokenBlocks   = tokenTile / 8
	chunk         = 64         // k of one round of the main loop, for every format
	chunkSteps    = chunk / 16 // matrix instructions of bf16 along it
	linearGroup   = 2          // CTAs wanted for each multiprocessor
	maxBlocks     = 4          // panels of 16 outputs of a CTA at most
)

// product is what a linear is written for.
type product struct {
	*entry
	w      layout.Fragments
	blocks int // panels of 16 outputs of a CTA: gate's and up's with swiglu
	swiglu bool
	reader weightReader
	tile   tile
}

// tile is the CTA's part of the rows of y: up to tokenTile from first on, those below end. source gives the row of x that one is made of.
type tile struct {
	first, end ptx.Reg
	source     func(row ptx.Reg) ptx.Reg
}

func newProduct(e *entry) *product {
	n, k := matrixSize(e.weight("w"))
	f, err := layout.NewFragments(e.weight("w").Type.Layout, n, k)
	if err != nil {
		panic("cuda: " + err.Error()) // the layout pass asked Target, which knows them
	}
	p := &product{entry: e, w: f, swiglu: strings.HasSuffix(e.launch.Kernel, "linear_swiglu"), blocks: maxBlocks}
	for !p.swiglu && p.blocks > 1 && f.Panels()*e.matrices()/p.blocks < linearGroup*e.cores {
		p.blocks /= 2 // more CTAs, each with less to do
	}
	return p
}

// matrixSize returns the outputs and inputs of a matrix, or of each of a stack.
func matrixSize(w *ir.Weight) (n, k int) {
	dims := w.Type.Dims[w.Type.Rank()-2:]
	return int(dims[0].K), int(dims[1].K)
}

// outputs is the number of rows of the weight that a CTA multiplies.
func (p *product) outputs() int { return p.blocks * layout.FragmentRows }

func linearGrid(e *entry) [3]engine.Extent {
	p := newProduct(e)
	ctas := (p.w.Panels() + p.blocks - 1) / p.blocks
	return grid(engine.Extent{Of: constant(ctas), Per: 1}, engine.Extent{Of: e.buffer("y").Rows, Per: tokenTile})
}

// linear is y[T,N] = x[T,K] * w[N,K]^T (+ bias), or act of it, or act(gate) * up of a weight that interleaves both.
//
//	CTA (i, j): outputs 16*blocks*i.., tokens 16*j..          warp v: chunks C*v/8 .. C*(v+1)/8 of the C chunks of 64 k
//
//	           n8     n8                 The weight is operand A: a lane loads 16 bytes of fragments in the order in which
//	    m16 | D00  | D01 |               the panel stores them. The tokens are operand B: a lane loads its two pairs of
//	    m16 | D10  | D11 |  x blocks     neighbouring k of its token straight from x.
//
// Then the eight partial sums of each result, which lie in shared memory, are added in the order of k. Tokens behind the last one
// are computed from the last one's row and dropped.
func linear(e *entry) {
	p := newProduct(e)
	p.tile = tile{p.Mul(p.CtaY(), tokenTile), p.rows("y"), func(row ptx.Reg) ptx.Reg { return row }}
	p.multiply()
}

// multiply computes the CTA's tile.
func (p *product) multiply() {
	p.reader = weightReaders[p.w.Element](p)
	acc := make([][][]ptx.Reg, p.blocks)
	for m := range acc {
		for range tokenBlocks {
			acc[m] = append(acc[m], p.Zeros(ptx.F32, 4))
		}
	}
	p.mainLoop(acc)
	p.epilogue(acc)
}

func (p *product) mainLoop(acc [][][]ptx.Reg) {
	p.Section("places")
	lane, warp := p.Lane(), p.Warp()
	chunks := p.w.KPad() / chunk
	first := p.Shr(p.Mul(warp, chunks), 3)
	last := p.Shr(p.Mul(p.Add(warp, 1), chunks), 3)
	how := p.reader.operandB()
	tokens := p.inputs(how, lane, first)
	panels := p.reader.start(lane, first)

	p.Section("main loop")
	p.For(ptx.Range{Name: "chunks", From: first, To: last}, func(i ptx.Reg) {
		var b chunkB
		for j, x := range tokens {
			b[j] = p.load(how, x)
		}
		for m, panel := range panels {
			p.reader.multiply(panel, i, acc[m], b)
		}
		for _, x := range tokens {
			p.Into(x).Add(x, chunk*how.element)
		}
	})
}

// inputs returns where a lane reads operand B of each block of 8 tokens: its part of token lane/4, from chunk first on.
func (p *product) inputs(how operandB, lane, first ptx.Reg) []ptx.Reg {
	token := p.Add(p.tile.first, p.Shr(lane, 2))
	offset := p.Mad(first, chunk*how.element, p.Mul(p.And(lane, 3), how.lane))
	var places []ptx.Reg
	for j := range tokenBlocks {
		row := p.row("x", p.tile.source(p.Min(p.Add(token, 8*j), p.Sub(p.tile.end, 1))))
		places = append(places, p.Index(row, offset, 1))
	}
	return places
}

// epilogue adds the parts of K in order and stores what comes out.
func (p *product) epilogue(acc [][][]ptx.Reg) {
	p.Section("partial sums")
	outputs := p.outputs()
	partBytes := 4 * tokenTile * outputs
	partials := p.Addr(p.Static("partials", linearWarps*partBytes, 16))
	lane := p.Lane()
	// D: lane 4g+t has rows g and g+8 (outputs), columns 2t and 2t+1 (tokens). Tokens are the rows of partials.
	mine := p.Mad(p.Warp(), partBytes, p.Add(p.Mul(p.And(lane, 3), 2*4*outputs), p.Shl(p.Shr(lane, 2), 2)))
	at := p.Add(partials, mine)
	for m := range acc {
		for j, d := range acc[m] {
			for i, v := range d {
				token, row := 8*j+i%2, layout.FragmentRows*m+i/2*8
				p.St(at.At(4*(token*outputs+row)), v)
			}
		}
	}
	p.Sync()

	p.Section("results")
	columns := outputs
	if p.swiglu {
		columns /= 2
	}
	p.For(ptx.Range{Name: "results", From: p.TidX(), To: tokenTile * columns, Step: linearThreads}, func(i ptx.Reg) {
		token, column := p.Div(i, columns), p.Rem(i, columns)
		from := p.Index(partials, p.Mad(token, outputs, column), 4)
		row := p.Add(p.tile.first, token)
		out := p.Mad(p.CtaX(), columns, column)
		wanted := p.CmpAnd(ptx.LT, out, p.cols("y"), p.Lt(row, p.tile.end))
		p.If(wanted, func() {
			output := p.Mad(p.CtaX(), outputs, column)
			v := p.total(from, output, row)
			if p.swiglu {
				v = p.Mul(p.activate(v), p.total(p.Add(from, 4*ir.SwiGLUBlock), p.Add(output, ir.SwiGLUBlock), row))
			}
			p.storeResult(p.Builder, p.Index(p.row("y", row), out, p.buffer("y").DType.Size()), v)
		})
	})
}

// total is one output of the weight for a token: the sum of its parts, scaled where formats have one scale for it, with the bias, under the
// activation of products that apply one to every output.
func (p *product) total(from, output, token ptx.Reg) ptx.Reg {
	at := from.At(0)
	sum := p.Ld(ptx.F32, at)
	for v := 1; v < linearWarps; v++ {
		sum = p.Add(sum, p.Ld(ptx.F32, at.At(4*v*tokenTile*p.outputs())))
	}
	sum = p.reader.finish(sum, output, token)
	if p.has("bias") {
		sum = p.Add(sum, p.Ld(ptx.F32, p.Index(p.pointers["bias"], output, 4)))
	}
	if p.applies() {
		sum = p.activate(sum)
	}
	return sum
}

// storeResult writes one number of y through a view of the builder, which may have a guard.
func (p *product) storeResult(b *ptx.Builder, at ptx.Address, v ptx.Reg) {
	if p.isBF16("y") {
		v = p.Cvt(ptx.BF16, v)
	}
	b.St(at, v)
}
