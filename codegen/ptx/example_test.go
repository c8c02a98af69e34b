package ptx

import (
	"testing"
)

// rmsnorm is a kernel of one CTA per row: y = x / sqrt(mean(x^2) + eps) * w, all bf16, sums in f32.
//
// Each thread takes 8 neighbouring values at a time (16 bytes), threads follow each other: columns 8*tid + 8*256*i.
func rmsnorm(m *Module) {
	const threads, perThread = 256, 8
	b := m.Kernel("rmsnorm", Launch{Threads: threads})
	x, w, y := b.Pointer("x", 16), b.Pointer("w", 16), b.Pointer("y", 16)
	columns, eps := b.Uint("columns"), b.Float("eps")
	partials := b.Addr(b.Static("partials", threads/32*4, 16))

	b.Section("sum of squares")
	tid := b.TidX()
	first := b.Mul(tid, perThread)
	row := b.Index(x, b.Mul(b.CtaX(), columns), 2)
	sum := b.Const(F32, 0)
	b.For(Range{Name: "squares", From: first, To: columns, Step: threads * perThread}, func(i Reg) {
		for _, pair := range b.LdV(BF16x2, 4, b.Index(row, i, 2)) {
			for _, v := range widen(b, pair) {
				b.Into(sum).Fma(v, v, sum)
			}
		}
	})

	b.Section("sum over the CTA, in a fixed order")
	warpSum := b.WarpReduce(sum, b.Add)
	lane, warp := b.Lane(), b.Warp()
	b.When(b.Eq(lane, 0)).St(b.Index(partials, warp, 4), warpSum)
	b.Sync()
	total := b.Const(F32, 0)
	for i := range threads / 32 {
		b.Into(total).Add(total, b.Ld(F32, partials.At(4*i)))
	}
	scale := b.RsqrtApprox(b.Add(b.Div(total, b.Cvt(F32, columns)), eps))

	b.Section("scale")
	out := b.Index(y, b.Mul(b.CtaX(), columns), 2)
	b.For(Range{Name: "scale", From: first, To: columns, Step: threads * perThread}, func(i Reg) {
		xs := b.LdV(BF16x2, 4, b.Index(row, i, 2))
		ws := b.LdV(BF16x2, 4, b.Index(w, i, 2), ReadOnly)
		var ys []Reg
		for n := range xs {
			xv, wv := widen(b, xs[n]), widen(b, ws[n])
			ys = append(ys, b.Cvt2(BF16x2, b.Mul(b.Mul(xv[0], scale), wv[0]), b.Mul(b.Mul(xv[1], scale), wv[1])))
		}
		b.StV(b.Index(out, i, 2), ys)
	})
}

// widen gives the two bf16 of a register as f32: the low half shifted up, the high half in place.
func widen(b *Builder, pair Reg) [2]Reg {
	word := pair.As(B32)
	return [2]Reg{b.Shl(word, 16).As(F32), b.And(word, 0xffff0000).As(F32)}
}

