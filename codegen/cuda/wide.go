package cuda

import (
	"llmc/codegen/ptx"
	"llmc/engine"
	"llmc/engine/layout"
)

// Shape of a CTA of sm90: two warpgroups multiply, a third one brings what they need.
const (
	wideGroups  = 2
	wideThreads = 128 * (wideGroups + 1)
	wideRows    = 64                             // outputs of a warpgroup: m of wgmma
	widePanels  = wideRows / layout.FragmentRows // one for each of its warps
	panelBytes  = 2048                           // of a panel in a stage: one bulk copy
	tokenRow    = 128                            // bytes of a token in a tile: a row of the 128-byte swizzle
	tileAlign   = 1024                           // of tiles with that swizzle
	maxStages   = 12
)

// wideShape is how an entry shares the work.
type wideShape struct {
	tokens int // of a CTA: n of wgmma
	// rings is 2 where the warpgroups have the same 64 outputs and four parts of K each, which they are fed through rings of their
	// own: steps of few tokens, bounded by the reading of weights. It is 1 where each has 64 outputs of its own and all of K.
	rings  int
	memory int  // bytes that stages may take
	ctas   int  // of a multiprocessor
	oneRow bool // of tiles: steps have no more tokens than that
}

// wideShapes are the shapes by the tokens of a step, ascending: the last one serves all steps that the others do not. Groups of codes
// that are made numbers have sums of their own, for which the registers of the largest tile do not suffice.
var wideShapes = []struct {
	wideShape
	grouped bool // also for codes with groups
}{
	{wideShape{tokens: 8, rings: 2, memory: 100 << 10, ctas: 2}, true},
	{wideShape{tokens: 16, rings: 2, memory: 88 << 10, ctas: 2}, true},
	{wideShape{tokens: 32, rings: 2, memory: 180 << 10, ctas: 1}, true},
	{wideShape{tokens: 64, rings: 1, memory: 192 << 10, ctas: 1}, true},
	{wideShape{tokens: 128, rings: 1, memory: 192 << 10, ctas: 1}, false},
}

// wide is a product on wgmma: x[T,K] * w[N,K]^T (+ bias), and what finishers make of it. Unproven on hardware.
//
//	tile (i, j): tokens n*i.., outputs 128*j.. (one ring) or 64*j.. (two rings); CTA (i, j) has it, or see stream
//
//	threads          one ring                                 two rings
//	  0-127          outputs 0-63, parts 0-7 of K             outputs 0-63, parts 0-3
//	128-255          outputs 64-127, parts 0-7                outputs 0-63, parts 4-7
//	256-383          bring weights and tokens                 two warps for each ring
//
//	             n
//	warp 0 m16 | D |    The weight is operand A, from registers: warp w of a group has the panel of 16 outputs that gives rows 16w.. of
//	warp 1 m16 | D |    m64; a lane's 16 bytes of a fragment are its registers, dequantized where the tokens are numbers. The tokens are
//	warp 2 m16 | D |    operand B: n rows of 128 bytes in shared memory, swizzled over them: 64 k of numbers, 128 of codes. A lane has
//	warp 3 m16 | D |    rows g and g+8 of its panel and columns 8j+2t, 8j+2t+1: n/2 sums.
//
// Shared memory has what stages have of tokens, then what they have of weights (stageLayout), each those of ring 0 first; then what the
// warpgroups tell each other at the end (exchange). Tokens, in tiles of n x 128 bytes, come by cp.async of 16 bytes, with zeros for tokens behind
// the last one; fragments, scales and zero points by a bulk copy of each for a panel; scales of groups of tokens by cp.async.
//
// Tokens that are codes with one scale have these in a block of its own (tokenScales).
//
// span is 1 for bf16, 2 for codes of 8 bits, 4 for those of 4. All stages but the one that is multiplied may be under way: for n = 8 and
// bf16 that is 2 rings x 4 stages x 8 KB of weights for each of the two CTAs of a multiprocessor, 128 KB; a CTA that has a
// multiprocessor to itself, because the product has few outputs, has 2 x 9 stages, 144 KB.
//
// The order of sums is that of every target: K is cut into eight parts, each is summed in the order of k, and the parts are added in
// order, beginning with zero. That a column of a result of wgmma does not depend on n is assumed; then all shapes give the same bits.
type wide struct {
	*product
	wideShape
	stageLayout
	stages      int // of a ring
	instruction ptx.WGMMA
	decode      wideReader
	stream      stream

	piece        streamPiece
	counted      ptx.Reg // the CTA was the last one of its tile
	group, ring  ptx.Reg // of the thread's warp
	tokenStages  ptx.Reg // of the ring
	weightStages ptx.Reg
	exchanged    ptx.Reg
	factors      ptx.Reg // of the tokens of the thread's warpgroup
	tokenScales  ptx.Reg // of tokens that are codes: [tokens] f32
	told         ptx.Reg // barrier of these
	full, empty  ptx.Reg // barriers of the ring, one for each stage
	token        ptx.Reg // the CTA's first one
	from, to     ptx.Reg // chunks of the ring
	parts, ends  ptx.Reg // its first part, and the one behind its last one
}

