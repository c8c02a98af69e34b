package ptx

// wgmmaTile is D[64,128] (f32) = A[64,K] * B[128,K]^T, bf16, one CTA per tile: a warpgroup computes, one more warp feeds it.
//
// A and B are packed: for every 64 of K a tile of 64 (A) and 128 (B) rows of 128 bytes, swizzled over 128 bytes, follow
// each other in memory, so that one bulk copy brings a tile. A stage of the ring is free when "empty" completes and holds
// data when "full" does.
func wgmmaTile(m *Module) {
	b := m.Kernel("wgmma_tile", Launch{Threads: 160, MinCTAs: 1})
	g := &wgmmaGemm{Builder: b}
	g.a, g.b, g.d = b.Pointer("a", 16), b.Pointer("b", 16), b.Pointer("d", 16)
	g.tiles, g.n = b.Uint("k_tiles"), b.Uint("n")
	g.as = b.Addr(b.Dynamic("as", ringStages*ringABytes, 1024))
	g.bs = b.Addr(b.Dynamic("bs", ringStages*ringBBytes, 1024))
	g.full = b.Addr(b.Static("full", ringStages*8, 8))
	g.empty = b.Addr(b.Static("empty", ringStages*8, 8))

	b.Section("barriers")
	group := b.Warpgroup()
	g.tid = b.TidX()
	b.If(b.Eq(g.tid, 0), func() {
		for s := range ringStages {
			b.BarrierInit(g.full.At(8*s), 1)
			b.BarrierInit(g.empty.At(8*s), 1)
		}
		b.FenceBarrierInit()
	})
	b.Sync()

	b.Section("producer")
	b.Role("producer", b.Eq(group, 1), func() { b.If(b.Elect(), g.feed) })
	b.Section("consumer")
	b.Role("consumer", b.Eq(group, 0), g.consume)
}

const (
	ringRows, ringColumns, ringDepth = 64, 128, 64
	ringStages                       = 4
	ringABytes, ringBBytes           = ringRows * ringDepth * 2, ringColumns * ringDepth * 2
)

type wgmmaGemm struct {
	*Builder
	a, b, d, tiles, n   Reg
	as, bs, full, empty Reg
	tid                 Reg
}

// ring walks through the tiles of K; the parity of a stage flips each time around.
func (g *wgmmaGemm) ring(name string, body func(i, stage, parity Reg)) {
	g.For(Range{Name: name, From: 0, To: g.tiles}, func(i Reg) {
		body(i, g.And(i, ringStages-1), g.And(g.Shr(i, 2), 1))
	})
}

func (g *wgmmaGemm) feed() {
	aTiles := g.MadWide(g.Mul(g.CtaY(), g.tiles), ringABytes, g.a)
	bTiles := g.MadWide(g.Mul(g.CtaX(), g.tiles), ringBBytes, g.b)
	g.ring("feed", func(i, stage, parity Reg) {
		ready := g.Index(g.full, stage, 8)
		// The first round finds every stage free: the parity before the first phase counts as complete.
		g.BarrierWait(g.Index(g.empty, stage, 8), g.Xor(parity, 1))
		g.BarrierArriveExpect(ready, ringABytes+ringBBytes)
		g.BulkLoad(g.Index(g.as, stage, ringABytes), g.Index(aTiles, i, ringABytes), ringABytes, ready)
		g.BulkLoad(g.Index(g.bs, stage, ringBBytes), g.Index(bTiles, i, ringBBytes), ringBBytes, ready)
	})
}

func (g *wgmmaGemm) consume() {
	shape := WGMMA{N: ringColumns, A: BF16}
	acc := g.Zeros(F32, shape.Accumulators())
	g.ring("multiply", func(i, stage, parity Reg) {
		g.BarrierWait(g.Index(g.full, stage, 8), parity)
		a := g.Descriptor(KTile(Swizzle128), g.Index(g.as, stage, ringABytes))
		b := g.Descriptor(KTile(Swizzle128), g.Index(g.bs, stage, ringBBytes))
		g.WgmmaFence()
		for k := 0; k < ringDepth; k += shape.K() {
			g.Wgmma(shape, acc, g.Advance(a, 2*k), g.Advance(b, 2*k), true)
		}
		g.WgmmaCommit()
		g.WgmmaWait(0)
		g.SyncSome(1, 128)
		g.When(g.Eq(g.tid, 0)).BarrierArrive(g.Index(g.empty, stage, 8))
	})

	g.Section("epilogue")
	lane, warp := g.Lane(), g.Warp()
	row := g.Add(g.Mad(g.CtaY(), ringRows, g.Shl(warp, 4)), g.Shr(lane, 2))
	col := g.Mad(g.CtaX(), ringColumns, g.Shl(g.And(lane, 3), 1))
	for h := range 2 {
		line := g.Index(g.d, g.Mad(g.Add(row, 8*h), g.n, col), 4)
		for j := range ringColumns / 8 {
			g.StV(line.At(32*j), acc[4*j+2*h:][:2])
		}
	}
}
