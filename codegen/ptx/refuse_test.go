package ptx

import (
	"strings"
	"testing"
)

// refusals are mistakes and what is said about them.
var refusals = []struct {
	name   string
	target Target
	launch Launch
	write  func(k *scene)
	want   string
}{
	// Types and operands.
	{"float added to integer", SM80, Launch{}, func(k *scene) { k.Add(k.v[U32], k.v[F32]) }, "add.u32: operand 3: wants u32, got a register of type f32"},
	{"signed added to unsigned", SM80, Launch{}, func(k *scene) { k.Add(k.v[U32], k.v[S32]) }, "wants u32, got a register of type s32"},
	{"plain bits as a number", SM80, Launch{}, func(k *scene) { k.Fma(k.v[F32], k.v[B32], k.v[F32]) }, "wants f32, got a register of type b32"},
	{"float where none is", SM80, Launch{}, func(k *scene) { k.Popc(k.v[F32].As(B32)); k.Rem(k.v[F32], 2) }, "rem.f32: there is no such instruction"},
	{"fraction into integer", SM80, Launch{}, func(k *scene) { k.Add(k.v[U32], 1.5) }, "operand 3: wants u32, got 1.5"},
	{"constant too large", SM80, Launch{}, func(k *scene) { k.Add(k.v[U32], 1<<32) }, "4294967296 does not fit u32"},
	{"negative unsigned", SM80, Launch{}, func(k *scene) { k.Add(k.v[U32], -1) }, "-1 does not fit u32"},
	{"constant of packed type", SM80, Launch{}, func(k *scene) { k.Fma(k.v[BF16x2], 1.0, k.v[BF16x2]) }, "operand 3: wants a register of type bf16x2, got 1"},
	{"view of other width", SM80, Launch{}, func(k *scene) { k.v[U32].As(U64) }, "u32 register seen as u64: widths differ"},
	{"no register", SM80, Launch{}, func(k *scene) { k.Add(Reg{}, k.v[U32]) }, "the register was never made"},
	{"only constants", SM80, Launch{}, func(k *scene) { k.Add(1, 2) }, "no operand is a register"},
	{"register of another kernel", SM80, Launch{}, func(k *scene) {
		other := k.module.Kernel("other", Launch{Threads: 32})
		other.Add(k.v[U32], 1)
	}, "kernel other: add.u32: operand 2: the register belongs to another kernel"},
	{"region of another kernel", SM80, Launch{}, func(k *scene) {
		k.Addr(k.module.Kernel("other", Launch{Threads: 32}).Static("x", 4, 4))
	}, "the shared region belongs to another kernel"},
	{"too few in a vector", SM80, Launch{}, func(k *scene) { k.Mma(MmaBF16, k.many(F32, 4), k.many(BF16x2, 3), k.many(BF16x2, 2)) }, "operand 2: wants 4 registers, got 3"},
	{"f16 into bf16 product", SM80, Launch{}, func(k *scene) { k.Mma(MmaBF16, k.many(F32, 4), k.many(F16x2, 4), k.many(BF16x2, 2)) }, "operand 2: wants bf16x2, got a register of type f16x2"},
	{"shared address in global", SM80, Launch{}, func(k *scene) { k.CopyAsync(k.g, k.s, 16) }, "wants an address in shared, got a global register"},
	{"number as address", SM80, Launch{}, func(k *scene) { k.Ld(F32, k.v[U32]) }, "the address is a register of type u32, wants global or shared"},
	{"negated where it may not", SM80, Launch{}, func(k *scene) { k.Invert(k.v[Pred].Not()) }, "takes no negated predicate"},
	{"two hints of a kind", SM80, Launch{}, func(k *scene) { k.Ld(F32, k.g, EvictFirst, EvictLast) }, "hints .L1::evict_first and .L1::evict_last exclude each other"},
	{"hint of loads on a store", SM80, Launch{}, func(k *scene) { k.St(k.g, k.v[F32], ReadOnly) }, "st.global.nc.b32: there is no such instruction"},
	{"three in a vector load", SM80, Launch{}, func(k *scene) { k.LdV(F32, 3, k.g) }, "ld.global.v3.b32: there is no such instruction"},
	{"guard that is a number", SM80, Launch{}, func(k *scene) { k.When(k.v[U32]) }, "guard: wants pred"},
	{"guard in guard", SM80, Launch{}, func(k *scene) { k.When(k.v[Pred]).When(k.v[Pred]) }, "guard within a guard"},
	{"into another type", SM80, Launch{}, func(k *scene) { k.Into(k.v[F32]).Add(k.v[U32], 1) }, "Into: the result is u32, the register f32"},
	{"more Into than results", SM80, Launch{}, func(k *scene) { k.Into(k.v[U32], k.v[U32]).Add(k.v[U32], 1) }, "Into names 1 registers more than there are results"},
	{"loop through a view", SM80, Launch{}, func(k *scene) { k.When(k.v[Pred]).For(Range{To: 3}, func(Reg) {}) }, "For through a view of When or Into"},
	{"break outside", SM80, Launch{}, func(k *scene) {
		var l *Loop
		k.Loop("l", func(in *Loop) { l = in; in.Break() })
		l.Break()
	}, "Break outside of loop l"},

	// Targets.
	{"wgmma on sm_90", SM90, Launch{}, func(k *scene) { k.Section("mma"); k.WgmmaFence() }, `kernel k, section "mma": wgmma.fence.sync.aligned: needs sm_90a with PTX 8.0, the target is sm_90`},
	{"bf16 product on sm_80", SM80, Launch{}, func(k *scene) { k.Mul(k.v[BF16x2], k.v[BF16x2]) }, "mul.rn.bf16x2: needs sm_90 with PTX 7.8, the target is sm_80"},
	{"fp8 on sm_80", SM80, Launch{}, func(k *scene) { k.Cvt2(E4M3x2, k.v[F32], k.v[F32]) }, "needs sm_89 with PTX 8.1 or sm_90 with PTX 7.8"},
	{"too many threads", SM80, Launch{Threads: 2048}, func(k *scene) {}, "2048 threads: the target takes 1 to 1024"},

	// Sizes.
	{"copy of 12 bytes", SM80, Launch{}, func(k *scene) { k.CopyAsync(k.s, k.g, 12) }, "cp.async of 12 bytes: wants 4, 8 or 16"},
	{"bulk of 24 bytes", SM90, Launch{}, func(k *scene) { k.BulkLoad(k.s, k.g, 24, k.s) }, "bulk copy of 24 bytes: wants a multiple of 16"},
	{"registers not by 8", SM90a, Launch{}, func(k *scene) { k.RegistersUp(100) }, "setmaxnreg of 100: wants a multiple of 8 from 24 to 256"},
	{"static shared", SM80, Launch{}, func(k *scene) { k.Static("large", 48<<10, 16) }, "static shared memory of 50176 bytes, the target allows 49152: use Dynamic"},
	{"dynamic shared", SM89, Launch{}, func(k *scene) { k.Dynamic("large", 100<<10, 16) }, "a CTA of sm_89 has at most 101376"},
	{"region behind an open one", SM80, Launch{}, func(k *scene) { k.DynamicPer("a", 4, "positions", 16); k.Dynamic("b", 4, 16) }, "shared region b comes behind one of open size"},
	{"same name twice", SM80, Launch{}, func(k *scene) { k.Static("tile", 4, 4) }, "two shared regions called tile"},
	{"parameter twice", SM80, Launch{}, func(k *scene) { k.Uint("n"); k.Float("n") }, "two parameters called n"},
	{"kernel twice", SM80, Launch{}, func(k *scene) { k.module.Kernel("k", Launch{Threads: 32}) }, "two kernels of that name"},
	{"name with a dash", SM80, Launch{}, func(k *scene) { k.Uint("n-1") }, `parameter name "n-1" is not an identifier`},
	{"odd alignment", SM80, Launch{}, func(k *scene) { k.Pointer("q", 12) }, "alignment 12 is no power of two"},
	{"descriptor distance", SM90a, Launch{}, func(k *scene) { k.Descriptor(Tile{Leading: 8}, k.s) }, "no multiples of 16"},
	{"descriptor step", SM90a, Launch{}, func(k *scene) { k.Advance(k.v[B64], 8) }, "moved by 8 bytes"},
	{"signs of integers", SM90a, Launch{}, func(k *scene) {
		k.Wgmma(WGMMA{N: 8, A: S8x4, NegA: true}, k.many(S32, 4), k.v[B64], k.v[B64], true)
	}, "signs are for floats"},
	{"shape that is none", SM90a, Launch{}, func(k *scene) { k.Wgmma(WGMMA{N: 12, A: BF16}, k.many(F32, 6), k.v[B64], k.v[B64], true) }, "m64n12k16.f32.bf16.bf16/ss: there is no such instruction"},
}

func TestRefusals(t *testing.T) {
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) { refuse(t, r.target, r.launch, r.write, r.want) })
	}
}

// refuse builds a kernel and wants its error to contain a text.
func refuse(t *testing.T, target Target, launch Launch, write func(k *scene), want string) {
	t.Helper()
	m := NewModule(target)
	if launch.Threads == 0 {
		launch = Launch{Threads: 128, MinCTAs: 1}
	}
	write(newSceneOf(m, "k", launch))
	_, err := m.Print()
	if err == nil {
		t.Fatalf("no error, want %q", want)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if _, err := m.Kernels(); err == nil {
		t.Error("Kernels gives no error")
	}
}