func newWide(e *entry, s wideShape) *wide {
	w := &wide{product: newProduct(e), wideShape: s}
	w.stageLayout = w.newStage(panelBytes/w.chunkBytes(), wideGroups*widePanels/s.rings, s.tokens)
	w.instruction = ptx.WGMMA{N: s.tokens, A: ptx.BF16}
	w.decode = wideReaders[w.reads()](w)
	w.stages = min(maxStages, s.memory/(s.rings*(w.tokenBytes+w.weightBytes)))
	w.stream = newStream(w)
	return w
}

// outputs is the number of rows of the weight that a CTA multiplies.
func (w *wide) outputs() int { return w.panels * layout.FragmentRows }

// producers is how many threads feed a ring.
func (w *wide) producers() int { return 128 / w.rings }

// tileChunks is how many chunks of a token a row of a tile has.
func (w *wide) tileChunks() int { return tokenRow / w.chunkRow }

// wideVariants are the entries of a product, each for steps of up to so many tokens.
func wideVariants(e *entry) []variant {
	var list []variant
	for _, s := range wideShapesOf(e) {
		v := variant{ctas: s.ctas, readsWeights: true, makesCodes: s.tokens <= rawTokens && e.has("raw"), family: family{
			threads: wideThreads,
			grid:    func(e *entry) [3]engine.Extent { return newWide(e, s).grid() },
			build:   func(e *entry) { newWide(e, s).write() },
		}}
		if s.oneRow {
			v.limit = int64(s.tokens)
		}
		list = append(list, v)
	}
	return list
}

// wideShapesOf are the shapes of a product's entries.
func wideShapesOf(e *entry) []wideShape {
	p := newProduct(e)
	var list []wideShape
	for _, row := range wideShapes {
		if p.w.Group > 0 && !p.coded() && !row.grouped {
			continue
		}
		s := row.wideShape
		if s.ctas > 1 && ceilDiv(p.w.Panels(), widePanels) <= e.cores {
			s.ctas, s.memory = 1, lonelyMemory
		}
		s.oneRow = true
		list = append(list, s)
	}
	list[len(list)-1].oneRow = false
	return list
}

// lonelyMemory is for the stages of a CTA that has a multiprocessor to itself because there are no more CTAs than multiprocessors.
const lonelyMemory = 180 << 10

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// Registers of a thread where a CTA has a multiprocessor to itself: 128*40 + 256*232 and 128*96 + 256*200 are less than the 64 K that there are, of
// which a thread has 168 at first.
const (
	feederRegisters      = 40
	multiplyRegisters    = 232
	rawFeederRegisters   = 96
	rawMultiplyRegisters = 200
	firstRegisters       = 168
)

func (w *wide) write() { w.unless(w.startPiece(), w.writePiece) }

