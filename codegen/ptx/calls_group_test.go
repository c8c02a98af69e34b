package ptx

func callCollectives(k *scene) {
	x := k.v[F32]
	k.ShflXor(x, 16)
	k.ShflIdx(x, k.v[U32])
	k.ShflUp(x, 1)
	k.ShflDown(x, 1)
	for _, kind := range []string{"up", "down", "bfly", "idx"} {
		k.Shuffle(kind, x, 1, 0x1f, FullWarp)
	}
	k.WarpReduce(x, k.Max)
	k.VoteAll(k.v[Pred])
	k.VoteAny(k.v[Pred].Not())
	k.VoteUni(k.v[Pred])
	k.Ballot(k.v[Pred])
	k.each(func(x Reg) { k.MatchAny(x); k.MatchAll(x) }, B32, B64)
	k.ActiveMask()
	for _, op := range []string{"add", "min", "max"} {
		k.Redux(op, k.v[U32])
		k.Redux(op, k.v[S32])
	}
	for _, op := range []string{"and", "or", "xor"} {
		k.Redux(op, k.v[B32])
	}
}

func callBarriers(k *scene) {
	k.Sync()
	k.SyncSome(1, 64)
	k.SyncSome(k.v[U32], k.v[U32])
	k.Arrive(2, 128)
	k.SyncCount(k.v[Pred])
	k.SyncAnd(k.v[Pred])
	k.SyncOr(k.v[Pred].Not())
	k.SyncWarp()
	for _, s := range []Scope{CTA, GPU, System} {
		k.Membar(s)
		k.Fence(s)
		k.FenceSeqCst(s)
	}
}

func callControl(k *scene) {
	n := k.Uint("n")
	k.Section("branches")
	k.Comment("taken by odd\nnumbers")
	k.IfElse(k.Eq(k.And(n, 1), 1), func() { k.Sleep(100) }, func() {
		k.If(k.Lt(n, 4), k.Trap)
	})
	k.Section("loops")
	sum := k.Const(U32, 0)
	k.For(Range{Name: "plain", To: n, NoUnroll: true}, func(i Reg) { k.Into(sum).Add(sum, i) })
	k.For(Range{Name: "constant", From: 2, To: 10, Step: 2, Unroll: 2}, func(i Reg) { k.Into(sum).Add(sum, i) })
	k.For(Range{Name: "unrolled", From: 0, To: n, Step: 3, Unroll: 2}, func(i Reg) { k.Into(sum).Add(sum, i) })
	k.While("while", func() Reg { return k.Gt(sum, 5) }, func() { k.Into(sum).Sub(sum, 5) })
	k.Loop("outer", func(outer *Loop) {
		k.Loop("inner", func(inner *Loop) {
			k.Into(sum).Add(sum, 1)
			inner.BreakIf(k.Eq(k.And(sum, 3), 0))
			outer.BreakIf(k.Gt(sum, 100))
		})
		k.If(k.Gt(sum, 50), outer.Break)
	})
	k.DoWhile("again", func() Reg { k.Into(sum).Shr(sum, 1); return k.Ne(sum, 0) })
	k.If(k.Eq(n, 9), k.Exit)
	k.Return()
}

func callMatrices(k *scene) {
	for _, n := range []int{1, 2, 4} {
		k.Ldmatrix(BF16x2, n, false, k.s)
		k.Ldmatrix(B32, n, true, k.s)
	}
	k.shapes(MmaF16, MmaBF16, MmaF16K8, MmaBF16K8, MmaF16F16, MmaTF32, MmaTF32K4, MmaS8, MmaU8, MmaS8U8, MmaU8S8, MmaS8K16)
}

func callMatrices89(k *scene) { k.shapes(MmaE4M3, MmaE5M2, MmaE4M3E5M2, MmaE5M2E4M3) }

func (k *scene) shapes(shapes ...MMA) {
	for _, s := range shapes {
		f := forms()["mma.sync.aligned."+s.form]
		d := k.Zeros(f.operands[0].typ, s.D.Regs)
		k.Mma(s, d, k.many(f.operands[1].typ, s.A.Regs), k.many(f.operands[2].typ, s.B.Regs))
	}
}

func callWarpgroups(k *scene) {
	k.RegistersUp(240)
	k.RegistersDown(24)
	desc := k.Descriptor(KTile(Swizzle128), k.s)
	k.Advance(desc, 32)
	k.Swizzled(Swizzle64, k.v[U32])
	k.WgmmaFence()
	for _, w := range []WGMMA{
		{N: 8, A: BF16}, {N: 16, A: F16, TransB: true, NegA: true}, {N: 16, A: F16, Out: F16x2}, {N: 8, A: TF32},
		{N: 8, A: E4M3x4, B: E5M2x4}, {N: 24, A: S8x4},
	} {
		d := k.Zeros(w.filled().Out, w.Accumulators())
		k.Wgmma(w, d, desc, desc, false)
		k.Wgmma(w, d, k.many(registerOf(w.A), 4), desc, true)
		k.Wgmma(w, d, desc, desc, k.v[Pred])
	}
	k.WgmmaCommit()
	k.WgmmaWait(0)
}
