package cuda

import (
	"slices"

	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/internal/sym"
	"llmc/ir"
)

// Adapters beside a model (LoRA: Hu et al., 2021) add a product of two narrow matrices to a product, in rows that have one. Rows find theirs by an index, as
// in Punica (Chen et al., MLSys 2024) and S-LoRA (Sheng et al., MLSys 2024), so that rows with different adapters and with none are in one step:
//
//	sum[m]   = x[m] * w^T  (scaled, as without adapters)
//	ranks[m] = bf16(x[m] * a[p]^T)                              p = places[m]; adapterDown
//	y[m]     = finish((sum[m] + ranks[m] * b[p]^T) * norm[m] + bias)   addAdapters, in the product's own entry
//
// So a step has one more launch for each product that some adapter of the step adds to, and entries of products that are those of steps without adapters but
// for what they add right before the norm. A row's bits depend neither on the other rows nor on their adapters: ranks are summed as linear sums, in eight parts of
// K in order, and what is added in the order of ranks; of a row without an adapter nothing is added. Unproven on hardware.

// ServeAdapters lets products have entries for steps with adapters. Launches are still to come.
func (c *Coder) ServeAdapters() { c.adapts = true }

// takesAdapters tells whether adapters may add to the launch: it multiplies rows of tokens or of sampled rows of steps with one matrix.
func (e *entry) takesAdapters() bool {
	if e.program.Func != engine.StepFunc || !e.isProduct() || !slices.Contains(engine.AdaptedKernels, e.launch.Kernel) {
		return false
	}
	rows := e.buffer("x").Rows
	return rows == sym.Of(sym.T) || rows == sym.Of(sym.R)
}

// adapt writes what runs in place of a launch in steps with adapters. The launch comes next in the program.
func (c *Coder) adapt(e entry, f family, signature string) {
	a := engine.Adapted{Launch: len(e.program.Launches), Modules: modulesOf(e.weight("w")), Down: c.down(e)}
	e.adapted = true
	a.Code = c.codes(&e, f, signature+" adapted", "adapted")
	c.adapted = append(c.adapted, a)
}

// modulesOf is how many matrices of a checkpoint a weight was fused of. One that is taken of differently turned ones counts as often.
func modulesOf(w *ir.Weight) int {
	seen := map[string]bool{}
	if w.Recipe != nil {
		_, k := matrixSize(w)
		for run := range w.Recipe.Runs(int64(k), 0, w.Recipe.Rows(int64(k))) {
			turned := ""
			if run.Source.Kind == ir.Rotated {
				turned = run.Source.Whole(int64(k)).String()
			}
			eachTensor(run.Source, func(name string) { seen[name+" "+turned] = true })
		}
	}
	return min(max(len(seen), 1), engine.AdapterModules)
}

func eachTensor(r *ir.Recipe, visit func(name string)) {
	if r.Kind == ir.FromTensor {
		visit(r.Tensor)
		return
	}
	for _, p := range r.Parts {
		eachTensor(p, visit)
	}
}

// declareAdapters writes the parameters that entries of products have behind their own; see engine.Adapted.
func (e *entry) declareAdapters() {
	e.Pointer("places", 4)
	e.Pointer("records", engine.AdapterRecordBytes)
	e.Pointer("ranks", ranksAlign)
	e.Uint("rank_bytes")
}

// Where a record has what; see engine.AdapterRecordBytes.
const (
	recordOfB     = 0
	recordOfSpans = 8
	recordOfA     = 16
	recordOfParts = 24
)

// ranksAlign is that of rows of ranks: whole parts of bf16.
const ranksAlign = 2 * engine.AdapterPart

