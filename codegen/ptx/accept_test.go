package ptx

import "testing"

// accepted is what looks like mistakes and is right.
var accepted = []struct {
	name   string
	target Target
	write  func(k *scene)
}{
	{"named barrier of a warp's role", SM80, func(k *scene) { k.Role("reader", k.Lt(k.Warp(), 2), func() { k.SyncSome(1, 64) }) }},
	{"product in a warp's role", SM80, func(k *scene) {
		k.Role("multiplier", k.Ge(k.Warp(), 2), func() { k.Mma(MmaBF16, k.Zeros(F32, 4), k.many(BF16x2, 4), k.many(BF16x2, 2)) })
	}},
	{"wgmma in a warpgroup's role", SM90a, func(k *scene) {
		k.Role("multiplier", k.Eq(k.Warpgroup(), 0), func() { startWgmma(k); k.WgmmaWait(0) })
	}},
	{"barrier by CTA", SM80, func(k *scene) { k.If(k.Lt(k.CtaX(), k.Uint("n")), k.Sync) }},
	{"barrier by a value of memory", SM80, func(k *scene) { k.For(Range{To: k.Ld(U32, k.g)}, func(Reg) { k.Sync() }) }},
	{"all return together", SM80, func(k *scene) { k.If(k.Ge(k.CtaX(), 7), k.Return); k.Sync() }},
	{"barrier behind a divergent loop", SM80, func(k *scene) { k.For(Range{To: k.TidX()}, func(Reg) { k.Sleep(1) }); k.Sync() }},
	{"both ways write", SM80, func(k *scene) {
		x := k.Reg(U32)
		k.IfElse(k.v[Pred], func() { k.Set(x, 1) }, func() { k.Set(x, 2) })
		k.Add(x, 1)
	}},
	{"both guards write", SM80, func(k *scene) {
		x := k.Reg(U32)
		k.When(k.v[Pred]).Into(x).Add(k.v[U32], 1)
		k.Unless(k.v[Pred]).Into(x).Add(k.v[U32], 2)
		k.Add(x, 1)
	}},
	{"used under the same guard", SM80, func(k *scene) {
		x := k.When(k.v[Pred]).Ld(U32, k.g)
		k.When(k.v[Pred]).St(k.g, x)
	}},
	{"written before the break", SM80, func(k *scene) {
		x := k.Reg(U32)
		k.Loop("l", func(l *Loop) { k.Set(x, 1); l.BreakIf(k.v[Pred]) })
		k.Add(x, 1)
	}},
	{"the other way ends", SM80, func(k *scene) {
		x := k.Reg(U32)
		k.IfElse(k.Eq(k.CtaX(), 0), func() { k.Set(x, 1) }, k.Return)
		k.Add(x, 1)
	}},
	{"first wgmma replaces", SM90a, func(k *scene) {
		d := k.Regs(F32, 4)
		k.WgmmaFence()
		k.Wgmma(WGMMA{N: 8, A: BF16}, d, k.v[B64], k.v[B64], false)
		k.Wgmma(WGMMA{N: 8, A: BF16}, d, k.v[B64], k.v[B64], true)
		k.WgmmaCommit()
		k.WgmmaWait(0)
		k.St(k.g, d[0])
	}},
	{"a group under way, an older one read", SM90a, func(k *scene) {
		d := startWgmma(k)
		startWgmma(k)
		k.WgmmaWait(1)
		k.St(k.g, d[0])
		k.WgmmaWait(0)
	}},
	{"unknown alignment", SM80, func(k *scene) { k.LdV(F32, 4, k.Index(k.g, k.v[U32], 4)) }},
}

func TestAccepted(t *testing.T) {
	for _, a := range accepted {
		t.Run(a.name, func(t *testing.T) {
			m := NewModule(a.target)
			a.write(newScene(m, "k"))
			if err := m.Verify(); err != nil {
				t.Error(err)
			}
		})
	}
}
