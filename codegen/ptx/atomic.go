package ptx

// Order is what an atomic operation orders, and among whom.
type Order string

// Orders of atomic operations. Reductions know the relaxed and the releasing ones.
const (
	Relaxed         Order = "relaxed.gpu"
	Acquire         Order = "acquire.gpu"
	Release         Order = "release.gpu"
	AcquireRelease  Order = "acq_rel.gpu"
	RelaxedInCTA    Order = "relaxed.cta"
	AcquireInCTA    Order = "acquire.cta"
	ReleaseInCTA    Order = "release.cta"
	AcqRelInCTA     Order = "acq_rel.cta"
	RelaxedInSystem Order = "relaxed.sys"
	AcquireInSystem Order = "acquire.sys"
	ReleaseInSystem Order = "release.sys"
	AcqRelInSystem  Order = "acq_rel.sys"
)

// Whether an operation works on numbers or on bits.
const (
	atomicBits        = true
	atomicArithmetics = false
)

func (b *Builder) atomName(op string, o Order, a Address, name string, t Type, bits bool) string {
	suffix := t.arith()
	if bits {
		suffix = t.inBits()
	}
	return op + "." + string(o) + "." + a.address().base.typ.space() + "." + name + "." + suffix
}

// valueType is the type of the value, or of u32 for a constant.
func (b *Builder) valueType(v Operand) Type {
	if r, ok := v.(Reg); ok {
		return r.typ
	}
	return U32
}

func (b *Builder) atom(name string, bits bool, o Order, a Address, v ...Operand) Reg {
	t := b.valueType(v[0])
	if len(v) == 2 {
		t = b.typeOrU32(v[0], v[1])
	}
	d := b.result(t)
	b.emit(b.atomName("atom", o, a, name, t, bits), append([]any{d, a}, v...)...)
	return d
}

func (b *Builder) typeOrU32(x, y Operand) Type {
	if r, ok := x.(Reg); ok {
		return r.typ
	}
	return b.valueType(y)
}

// AtomAdd adds v in memory and gives what was there before, as the other Atom methods do. A constant v is u32.
func (b *Builder) AtomAdd(o Order, a Address, v Operand) Reg {
	return b.atom("add", atomicArithmetics, o, a, v)
}

// AtomMin keeps the smaller one.
func (b *Builder) AtomMin(o Order, a Address, v Operand) Reg {
	return b.atom("min", atomicArithmetics, o, a, v)
}

// AtomMax keeps the larger one.
func (b *Builder) AtomMax(o Order, a Address, v Operand) Reg {
	return b.atom("max", atomicArithmetics, o, a, v)
}

// AtomAnd keeps the bits that both have.
func (b *Builder) AtomAnd(o Order, a Address, v Operand) Reg {
	return b.atom("and", atomicBits, o, a, v)
}

// AtomOr keeps the bits that either has.
func (b *Builder) AtomOr(o Order, a Address, v Operand) Reg { return b.atom("or", atomicBits, o, a, v) }

// AtomXor flips the bits of v.
func (b *Builder) AtomXor(o Order, a Address, v Operand) Reg {
	return b.atom("xor", atomicBits, o, a, v)
}

// AtomExch replaces the value.
func (b *Builder) AtomExch(o Order, a Address, v Operand) Reg {
	return b.atom("exch", atomicBits, o, a, v)
}

// AtomCAS replaces the value by v if it is compare.
func (b *Builder) AtomCAS(o Order, a Address, compare, v Operand) Reg {
	return b.atom("cas", atomicBits, o, a, compare, v)
}

// AtomInc counts up to limit, then starts at zero: what tickets of a last arriver need.
func (b *Builder) AtomInc(o Order, a Address, limit Operand) Reg {
	return b.atom("inc", atomicArithmetics, o, a, limit)
}

// AtomDec counts down to zero, then starts at limit.
func (b *Builder) AtomDec(o Order, a Address, limit Operand) Reg {
	return b.atom("dec", atomicArithmetics, o, a, limit)
}

func (b *Builder) red(name string, bits bool, o Order, a Address, v Operand) {
	t := b.valueType(v)
	if t == F16x2 || t == BF16x2 {
		name += ".noftz"
	}
	b.emit(b.atomName("red", o, a, name, t, bits), a, v)
}

// RedAdd adds v in memory, as the other Red methods without a result.
func (b *Builder) RedAdd(o Order, a Address, v Operand) { b.red("add", atomicArithmetics, o, a, v) }

// RedMin keeps the smaller one.
func (b *Builder) RedMin(o Order, a Address, v Operand) { b.red("min", atomicArithmetics, o, a, v) }

// RedMax keeps the larger one.
func (b *Builder) RedMax(o Order, a Address, v Operand) { b.red("max", atomicArithmetics, o, a, v) }

// RedAnd keeps the bits that both have.
func (b *Builder) RedAnd(o Order, a Address, v Operand) { b.red("and", atomicBits, o, a, v) }

// RedOr keeps the bits that either has.
func (b *Builder) RedOr(o Order, a Address, v Operand) { b.red("or", atomicBits, o, a, v) }

// RedXor flips the bits of v.
func (b *Builder) RedXor(o Order, a Address, v Operand) { b.red("xor", atomicBits, o, a, v) }

// RedInc counts up to limit, then starts at zero.
func (b *Builder) RedInc(o Order, a Address, limit Operand) {
	b.red("inc", atomicArithmetics, o, a, limit)
}

// RedDec counts down to zero, then starts at limit.
func (b *Builder) RedDec(o Order, a Address, limit Operand) {
	b.red("dec", atomicArithmetics, o, a, limit)
}
