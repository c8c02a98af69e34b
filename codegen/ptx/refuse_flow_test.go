package ptx

import "testing"

// flowRefusals are mistakes that only the whole kernel shows.
var flowRefusals = []struct {
	name   string
	target Target
	launch Launch
	write  func(k *scene)
	want   string
}{
	// Definition before use.
	{"never written", SM80, Launch{}, func(k *scene) { k.Add(k.Reg(U32), 1) }, "add.u32: operand 2 (u32) is used before it is defined"},
	{"written on one way", SM80, Launch{}, func(k *scene) {
		x := k.Reg(U32)
		k.If(k.v[Pred], func() { k.Set(x, 1) })
		k.Add(x, 1)
	}, "is used before it is defined"},
	{"written in a loop that may not run", SM80, Launch{}, func(k *scene) {
		x := k.Reg(U32)
		k.For(Range{To: k.v[U32]}, func(Reg) { k.Set(x, 1) })
		k.Add(x, 1)
	}, "is used before it is defined"},
	{"written behind a break", SM80, Launch{}, func(k *scene) {
		x := k.Reg(U32)
		k.Loop("l", func(l *Loop) { l.BreakIf(k.v[Pred]); k.Set(x, 1) })
		k.Add(x, 1)
	}, "is used before it is defined"},
	{"written under a guard", SM80, Launch{}, func(k *scene) { k.Add(k.When(k.v[Pred]).Ld(U32, k.g), 1) }, "was defined under a guard only"},
	{"guard changed between", SM80, Launch{}, func(k *scene) {
		p := k.Eq(k.v[U32], 0)
		x := k.When(p).Ld(U32, k.g)
		k.Into(p).Eq(k.v[U32], 1)
		k.When(p).St(k.g, x)
	}, "is used before it is defined"},
	{"opposite guard", SM80, Launch{}, func(k *scene) {
		x := k.When(k.v[Pred]).Ld(U32, k.g)
		k.Unless(k.v[Pred]).St(k.g, x)
	}, "was defined under a guard only"},
	{"address never written", SM80, Launch{}, func(k *scene) { k.Ld(U32, k.Reg(Shared)) }, "operand 2 (shared) is used before it is defined"},
	{"condition never written", SM80, Launch{}, func(k *scene) { k.If(k.Reg(Pred), func() {}) }, "the condition is used before it is defined"},

	// Threads that part.
	{"barrier by thread", SM80, Launch{}, func(k *scene) { k.Section("reduce"); k.If(k.Eq(k.TidX(), 0), k.Sync) },
		`section "reduce": bar.sync: needs control flow that is uniform in the CTA; here it is divergent`},
	{"barrier by warp", SM80, Launch{}, func(k *scene) { k.If(k.Eq(k.Warp(), 0), k.Sync) }, "needs control flow that is uniform in the CTA; here it is uniform in the warp"},
	{"guarded barrier", SM80, Launch{}, func(k *scene) { k.When(k.Eq(k.Lane(), 0)).Sync() }, "here it is divergent"},
	{"named barrier by thread", SM80, Launch{}, func(k *scene) { k.If(k.Lt(k.TidX(), 64), func() { k.SyncSome(1, 64) }) }, "needs control flow that is uniform in the warp"},
	{"shuffle by lane", SM80, Launch{}, func(k *scene) { k.If(k.Lt(k.Lane(), 4), func() { k.ShflXor(k.v[F32], 1) }) }, "shfl.sync.bfly.b32: needs control flow that is uniform in the warp"},
	{"product by thread", SM80, Launch{}, func(k *scene) {
		k.If(k.Lt(k.TidX(), 32), func() { k.Mma(MmaBF16, k.Zeros(F32, 4), k.many(BF16x2, 4), k.many(BF16x2, 2)) })
	}, "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32: needs control flow that is uniform in the warp"},
	{"wgmma by warp", SM90a, Launch{}, func(k *scene) { k.If(k.Eq(k.Warp(), 0), k.WgmmaFence) }, "needs control flow that is uniform in the warpgroup; here it is uniform in the warp"},
	{"loop of thread-dependent length", SM80, Launch{}, func(k *scene) {
		k.For(Range{To: k.TidX()}, func(Reg) { k.Ldmatrix(B32, 4, false, k.s) })
	}, "here it is divergent"},
	{"loop left by some", SM80, Launch{}, func(k *scene) {
		k.Loop("l", func(l *Loop) { k.Sync(); l.BreakIf(k.Eq(k.Lane(), 3)) })
	}, "bar.sync: needs control flow that is uniform in the CTA"},
	{"divergent through a variable", SM80, Launch{}, func(k *scene) {
		x := k.Const(U32, 0)
		k.If(k.Eq(k.TidX(), 5), func() { k.Set(x, 1) })
		k.If(k.Eq(x, 1), k.Sync)
	}, "here it is divergent"},
	{"after some have ended", SM80, Launch{}, func(k *scene) { k.If(k.Ge(k.TidX(), 100), k.Return); k.Sync() }, "here it is divergent"},
	{"by an atomic's result", SM80, Launch{}, func(k *scene) { k.If(k.Eq(k.AtomAdd(Relaxed, k.g, 1), 0), k.Sync) }, "here it is divergent"},
	{"by a volatile load", SM80, Launch{}, func(k *scene) { k.If(k.Eq(k.Ld(U32, k.g, Volatile), 0), k.Sync) }, "here it is uniform in the warp"},

	// Asynchrony.
	{"accumulators not zeroed", SM90a, Launch{}, func(k *scene) {
		w := WGMMA{N: 8, A: BF16}
		k.WgmmaFence()
		k.Wgmma(w, k.Regs(F32, 4), k.v[B64], k.v[B64], true)
		k.WgmmaCommit()
		k.WgmmaWait(0)
	}, "accumulators are not defined: zero them before the loop"},
	{"no fence", SM90a, Launch{}, func(k *scene) { k.Wgmma(WGMMA{N: 8, A: BF16}, k.Zeros(F32, 4), k.v[B64], k.v[B64], true) }, "no WgmmaFence before the first wgmma"},
	{"fence before the writes", SM90a, Launch{}, func(k *scene) {
		k.WgmmaFence()
		k.Wgmma(WGMMA{N: 8, A: BF16}, k.Zeros(F32, 4), k.v[B64], k.v[B64], true)
	}, "operand 1 was written since the last WgmmaFence"},
	{"accumulators read too early", SM90a, Launch{}, func(k *scene) {
		d := startWgmma(k)
		k.WgmmaWait(1)
		k.St(k.g, d[0])
	}, "operand 2 is an accumulator of wgmma that is still under way"},
	{"read on the way around", SM90a, Launch{}, func(k *scene) {
		d := k.Zeros(F32, 4)
		k.For(Range{To: 4}, func(Reg) {
			k.St(k.g, d[0])
			k.WgmmaFence()
			k.Wgmma(WGMMA{N: 8, A: BF16}, d, k.v[B64], k.v[B64], true)
			k.WgmmaCommit()
		})
		k.WgmmaWait(0)
	}, "operand 2 is an accumulator of wgmma that is still under way"},
	{"A overwritten", SM90a, Launch{}, func(k *scene) {
		a := k.Zeros(BF16x2, 4)
		d := k.Zeros(F32, 4)
		k.WgmmaFence()
		k.Wgmma(WGMMA{N: 8, A: BF16}, d, a, k.v[B64], true)
		k.WgmmaCommit()
		k.Set(a[0], 0)
	}, "operand 1 is read by wgmma that is still under way"},
	{"wgmma left under way", SM90a, Launch{}, func(k *scene) { startWgmma(k) }, "wgmma is still under way: WgmmaWait is missing"},
	{"copy not waited for", SM80, Launch{}, func(k *scene) {
		k.CopyAsync(k.s, k.g, 16)
		k.CopyCommit()
		k.Sync()
		k.Ld(F32, k.Index(k.s, k.v[U32], 4))
	}, "ld.shared.b32: reads shared region tile, which cp.async writes, with no wait before it"},
	{"copy in no group", SM80, Launch{}, func(k *scene) { k.CopyAsync(k.s, k.g, 16) }, "cp.async copies are in no group"},

	// Addresses, barriers, registers.
	{"offset not by 16", SM80, Launch{}, func(k *scene) { k.LdV(F32, 4, k.g.At(8)) }, "ld.global.v4.b32: address 8 modulo 16: the access wants a multiple of 16"},
	{"odd element", SM80, Launch{}, func(k *scene) { k.LdV(F32, 2, k.Add(k.Index(k.g, k.v[U32], 8), 4)) }, "address 4 modulo 8: the access wants a multiple of 8"},
	{"row of ldmatrix", SM80, Launch{}, func(k *scene) { k.Ldmatrix(B32, 1, false, k.s.At(8)) }, "address 8 modulo 16"},
	{"barrier 16", SM80, Launch{}, func(k *scene) { k.SyncSome(16, 64) }, "barrier 16: there are 0 to 15"},
	{"barrier of 48", SM80, Launch{}, func(k *scene) { k.SyncSome(1, 48) }, "barrier of 48 threads: wants a multiple of 32 up to the 128 of the CTA"},
	{"too many registers", SM80, Launch{Threads: 1024}, func(k *scene) {
		k.Section("hoard")
		live := k.Regs(F32, 80)
		for i := range live {
			k.Into(live[i]).Ld(F32, k.g.At(4*i))
		}
		for i := range live {
			k.St(k.g.At(4*i), live[i])
		}
	}, `section "hoard": about 82 registers are live, a thread of 1024 has at most 64`},
	{"wgmma of one warp", SM90a, Launch{Threads: 96}, func(k *scene) { k.WgmmaFence() }, "wgmma.* in a CTA of 96 threads: wants a warpgroup of 128"},
	{"half a warpgroup gives registers", SM90a, Launch{Threads: 160, MinCTAs: 1}, func(k *scene) { k.RegistersDown(24) }, "setmaxnreg.* in a CTA of 160 threads"},
	{"setmaxnreg without bounds", SM90a, Launch{Threads: 128}, func(k *scene) { k.RegistersDown(24) }, "setmaxnreg without MinCTAs"},
}

func startWgmma(k *scene) []Reg {
	d := k.Zeros(F32, 4)
	k.WgmmaFence()
	k.Wgmma(WGMMA{N: 8, A: BF16}, d, k.v[B64], k.v[B64], true)
	k.WgmmaCommit()
	return d
}

func TestFlowRefusals(t *testing.T) {
	for _, r := range flowRefusals {
		t.Run(r.name, func(t *testing.T) { refuse(t, r.target, r.launch, r.write, r.want) })
	}
}
