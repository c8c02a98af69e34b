package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/engine/layout"
	"llmc/ir"
)

// Shape of a CTA's share of a product.
const (
	kParts        = 8 // of K, on every target
	linearWarps   = kParts
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
	blocks int // panels of 16 outputs of a CTA
	reader weightReader
	tile   *tile                                       // nil: tile number j of the rows of x
	scales ptx.Reg                                     // of tokens that are quantized here; see rawScales
	finish func(at resultPlace, results []tokenResult) // what becomes of the sums
}

// tile is a CTA's part of the rows of y, where it is not tile number j of all: up to tokenTile from first on, those below end. source gives the row
// of x that one is made of.
type tile struct {
	first, end ptx.Reg
	source     func(row ptx.Reg) ptx.Reg
}

// tokenOfTile is a row of y, by its number among those of the CTA.
func (p *product) tokenOfTile(within ptx.Reg) ptx.Reg {
	if p.tile == nil {
		return p.Mad(p.CtaY(), tokenTile, within)
	}
	return p.Add(p.tile.first, within)
}

// end is behind the last row of y that the CTA may have.
func (p *product) end() ptx.Reg {
	if p.tile == nil {
		return p.rows("x")
	}
	return p.tile.end
}

// realToken is a row of y, or the CTA's last one where it is behind that.
func (p *product) realToken(token ptx.Reg) ptx.Reg { return p.Min(token, p.Sub(p.end(), 1)) }

// source is the row of x that a row of y is made of.
func (p *product) source(row ptx.Reg) ptx.Reg {
	if p.tile == nil {
		return row
	}
	return p.tile.source(row)
}

func newProduct(e *entry) *product {
	n, k := matrixSize(e.weight("w"))
	f, err := layout.NewFragments(e.weight("w").Type.Layout, n, k)
	if err != nil {
		panic("cuda: " + err.Error()) // the layout pass asked Target, which knows them
	}
	p := &product{entry: e, w: f, blocks: maxBlocks}
	p.finish = func(at resultPlace, results []tokenResult) { finishers[e.launch.Kernel](p, at, results) }
	for p.blocks > 1 && f.Panels()*e.matrices()/p.blocks < linearGroup*e.cores {
		p.blocks /= 2 // more CTAs, each with less to do
	}
	p.reader = weightReaders[p.reads()](p)
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
	return grid(engine.Extent{Of: constant(ctas), Per: 1}, engine.Extent{Of: e.buffer("x").Rows, Per: tokenTile})
}

// linear is x[T,K] * w[N,K]^T (+ bias), and what finishers make of it, for steps of few tokens and for rows of experts; see multistage.
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
	newProduct(e).multiply()
}

// multiply computes the CTA's tile.
func (p *product) multiply() {
	acc := make([][][]ptx.Reg, p.blocks)
	for m := range acc {
		acc[m] = p.zeroSums(p.reader.operandB().sums, tokenBlocks)
	}
	factors := p.normFactors()
	p.scales = p.rawScales()
	p.mainLoop(acc)
	for m := range acc {
		for j := range acc[m] {
			acc[m][j] = p.numbers(acc[m][j])
		}
	}
	p.epilogue(acc, factors)
}

func (p *product) mainLoop(acc [][][]ptx.Reg) {
	p.Section("places")
	lane, warp := p.Lane(), p.Warp()
	first, last := p.partStart(warp), p.partStart(p.Add(warp, 1))
	how := p.reader.operandB()
	tokens := p.inputs(lane, first)
	inverses := p.inverses(lane)
	p.reader.prepare()
	panels := p.weightPanels(lane, first, last)

	p.Section("main loop")
	p.For(ptx.Range{Name: "chunks", From: first, To: last}, func(i ptx.Reg) {
		var b chunkB
		for j, x := range tokens {
			switch {
			case p.makesCodes:
				b = append(b, p.loadRaw(how, x, inverses[j]))
			case p.headed():
				b = append(b, p.loadHead(how, x, i))
			default:
				b = append(b, p.load(how, x))
			}
		}
		for m, at := range panels {
			at.number = i
			p.reader.multiply(at, acc[m], b)
		}
		for _, x := range tokens {
			p.Into(x).Add(x, chunk*p.operandB().element)
		}
	})
}

// partStart is the first chunk of a part of K.
func (p *product) partStart(part ptx.Reg) ptx.Reg {
	return p.Shr(p.Mul(part, p.w.KPad()/chunk), log2(kParts))
}

// inputs returns where a lane reads operand B of each block of 8 tokens: its part of token lane/4, from chunk first on.
func (p *product) inputs(lane, first ptx.Reg) []ptx.Reg {
	how, role := p.operandB(), "x"
	if p.makesCodes {
		role = "raw"
	}
	token := p.tokenOfTile(p.Shr(lane, 2))
	offset := p.Mad(first, chunk*how.element, p.Mul(p.And(lane, 3), how.lane))
	if p.headed() {
		offset = p.Mad(p.CtaZ(), p.w.K*how.element, offset)
	}
	var places []ptx.Reg
	for j := range tokenBlocks {
		row := p.row(role, p.source(p.realToken(p.Add(token, 8*j))))
		places = append(places, p.Index(row, offset, 1))
	}
	return places
}

// epilogue adds the parts of K in order and stores what comes out. A thread has outputs row and row+8 of a panel for one token at a time.
func (p *product) epilogue(acc [][][]ptx.Reg, factors ptx.Reg) {
	p.Section("partial sums")
	outputs := p.outputs()
	partBytes := 4 * tokenTile * outputs
	partials := p.Addr(p.Static("partials", p.linearParts()*partBytes, 16))
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
	if p.adapted {
		p.storeAdapters(p.Add(partials, linearWarps*partBytes))
	}
	p.Sync()

	p.Section("results")
	p.For(ptx.Range{Name: "results", From: p.Shl(p.Warp(), 5), To: tokenTile * outputs / 2, Step: linearThreads}, func(warp ptx.Reg) {
		i := p.Add(warp, lane)
		token, pair := p.Div(i, outputs/2), p.Rem(i, outputs/2)
		row := p.Add(p.Shl(p.Shr(pair, 3), 4), p.And(pair, 7))
		from := p.Index(partials, p.Mad(token, outputs, row), 4)
		first := p.Mad(p.CtaX(), outputs, row)
		place := resultPlace{row: first, token: p.tokenOfTile(token), lanes: []int{1, 2, 4}}
		var v [2]ptx.Reg
		for h := range v {
			output := p.realOutput(p.Add(first, 8*h))
			sum := p.total(from.At(4 * 8 * h))
			if factor := p.factor(output, func(int) ptx.Reg { return p.tokenScale(token) }); factor != nil {
				sum = p.Mul(sum, factor(0))
			}
			if p.adapted {
				sum = p.Add(sum, p.Ld(ptx.F32, from.At(4*8*h+linearWarps*partBytes)))
			}
			v[h] = p.normedAndBiased(sum, output, factors, token)
		}
		p.finish(place, []tokenResult{{0, v}})
	})
}

// linearParts is how many sums of a result lie in shared memory: those of the parts of K, and what adapters add.
func (p *product) linearParts() int {
	if p.adapted {
		return linearWarps + 1
	}
	return linearWarps
}

// total is the sum of the parts of one output for one token.
func (p *product) total(at ptx.Addr) ptx.Reg {
	sum := p.Ld(ptx.F32, at)
	for v := 1; v < linearWarps; v++ {
		sum = p.Add(sum, p.Ld(ptx.F32, at.At(4*v*tokenTile*p.outputs())))
	}
	return sum
}
