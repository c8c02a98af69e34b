package ptx

import "fmt"

// Hint says how a memory access goes through the caches or what it orders. It changes no value, save ReadOnly, which
// promises that nobody writes the address while the kernel runs.
type Hint struct {
	part   hintPart
	text   string
	policy Reg
}

type hintPart uint8

const (
	hintReadOnly hintPart = iota
	hintLevel1
	hintPolicy
	hintPrefetch
	hintOrder
	hintParts
)

// Hints of loads and stores. At most one of each group.
var (
	ReadOnly = Hint{part: hintReadOnly, text: ".nc"}

	NoAllocate  = Hint{part: hintLevel1, text: ".L1::no_allocate"}
	EvictFirst  = Hint{part: hintLevel1, text: ".L1::evict_first"}
	EvictLast   = Hint{part: hintLevel1, text: ".L1::evict_last"}
	EvictNoMove = Hint{part: hintLevel1, text: ".L1::evict_unchanged"}

	Prefetch64  = Hint{part: hintPrefetch, text: ".L2::64B"}
	Prefetch128 = Hint{part: hintPrefetch, text: ".L2::128B"}
	Prefetch256 = Hint{part: hintPrefetch, text: ".L2::256B"}

	Volatile   = Hint{part: hintOrder, text: ".volatile"}
	RelaxedCTA = Hint{part: hintOrder, text: ".relaxed.cta"}
	RelaxedGPU = Hint{part: hintOrder, text: ".relaxed.gpu"}
	RelaxedSys = Hint{part: hintOrder, text: ".relaxed.sys"}
	AcquireCTA = Hint{part: hintOrder, text: ".acquire.cta"}
	AcquireGPU = Hint{part: hintOrder, text: ".acquire.gpu"}
	AcquireSys = Hint{part: hintOrder, text: ".acquire.sys"}
	ReleaseCTA = Hint{part: hintOrder, text: ".release.cta"}
	ReleaseGPU = Hint{part: hintOrder, text: ".release.gpu"}
	ReleaseSys = Hint{part: hintOrder, text: ".release.sys"}
)

// Policy is the hint to follow an L2 policy made by CreatePolicy.
func Policy(p Reg) Hint { return Hint{part: hintPolicy, text: ".L2::cache_hint", policy: p} }

// hints sorts the hints into the order of the mnemonic.
func (b *Builder) hints(given []Hint) (text [hintParts]string, policy []any) {
	for _, h := range given {
		if text[h.part] != "" {
			b.fail("hints %s and %s exclude each other", text[h.part], h.text)
		}
		text[h.part] = h.text
		if h.part == hintPolicy {
			policy = []any{h.policy}
		}
	}
	return text, policy
}

// access is the mnemonic of a load or store.
func (b *Builder) access(op string, a Address, vector string, width string, given []Hint) (string, []any) {
	space := a.address().base.typ.space()
	if space == "" {
		b.fail("%s: the address is a register of type %s, wants global or shared", op, a.address().base.typ)
		space = "global"
	}
	h, policy := b.hints(given)
	return op + h[hintOrder] + "." + space + h[hintReadOnly] + h[hintLevel1] + h[hintPolicy] + h[hintPrefetch] + vector + "." + width, policy
}

// memoryWidth is the width suffix of a type in memory: 8-bit types name their extension when they are loaded.
func memoryWidth(t Type, load bool) string {
	switch {
	case t.Bits() != 8:
		return t.inBits()
	case load:
		return t.arith()
	}
	return "b8"
}

// registerType is the type of a register that was loaded as t.
func registerType(t Type) Type {
	switch t {
	case U8:
		return U32
	case S8:
		return S32
	}
	return t
}

// Ld loads a value of type t. U8 and S8 load into registers of type u32 and s32.
func (b *Builder) Ld(t Type, a Address, hints ...Hint) Reg {
	d := b.result(registerType(t))
	name, policy := b.access("ld", a, "", memoryWidth(t, true), hints)
	b.emit(name, append([]any{d, a}, policy...)...)
	return d
}

// LdV loads n (2 or 4) values that follow each other; the address is a multiple of their size together.
func (b *Builder) LdV(t Type, n int, a Address, hints ...Hint) []Reg {
	d := b.results(t, n)
	name, policy := b.access("ld", a, fmt.Sprintf(".v%d", n), t.inBits(), hints)
	b.emit(name, append([]any{d, a}, policy...)...)
	return d
}

// St stores a value; its type says how much.
func (b *Builder) St(a Address, v Reg, hints ...Hint) {
	name, policy := b.access("st", a, "", v.typ.inBits(), hints)
	b.emit(name, append([]any{a, v}, policy...)...)
}

// St8 stores the lowest byte of a 32-bit register.
func (b *Builder) St8(a Address, v Reg) {
	name, _ := b.access("st", a, "", "b8", nil)
	b.emit(name, a, v)
}

// StV stores 2 or 4 values that follow each other.
func (b *Builder) StV(a Address, v []Reg, hints ...Hint) {
	if len(v) == 0 {
		b.fail("StV of nothing")
		return
	}
	name, policy := b.access("st", a, fmt.Sprintf(".v%d", len(v)), v[0].typ.inBits(), hints)
	b.emit(name, append([]any{a, v}, policy...)...)
}

// PrefetchL1 and PrefetchL2 bring the cache line of a global address closer.
func (b *Builder) PrefetchL1(a Address) { b.emit("prefetch.global.L1", a) }

// PrefetchL2 is described at PrefetchL1.
func (b *Builder) PrefetchL2(a Address) { b.emit("prefetch.global.L2", a) }

// PrefetchL2Keep is PrefetchL2 of a line that is to stay.
func (b *Builder) PrefetchL2Keep(a Address) { b.emit("prefetch.global.L2::evict_last", a) }

// Eviction is the order in which L2 gives lines up.
type Eviction string

// Evictions for CreatePolicy.
const (
	L2EvictFirst     Eviction = "evict_first"
	L2EvictLast      Eviction = "evict_last"
	L2EvictNormal    Eviction = "evict_normal"
	L2EvictUnchanged Eviction = "evict_unchanged"
)

// CreatePolicy makes an L2 policy that a fraction of the accesses follows.
func (b *Builder) CreatePolicy(e Eviction, fraction Operand) Reg {
	d := b.result(B64)
	b.emit("createpolicy.fractional.L2::"+string(e)+".b64", d, fraction)
	return d
}

// ToGeneric is the generic address of a global one, which some parameters of other kernels want.
func (b *Builder) ToGeneric(p Reg) Reg {
	d := b.result(Generic)
	b.emit("cvta.global.u64", d, p)
	return d
}

// ToGlobal is the global address of a generic one, such as a pointer loaded from memory.
func (b *Builder) ToGlobal(p Reg) Reg {
	d := b.result(Global)
	b.emit("cvta.to.global.u64", d, p.As(Generic))
	return d
}
