package cuda

import (
	"slices"

	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/engine/layout"
)

// Shape of a CTA of a multistage product.
const (
	multistageThreads = 256
	multistageWarps   = multistageThreads / 32
	outputWarps       = 4 // warps with the same tokens and panels of their own
	tokenWarps        = multistageWarps / outputWarps
	fewTokens         = 32          // steps of up to so many tokens wait for weights, which linear reads with more CTAs
	fewestStages      = 3           // one that is multiplied and two under way
	mostStages        = 6           // what a multiprocessor has under way then is enough
	portableMemory    = 99 << 10    // bytes of shared memory that a CTA can have wherever the code of sm80 runs
	reservedMemory    = 1 << 10     // bytes that the system takes for each CTA
	columnMemory      = 2 * 4 * 128 // bytes of columnFactors of the largest tile
)

// multistageShape is how an entry shares the work.
type multistageShape struct {
	panels, tokens int // of a CTA
	ctas           int // of a multiprocessor, where shared memory suffices
}

// multistageShapes are the shapes by the work of a CTA, ascending. Groups of codes that are made numbers have sums of their own, for which the registers
// of the largest tile do not suffice.
func multistageShapes(p *product) []multistageShape {
	small, large := multistageShape{panels: 4, tokens: 64, ctas: 2}, multistageShape{panels: 8, tokens: 128, ctas: 1}
	if p.w.Group > 0 && !p.coded() {
		large.tokens = 64
	}
	return []multistageShape{small, large}
}

// multistage is a product on mma.sync for steps of many tokens: x[T,K] * w[N,K]^T (+ bias), and what finishers make of it. Unproven on hardware.
//
//	CTA (i, j): tokens n*i.., outputs 16*panels*j..        warp v: panels of row v%4 of the tile, tokens of column v/4
//
//	             n/2       n/2
//	         | warp 0  | warp 4  |      A warp has panels/4 panels of 16 outputs and n/16 blocks of 8 tokens. The weight is operand A: a lane's 16
//	outputs  | warp 1  | warp 5  |      bytes of a fragment, dequantized where the tokens are numbers. The tokens are operand B: rows of
//	         | warp 2  | warp 6  |      64 k in shared memory, loaded by ldmatrix. A lane has rows g and g+8 of each panel and columns 2t and
//	         | warp 3  | warp 7  |      2t+1 of each block: four sums, of a part of K, and of the parts before it.
//
// K goes through stages of a chunk of 64 k in shared memory (stageLayout), all of them copied by cp.async: while one is multiplied, the others are under
// way or have come.
//
//	wait for the stage of chunk c; barrier; start the copies of chunk c+stages-1, to where chunk c-1 was; multiply chunk c
//
// The order of sums is that of linear: K is cut into eight parts, each is summed in the order of k, and the parts are added in order.
type multistage struct {
	*product
	stageLayout
	tokens, ctas, stages int
	copies               copier

	warpPanel ptx.Reg // the warp's first panel, among those of the CTA
	column    ptx.Reg // the lane's first token, among those of the CTA
	words     ptx.Reg // where its words of that panel lie in those of a stage
	unitAt    ptx.Reg // where it loads the first part of operand B of its first block in a stage
	read      ptx.Reg // the stage that is multiplied
	stagesAt  *ptx.Region
	factors   columnFactors
}

func newMultistage(e *entry, s multistageShape) *multistage {
	m := &multistage{product: newProduct(e), tokens: s.tokens}
	m.stageLayout = m.newStage(1, s.panels, s.tokens)
	for m.ctas = s.ctas; ; m.ctas-- {
		memory := min(portableMemory, (e.sharedMemory+reservedMemory)/m.ctas-reservedMemory) - columnMemory
		m.stages = min(mostStages, memory/m.bytes)
		if m.ctas == 1 || m.stages >= fewestStages {
			return m
		}
	}
}

// multistageVariants puts multistage entries behind that of linear, which is left with steps of few tokens. The tile grows with the step. Limits are
// powers of two, so that they make no more buckets of steps.
func multistageVariants(e *entry, few family) []variant {
	p := newProduct(e)
	list := []variant{{family: few, limit: fewTokens, prefetch: prefetchTile}}
	if e.has("raw") {
		list = append([]variant{{family: few, limit: rawTokens, makesCodes: true, prefetch: prefetchTile}}, list...)
	}
	shapes := multistageShapes(p)
	for i, s := range shapes {
		var limit int64
		if i+1 < len(shapes) {
			limit = shapes[i+1].idle(p)
			if limit <= list[len(list)-1].limit {
				continue
			}
		}
		list = append(list, variant{limit: limit, ctas: newMultistage(e, s).ctas, family: family{
			threads: multistageThreads,
			grid:    func(e *entry) [3]engine.Extent { return newMultistage(e, s).grid() },
			build:   func(e *entry) { newMultistage(e, s).write() },
		}})
	}
	return list
}