func (w *wide) writePiece() {
	w.Section("barriers")
	stages := w.rings * w.stages
	w.tokenStages = w.Addr(w.Dynamic("tokens_of_stages", stages*w.tokenBytes, tileAlign))
	w.weightStages = w.Addr(w.Dynamic("weights_of_stages", stages*w.weightBytes, 16))
	w.exchanged = w.Addr(w.Dynamic("exchange", w.exchangeBytes(), 16))
	w.shared = stages*(w.tokenBytes+w.weightBytes) + w.exchangeBytes()
	if w.rowScaled() {
		w.tokenScales = w.Addr(w.Static("scales_of_tokens", 4*w.tokens, 16))
		w.told = w.Addr(w.Static("told", 8, 8))
	}
	w.full = w.Addr(w.Static("full", 8*stages, 8))
	w.empty = w.Addr(w.Static("empty", 8*stages, 8))
	if w.cuts() {
		w.counted = w.Addr(w.Static("counted", 4, 4))
	}
	w.group = w.Warpgroup()
	w.If(w.Eq(w.TidX(), 0), func() {
		for s := range stages {
			w.BarrierInit(w.full.At(8*s), 1+w.producers()/32)
			w.BarrierInit(w.empty.At(8*s), wideGroups/w.rings*4)
		}
		if w.rowScaled() {
			w.BarrierInit(w.told, w.producers()/32)
		}
		w.FenceBarrierInit()
	})
	w.Sync()
	w.token = w.Mul(w.piece.row, w.tokens)
	full, empty := w.full, w.empty // those of all rings
	w.IfElse(w.Eq(w.group, wideGroups), w.startFeeding, w.startMultiplying)
	if w.part != nil {
		w.leaveBarriers(full, empty)
	}
}

// leaveBarriers makes barriers ordinary memory again, for what the CTA does next.
func (w *wide) leaveBarriers(full, empty ptx.Reg) {
	w.Section("end of barriers")
	w.Sync()
	w.If(w.Eq(w.TidX(), 0), func() {
		for s := range w.rings * w.stages {
			w.BarrierInval(full.At(8 * s))
			w.BarrierInval(empty.At(8 * s))
		}
		if w.rowScaled() {
			w.BarrierInval(w.told)
		}
	})
}

// startFeeding and startMultiplying are what warps do that bring and that multiply; each finds its ring first.
func (w *wide) startFeeding() {
	w.Section("feed")
	feeder := *w // each role has registers of its own
	feeder.chooseRing(w.Shr(w.Sub(w.Warp(), 4*wideGroups), 1))
	if w.makesCodes {
		feeder.registers(rawFeederRegisters)
		feeder.feedRaw()
		return
	}
	feeder.registers(feederRegisters)
	feeder.feed()
}

func (w *wide) startMultiplying() {
	w.Section("multiply")
	if w.makesCodes {
		w.registers(rawMultiplyRegisters)
	} else {
		w.registers(multiplyRegisters)
	}
	w.chooseRing(w.group)
	w.multiply()
}

// registers moves registers between the roles. Parts leave them where they are: the CTA goes on with other work, and tiles of few tokens need no more.
func (w *wide) registers(n int) {
	switch {
	case w.ctas > 1 || w.part != nil:
	case n < firstRegisters:
		w.RegistersDown(n)
	default:
		w.RegistersUp(n)
	}
}

// chooseRing finds a ring's stages, barriers and chunks.
func (w *wide) chooseRing(number ptx.Reg) {
	if w.rings == 1 {
		number = w.Const(ptx.U32, 0)
	}
	w.ring = number
	w.tokenStages = w.Index(w.tokenStages, number, w.stages*w.tokenBytes)
	w.weightStages = w.Index(w.weightStages, number, w.stages*w.weightBytes)
	w.full, w.empty = w.Index(w.full, number, 8*w.stages), w.Index(w.empty, number, 8*w.stages)
	w.parts, w.ends = w.piece.from, w.piece.to
	if w.rings > 1 {
		half := w.Shr(w.Sub(w.ends, w.parts), 1) // ranges are multiples of two parts then
		w.parts = w.Mad(number, half, w.parts)
		w.ends = w.Add(w.parts, half)
	}
	w.from, w.to = w.partStart(w.parts), w.partStart(w.ends)
}

// stageCounter walks around a ring.
type stageCounter struct{ stage, parity ptx.Reg }

func (w *wide) newStageCounter() stageCounter {
	return stageCounter{w.mutable(ptx.U32, 0), w.mutable(ptx.U32, 0)}
}

// next goes to the next stage; the parity of a stage flips each time around.
func (w *wide) next(c stageCounter) {
	w.Into(c.stage).Add(c.stage, 1)
	around := w.Eq(c.stage, w.stages)
	w.When(around).Set(c.stage, 0)
	w.When(around).Into(c.parity).Xor(c.parity, 1)
}