// gemmTile is D[64,64] (f32) = A[64,K] * B[64,K]^T, bf16, one CTA of 4 warps per tile. K is a multiple of 32.
//
// Shared memory holds two stages of A and B, rows of 32 values (64 bytes) swizzled over 64 bytes. Warp (i, j) computes
// rows 32i.. and columns 32j..: two m16 by four n8.
func gemmTile(m *Module) {
	const tile, depth, stages = 64, 32, 2
	const rowBytes, stageBytes = depth * 2, tile * depth * 2
	b := m.Kernel("gemm_tile", Launch{Threads: 128})
	a, bt, d := b.Pointer("a", 16), b.Pointer("b", 16), b.Pointer("d", 16)
	k, n := b.Uint("k"), b.Uint("n")
	as := b.Addr(b.Static("as", stages*stageBytes, 1024))
	bs := b.Addr(b.Static("bs", stages*stageBytes, 1024))

	b.Section("places")
	tid, lane, warp := b.TidX(), b.Lane(), b.Warp()
	warpRow, warpCol := b.Shl(b.And(warp, 1), 5), b.Shl(b.Shr(warp, 1), 5)
	// A copy moves 16 bytes: four threads a row, 32 rows at a time.
	copyRow, copyUnit := b.Shr(tid, 2), b.Shl(b.And(tid, 3), 4)
	copyTo := b.Swizzled(Swizzle64, b.Mad(copyRow, rowBytes, copyUnit))
	source := func(p, tileIndex Reg) Reg {
		row := b.Mad(tileIndex, tile, copyRow)
		return b.Add(b.MadWide(b.Mul(row, k), 2, p), b.Cvt(U64, copyUnit))
	}
	aFrom, bFrom := source(a, b.CtaY()), source(bt, b.CtaX())
	half := b.Shl(b.Cvt(U64, k), 6) // bytes of 32 rows
	load := func(stage Reg) {
		for i := range 2 {
			shift := i * 32 * rowBytes
			for _, operand := range [][2]Reg{{as, aFrom}, {bs, bFrom}} {
				to := b.Add(b.Mad(stage, stageBytes, operand[0]), copyTo)
				from := operand[1]
				if i == 1 {
					from = b.Add(from, half)
				}
				b.CopyAsync(to.At(shift), from, 16, Prefetch128)
			}
		}
		b.CopyCommit()
		b.Into(aFrom).Add(aFrom, rowBytes)
		b.Into(bFrom).Add(bFrom, rowBytes)
	}

	b.Section("first stage")
	acc := b.Zeros(F32, 2*4*4)
	stage := b.Const(U32, 0)
	load(stage)

	b.Section("main loop")
	// Lanes give ldmatrix the addresses: 16 rows by two units of 16 bytes.
	matrixRow, matrixUnit := b.And(lane, 15), b.Shl(b.Shr(lane, 4), 4)
	fragment := func(base, row Reg, step int) []Reg {
		offset := b.Mad(b.Add(row, matrixRow), rowBytes, b.Add(matrixUnit, step*32))
		return b.Ldmatrix(BF16x2, 4, false, b.Add(base, b.Swizzled(Swizzle64, offset)))
	}
	b.For(Range{Name: "k", From: 0, To: k, Step: depth}, func(i Reg) {
		b.CopyWait(0)
		b.Sync()
		now := b.Mov(stage)
		b.Into(stage).Xor(stage, 1)
		b.If(b.Lt(b.Add(i, depth), k), func() { load(stage) })
		aBase, bBase := b.Mad(now, stageBytes, as), b.Mad(now, stageBytes, bs)
		for step := range depth / 16 {
			var af, bf [2][]Reg
			for h := range 2 {
				af[h] = fragment(aBase, b.Add(warpRow, 16*h), step)
				bf[h] = fragment(bBase, b.Add(warpCol, 16*h), step)
			}
			for i := range 2 {
				for j := range 4 {
					at := (i*4 + j) * 4
					// The four matrices of a fragment: rows 0-7 and 8-15 of the first unit, then of the second.
					b.Mma(MmaBF16, acc[at:at+4], af[i], []Reg{bf[j/2][j%2], bf[j/2][j%2+2]})
				}
			}
		}
	})

	b.Section("epilogue")
	row := b.Add(b.Mad(b.CtaY(), tile, warpRow), b.Shr(lane, 2))
	col := b.Add(b.Mad(b.CtaX(), tile, warpCol), b.Shl(b.And(lane, 3), 1))
	for i := range 2 {
		for h := range 2 {
			line := b.Index(d, b.Mad(b.Add(row, 16*i+8*h), n, col), 4)
			for j := range 4 {
				at := (i*4+j)*4 + 2*h
				b.StV(line.At(j*32), acc[at:at+2])
			}
		}
	}
}

