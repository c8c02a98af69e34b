package ptx

// gemmTile is D[64,64] (f32) = A[64,K] * B[64,K]^T, bf16, one CTA of 4 warps per tile. K is a multiple of 32.
//
// Shared memory holds two stages of A and B, rows of 32 values (64 bytes) swizzled over 64 bytes. Warp (i, j) computes
// rows 32i.. and columns 32j..: two m16 by four n8.
func gemmTile(m *Module) {
	b := m.Kernel("gemm_tile", Launch{Threads: 128})
	g := &gemm{Builder: b}
	g.aFrom, g.bFrom, g.d = b.Pointer("a", 16), b.Pointer("b", 16), b.Pointer("d", 16)
	g.k, g.n = b.Uint("k"), b.Uint("n")
	g.as = b.Addr(b.Static("as", gemmStages*gemmStageBytes, 1024))
	g.bs = b.Addr(b.Static("bs", gemmStages*gemmStageBytes, 1024))
	g.places()

	b.Section("first stage")
	g.acc = b.Zeros(F32, 2*4*4)
	stage := b.Const(U32, 0)
	g.load(stage)

	b.Section("main loop")
	b.For(Range{Name: "k", From: 0, To: g.k, Step: gemmDepth}, func(i Reg) {
		b.CopyWait(0)
		b.Sync()
		now := b.Mov(stage)
		b.Into(stage).Xor(stage, 1)
		b.If(b.Lt(b.Add(i, gemmDepth), g.k), func() { g.load(stage) })
		g.multiply(now)
	})
	g.store()
}

const (
	gemmTileRows   = 64
	gemmDepth      = 32
	gemmStages     = 2
	gemmRowBytes   = gemmDepth * 2
	gemmStageBytes = gemmTileRows * gemmRowBytes
)

type gemm struct {
	*Builder
	d, k, n         Reg
	as, bs          Reg   // stages
	aFrom, bFrom    Reg   // what this thread copies next
	copyTo, half    Reg   // where it goes in a stage; bytes of 32 rows
	lane            Reg   // of the warp
	row, col        Reg   // of the warp in the tile
	matRow, matUnit Reg   // what this lane's address for ldmatrix adds
	acc             []Reg // [2][4] accumulators of m16n8
}

// places computes what each thread copies (16 bytes; four threads a row, 32 rows at a time) and each warp multiplies.
func (g *gemm) places() {
	g.Section("places")
	tid, warp := g.TidX(), g.Warp()
	g.lane = g.Lane()
	g.row, g.col = g.Shl(g.And(warp, 1), 5), g.Shl(g.Shr(warp, 1), 5)
	copyRow, copyUnit := g.Shr(tid, 2), g.Shl(g.And(tid, 3), 4)
	g.copyTo = g.Swizzled(Swizzle64, g.Mad(copyRow, gemmRowBytes, copyUnit))
	source := func(p, tile Reg) Reg {
		row := g.Mad(tile, gemmTileRows, copyRow)
		return g.Add(g.MadWide(g.Mul(row, g.k), 2, p), g.Cvt(U64, copyUnit))
	}
	g.aFrom, g.bFrom = source(g.aFrom, g.CtaY()), source(g.bFrom, g.CtaX())
	g.half = g.Shl(g.Cvt(U64, g.k), 6)
	g.matRow, g.matUnit = g.And(g.lane, 15), g.Shl(g.Shr(g.lane, 4), 4)
}

// load copies the next 32 of K to a stage.
func (g *gemm) load(stage Reg) {
	for _, operand := range [][2]Reg{{g.as, g.aFrom}, {g.bs, g.bFrom}} {
		to, from := g.Add(g.Mad(stage, gemmStageBytes, operand[0]), g.copyTo), operand[1]
		g.CopyAsync(to, from, 16, Prefetch128)
		g.CopyAsync(to.At(32*gemmRowBytes), g.Add(from, g.half), 16, Prefetch128)
		g.Into(from).Add(from, gemmRowBytes)
	}
	g.CopyCommit()
}

// fragment loads 16 rows by 16 of K: matrices of rows 0-7 and 8-15, first the lower half of K, then the upper.
func (g *gemm) fragment(base, row Reg, step int) []Reg {
	offset := g.Mad(g.Add(row, g.matRow), gemmRowBytes, g.Add(g.matUnit, step*32))
	return g.Ldmatrix(BF16x2, 4, false, g.Add(base, g.Swizzled(Swizzle64, offset)))
}

func (g *gemm) multiply(stage Reg) {
	aBase, bBase := g.Mad(stage, gemmStageBytes, g.as), g.Mad(stage, gemmStageBytes, g.bs)
	for step := range gemmDepth / 16 {
		var a, b [2][]Reg
		for h := range 2 {
			a[h] = g.fragment(aBase, g.Add(g.row, 16*h), step)
			b[h] = g.fragment(bBase, g.Add(g.col, 16*h), step)
		}
		for i := range 2 {
			for j := range 4 {
				columns := b[j/2]
				g.Mma(MmaBF16, g.at(i, j), a[i], []Reg{columns[j%2], columns[j%2+2]})
			}
		}
	}
}

func (g *gemm) at(i, j int) []Reg { return g.acc[(i*4+j)*4:][:4] }

func (g *gemm) store() {
	g.Section("epilogue")
	row := g.Add(g.Mad(g.CtaY(), gemmTileRows, g.row), g.Shr(g.lane, 2))
	col := g.Add(g.Mad(g.CtaX(), gemmTileRows, g.col), g.Shl(g.And(g.lane, 3), 1))
	for i := range 2 {
		for h := range 2 {
			line := g.Index(g.d, g.Mad(g.Add(row, 16*i+8*h), g.n, col), 4)
			for j := range 4 {
				g.StV(line.At(j*32), g.at(i, j)[2*h:2*h+2])
			}
		}
	}
}
