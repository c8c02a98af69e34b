package ptx

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