// wgmmaTile is D[64,128] (f32) = A[64,K] * B[128,K]^T, bf16, one CTA per tile: a warpgroup computes, one more warp feeds it.
//
// A and B are packed at build: for every 64 of K a tile of 64 (A) and 128 (B) rows of 128 bytes, swizzled over 128 bytes,
// follow each other in memory, so that one bulk copy brings a tile. A stage of the ring is free when "empty" completes
// and holds data when "full" does.
func wgmmaTile(m *Module) {
	const rows, columns, depth, stages = 64, 128, 64, 4
	const aBytes, bBytes = rows * depth * 2, columns * depth * 2
	b := m.Kernel("wgmma_tile", Launch{Threads: 160, MinCTAs: 1})
	a, bt, d := b.Pointer("a", 16), b.Pointer("b", 16), b.Pointer("d", 16)
	tiles, n := b.Uint("k_tiles"), b.Uint("n")
	as := b.Addr(b.Dynamic("as", stages*aBytes, 1024))
	bs := b.Addr(b.Dynamic("bs", stages*bBytes, 1024))
	full := b.Addr(b.Static("full", stages*8, 8))
	empty := b.Addr(b.Static("empty", stages*8, 8))

	b.Section("barriers")
	tid, group := b.TidX(), b.Warpgroup()
	b.If(b.Eq(tid, 0), func() {
		for s := range stages {
			b.BarrierInit(full.At(8*s), 1)
			b.BarrierInit(empty.At(8*s), 1)
		}
		b.FenceBarrierInit()
	})
	b.Sync()

	// ring walks the stages; the parity of a stage flips each time around.
	ring := func(name string, body func(i, stage, parity Reg)) {
		b.For(Range{Name: name, From: 0, To: tiles}, func(i Reg) {
			body(i, b.And(i, stages-1), b.And(b.Shr(i, 2), 1))
		})
	}

	b.Section("producer")
	b.Role("producer", b.Eq(group, 1), func() {
		b.If(b.Elect(), func() {
			aTiles := b.MadWide(b.Mul(b.CtaY(), tiles), aBytes, a)
			bTiles := b.MadWide(b.Mul(b.CtaX(), tiles), bBytes, bt)
			ring("feed", func(i, stage, parity Reg) {
				ready := b.Index(full, stage, 8)
				// The first round finds every stage free: the parity before the first phase counts as complete.
				b.BarrierWait(b.Index(empty, stage, 8), b.Xor(parity, 1))
				b.BarrierArriveExpect(ready, aBytes+bBytes)
				b.BulkLoad(b.Index(as, stage, aBytes), b.Index(aTiles, i, aBytes), aBytes, ready)
				b.BulkLoad(b.Index(bs, stage, bBytes), b.Index(bTiles, i, bBytes), bBytes, ready)
			})
		})
	})

	b.Section("consumer")
	b.Role("consumer", b.Eq(group, 0), func() {
		shape := WGMMA{N: columns, A: BF16}
		acc := b.Zeros(F32, shape.Accumulators())
		ring("multiply", func(i, stage, parity Reg) {
			b.BarrierWait(b.Index(full, stage, 8), parity)
			aDesc := b.Descriptor(KTile(Swizzle128), b.Index(as, stage, aBytes))
			bDesc := b.Descriptor(KTile(Swizzle128), b.Index(bs, stage, bBytes))
			b.WgmmaFence()
			for k := 0; k < depth; k += shape.K() {
				b.Wgmma(shape, acc, b.Advance(aDesc, 2*k), b.Advance(bDesc, 2*k), true)
			}
			b.WgmmaCommit()
			b.WgmmaWait(0)
			b.SyncSome(1, 128)
			b.When(b.Eq(tid, 0)).BarrierArrive(b.Index(empty, stage, 8))
		})

		b.Section("epilogue")
		lane, warp := b.Lane(), b.Warp()
		row := b.Add(b.Mad(b.CtaY(), rows, b.Shl(warp, 4)), b.Shr(lane, 2))
		col := b.Mad(b.CtaX(), columns, b.Shl(b.And(lane, 3), 1))
		for h := range 2 {
			line := b.Index(d, b.Mad(b.Add(row, 8*h), n, col), 4)
			for j := range columns / 8 {
				b.StV(line.At(32*j), acc[4*j+2*h:4*j+2*h+2])
			}
		}
	})
}

func example(t *testing.T, target Target, build func(*Module)) string {
	t.Helper()
	m := NewModule(target)
	build(m)
	text, err := m.Print()
	if err != nil {
		t.Fatal(err)
	}
	if m.Raw() != 0 {
		t.Errorf("%d raw instructions", m.Raw())
	}
	return text
}

var examples = []struct {
	name   string
	target Target
	build  func(*Module)
}{
	{"rmsnorm", SM80, rmsnorm},
	{"gemm_tile", SM80, gemmTile},
	{"wgmma_tile", SM90a, wgmmaTile},
}

func TestExamples(t *testing.T) {
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) { t.Log(example(t, e.target, e.build)) })
	}
}

func TestExamplesAssemble(t *testing.T) {
	for _, a := range assemblers(t) {
		for _, e := range examples {
			u := a.assemble(t, example(t, e.target, e.build), e.target)
			if u.spills != 0 || u.stack != 0 {
				t.Errorf("%s with ptxas %s: %d bytes spilled, %d of stack", e.name, a.version, u.spills, u.stack)
			}
			t.Logf("%s with ptxas for PTX %s: %d registers", e.name, a.version, u.registers)
		}
	}
}