// idle is up to how many tokens the shape's tiles are half empty, or less than half as many as multiprocessors: then CTAs of small tiles, which read
// twice as much for a product, are faster still.
func (s multistageShape) idle(p *product) int64 {
	tokens := max(fewTokens, s.tokens/2)
	for 2*ceilDiv(p.w.Panels(), s.panels)*ceilDiv(tokens+1, s.tokens) < p.cores {
		tokens *= 2
	}
	return int64(tokens)
}

// outputs is the number of rows of the weight that a CTA multiplies.
func (m *multistage) outputs() int { return m.panels * layout.FragmentRows }

// warpPanels and warpBlocks are the panels and the blocks of 8 tokens of a warp.
func (m *multistage) warpPanels() int { return m.panels / outputWarps }

func (m *multistage) warpBlocks() int { return m.tokens / tokenWarps / 8 }

// chunks is how many there are.
func (m *multistage) chunks() int { return m.w.KPad() / chunk }

// grid has tokens first: CTAs that run together share weights.
func (m *multistage) grid() [3]engine.Extent {
	return grid(engine.Extent{Of: m.buffer("x").Rows, Per: int64(m.tokens)}, engine.Extent{Of: constant(ceilDiv(m.w.Panels(), m.panels)), Per: 1})
}

func (m *multistage) write() {
	m.Section("places")
	m.shared = m.stages * m.bytes
	m.stagesAt = m.Dynamic("stages", m.shared, 16) // behind static regions of whole lines
	m.read = m.mutable(ptx.Shared, m.Addr(m.stagesAt))
	m.copies = m.newCopier()
	m.copies.first()
	m.startFactors()
	m.place()
	m.words = m.Mad(m.warpPanel, m.chunkBytes(), m.Shl(m.Lane(), 4))
	m.unitAt = m.firstUnit()
	m.results(m.multiply())
}

// place finds the lane's first panel and column.
func (m *multistage) place() {
	m.Section("places")
	warp := m.Shr(m.TidX(), 5)
	m.warpPanel = m.Mul(m.And(warp, outputWarps-1), m.warpPanels())
	m.column = m.Mad(m.Shr(warp, log2(outputWarps)), 8*m.warpBlocks(), m.Shl(m.And(m.Lane(), 3), 1))
}

// startFactors puts what the sums of tokens are multiplied with into shared memory.
func (m *multistage) startFactors() {
	if m.has("squares") {
		m.Section("norms")
		m.factors.norms = m.Addr(m.Static("factors", 4*m.tokens, 16))
		m.storeNormFactors(m.factors.norms, m.TidX(), m.threads, m.CtaX(), m.tokens)
	}
	if m.rowScaled() {
		m.Section("scales of tokens")
		m.factors.scales = m.Addr(m.Static("scales_of_tokens", 4*m.tokens, 16))
		thread, scale := m.TidX(), m.mutable(ptx.F32, 0.0)
		token := m.Mad(m.CtaX(), m.tokens, thread)
		mine := m.Lt(thread, m.tokens)
		m.When(m.And(mine, m.Lt(token, m.rows("x")))).Into(scale).Ld(ptx.F32, m.row("x", token).At(m.codes().ScaleOffset()))
		m.When(mine).St(m.Index(m.factors.scales, thread, 4), scale)
	}
}

// results gives the sums to the finisher, panel by panel.
func (m *multistage) results(total [][][]ptx.Reg) {
	m.place() // anew: the main loop needs the registers
	m.Section("results")
	m.reload()
	row := m.Mad(m.CtaY(), m.outputs(), m.Mad(m.warpPanel, layout.FragmentRows, m.Shr(m.Lane(), 2)))
	at := resultPlace{token: m.Mad(m.CtaX(), m.tokens, m.column), lanes: []int{4, 8, 16}}
	for i, blocks := range total {
		at.row = m.Add(row, layout.FragmentRows*i)
		m.finishColumns(at, slices.Concat(blocks...), m.column, m.factors)
	}
}