// addAdapters gives what adapters add to a panel of 16 outputs for 8 tokens: sums as those of a matrix instruction. token is that of the lane's group of four:
// lane 4g+t has token g, and gets rows g and g+8 of tokens 2t and 2t+1. All lanes of the warp come along.
//
//	            8 tokens                The warp takes the adapters of its tokens one after the other, those of higher places first, with zeros for
//	        | 0 0 s s s 0 0 0 |        the tokens that have others: their sums stay what they are. b is operand A, whose fragments are loaded
//	16 rows | D D D D D D D D |        as they lie; ranks are operand B. Steps of 16 ranks that are all zeros for the panel are left out, which
//	                                   in products that were fused of several modules are those of the other modules.
func (p *product) addAdapters(panel, token ptx.Reg) []ptx.Reg {
	sums, lane, place := p.Zeros(ptx.F32, 4), p.Lane(), p.Const(ptx.U32, 0)
	p.When(p.Lt(token, p.end())).Into(place).Ld(ptx.U32, p.Index(p.Reload("places"), token, 4))
	uniform := func(x ptx.Reg) ptx.Reg { return p.Assume(ptx.WarpUniform, x) }
	p.Loop("adapters", func(l *ptx.Loop) {
		next := uniform(p.Redux("max", place))
		l.BreakIf(p.Eq(next, 0))
		mine := p.Eq(place, next)
		record := p.Index(p.Reload("records"), next, engine.AdapterRecordBytes)
		parts := uniform(p.Ld(ptx.U32, record.At(recordOfParts)))
		p.If(p.Ne(parts, 0), func() {
			b := p.ToGlobal(p.Ld(ptx.U64, record.At(recordOfB)))
			b = p.Index(p.Index(b, p.Mul(panel, parts), fragmentBytes), lane, 16)
			span := p.LdV(ptx.U32, 2, p.Index(p.ToGlobal(p.Ld(ptx.U64, record.At(recordOfSpans))), panel, engine.AdapterSpanBytes))
			row := p.Index(p.Index(p.Reload("ranks"), p.Mul(token, p.Reload("rank_bytes")), 1), p.And(lane, 3), 4)
			ranks := p.Zeros(ptx.BF16x2, 2)
			p.For(ptx.Range{Name: "ranks", From: uniform(span[0]), To: uniform(span[1]), NoUnroll: true}, func(step ptx.Reg) {
				at := p.Index(row, step, ranksAlign)
				for i, r := range ranks {
					p.When(mine).Into(r).Ld(ptx.BF16x2, at.At(16*i))
				}
				p.Mma(ptx.MmaBF16, sums, as(ptx.BF16x2, p.LdV(ptx.B32, 4, p.Index(b, step, fragmentBytes))), ranks)
			})
		})
		p.When(mine).Set(place, 0)
	})
	return sums
}

// storeAdapters writes what adapters add to the results of a CTA of linear behind the parts of K, a panel and a block of tokens each warp.
func (p *product) storeAdapters(to ptx.Reg) {
	p.Section("adapters")
	lane, block, m := p.Lane(), p.And(p.Warp(), tokenBlocks-1), p.Shr(p.Warp(), log2(tokenBlocks))
	p.If(p.Lt(p.Warp(), p.blocks*tokenBlocks), func() {
		panel := p.Min(p.Mad(p.CtaX(), p.blocks, m), p.w.Panels()-1)
		sums := p.addAdapters(panel, p.tokenOfTile(p.Mad(block, 8, p.Shr(lane, 2))))
		token, row := p.Mad(block, 8, p.Shl(p.And(lane, 3), 1)), p.Mad(m, engine.AdapterPart, p.Shr(lane, 2))
		at := p.Index(to, p.Mad(token, p.outputs(), row), 4)
		for i, v := range sums {
			p.St(at.At(4*(i%2*p.outputs()+i/2*8)), v)
		}
	})
}

// completeAdapted is complete of both outputs of a lane, of products that adapters add to.
func (p *product) completeAdapted(at resultPlace, results []tokenResult, f columnFactors) {
	for h := range 2 {
		scale := p.scaler(p.realOutput(p.Add(at.row, 8*h)), f)
		for _, r := range results {
			scale(r.v[h], r.n)
		}
	}
	lane := p.Lane()
	panel := p.Assume(ptx.WarpUniform, p.Min(p.Shr(at.row, log2(engine.AdapterPart)), p.w.Panels()-1))
	first := p.Add(p.Sub(at.token, p.Shl(p.And(lane, 3), 1)), p.Shr(lane, 2))
	for j := range len(results) / 2 {
		for i, v := range p.addAdapters(panel, p.Add(first, 8*j)) {
			sum := results[2*j+i%2].v[i/2]
			p.Into(sum).Add(sum, v)
		}
	}
	for h := range 2 {
		end := p.ender(p.realOutput(p.Add(at.row, 8*h)), f)
		for _, r := range results {
			end(r.v[h], r.n)
		}
	}
}
