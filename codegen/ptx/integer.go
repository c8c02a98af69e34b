package ptx

// binary writes an instruction of two operands whose type is that of the first register among them.
func (b *Builder) binary(op string, x, y Operand) Reg {
	t := b.typeOf(op, x, y)
	d := b.result(t)
	b.emit(op+"."+t.arith(), d, x, y)
	return d
}

// numeric is binary for integers and floats: floats name their rounding.
func (b *Builder) numeric(op, integerOp string, x, y Operand) Reg {
	if b.typeOf(op, x, y).isFloat() {
		return b.binary(op+".rn", x, y)
	}
	return b.binary(integerOp, x, y)
}

// Add is x + y.
func (b *Builder) Add(x, y Operand) Reg { return b.numeric("add", "add", x, y) }

// Sub is x - y.
func (b *Builder) Sub(x, y Operand) Reg { return b.numeric("sub", "sub", x, y) }

// Mul is x * y; of integers the low half.
func (b *Builder) Mul(x, y Operand) Reg { return b.numeric("mul", "mul.lo", x, y) }

// MulHi is the high half of the product of integers.
func (b *Builder) MulHi(x, y Operand) Reg { return b.binary("mul.hi", x, y) }

// Div is x / y: of f32 correctly rounded, of integers toward zero (slow unless y is constant).
func (b *Builder) Div(x, y Operand) Reg { return b.numeric("div", "div", x, y) }

// Rem is the remainder of integer division.
func (b *Builder) Rem(x, y Operand) Reg { return b.binary("rem", x, y) }

// Min is the smaller one; of floats the one that is a number.
func (b *Builder) Min(x, y Operand) Reg { return b.binary("min", x, y) }

// Max is the larger one; of floats the one that is a number.
func (b *Builder) Max(x, y Operand) Reg { return b.binary("max", x, y) }

// wide is the type of twice the width.
var wide = map[Type]Type{U16: U32, S16: S32, U32: U64, S32: S64}

// MulWide is the whole product, twice as wide as the factors.
func (b *Builder) MulWide(x, y Operand) Reg {
	t := b.typeOf("MulWide", x, y)
	d := b.result(wide[t])
	b.emit("mul.wide."+t.arith(), d, x, y)
	return d
}

// Mad is x*y + z of integers, the low half.
func (b *Builder) Mad(x, y, z Operand) Reg {
	t := b.typeOf("Mad", x, y, z)
	d := b.result(t)
	b.emit("mad.lo."+t.arith(), d, x, y, z)
	return d
}

// MadHi is the high half of x*y, plus z.
func (b *Builder) MadHi(x, y, z Operand) Reg {
	t := b.typeOf("MadHi", x, y, z)
	d := b.result(t)
	b.emit("mad.hi."+t.arith(), d, x, y, z)
	return d
}

// MadWide is x*y + z, where z and the result are twice as wide as the factors.
func (b *Builder) MadWide(x, y Operand, z Reg) Reg {
	t := b.typeOf("MadWide", x, y)
	d := b.result(z.typ)
	b.emit("mad.wide."+t.arith(), d.As(wide[t]), x, y, z.As(wide[t]))
	return d
}

// Index is the pointer p moved by i elements of size bytes. The index is u32 for both kinds of pointers, or s32 or u64
// for global ones.
func (b *Builder) Index(p Reg, i Operand, size int) Reg {
	if n, ok := integer(i); ok {
		return b.Add(p, n*int64(size))
	}
	index, _ := i.(Reg)
	switch {
	case p.typ == Shared && index.typ == S32:
		return b.Mad(index.As(U32), size, p)
	case p.typ == Shared || index.typ.class() == class64:
		d := b.result(p.typ)
		b.emit("mad.lo."+p.typ.arith(), d, index, size, p)
		return d
	}
	return b.MadWide(index, size, p)
}

// unary writes an instruction of one operand.
func (b *Builder) unary(op string, x Reg) Reg {
	d := b.result(x.typ)
	b.emit(op+"."+x.typ.arith(), d, x)
	return d
}

// Neg is -x.
func (b *Builder) Neg(x Reg) Reg { return b.unary("neg", x) }

// Abs is |x|.
func (b *Builder) Abs(x Reg) Reg { return b.unary("abs", x) }

// bitwise is binary on bits: the result keeps the type of the operand.
func (b *Builder) bitwise(op string, x, y Operand) Reg {
	t := b.typeOf(op, x, y)
	d := b.result(t)
	b.emit(op+"."+t.inBits(), d, x, y)
	return d
}

// And works on bits and on predicates.
func (b *Builder) And(x, y Operand) Reg { return b.bitwise("and", x, y) }

// Or works on bits and on predicates.
func (b *Builder) Or(x, y Operand) Reg { return b.bitwise("or", x, y) }

// Xor works on bits and on predicates.
func (b *Builder) Xor(x, y Operand) Reg { return b.bitwise("xor", x, y) }

// Invert flips every bit.
func (b *Builder) Invert(x Reg) Reg {
	d := b.result(x.typ)
	b.emit("not."+x.typ.inBits(), d, x)
	return d
}

// Shl shifts left; shifts of the width or more give zero.
func (b *Builder) Shl(x Reg, n Operand) Reg { return b.bitwise("shl", x, n) }

// Shr shifts right: arithmetically if x is signed.
func (b *Builder) Shr(x Reg, n Operand) Reg {
	d := b.result(x.typ)
	t := x.typ.inBits()
	if x.typ.isInteger() {
		t = x.typ.arith()
	}
	b.emit("shr."+t, d, x, n)
	return d
}

// FunnelLeft is the upper word of hi:lo shifted left by n mod 32.
func (b *Builder) FunnelLeft(lo, hi Reg, n Operand) Reg { return b.funnel("l.wrap", lo, hi, n) }

// FunnelRight is the lower word of hi:lo shifted right by n mod 32.
func (b *Builder) FunnelRight(lo, hi Reg, n Operand) Reg { return b.funnel("r.wrap", lo, hi, n) }

// FunnelLeftClamp is FunnelLeft with n bounded by 32.
func (b *Builder) FunnelLeftClamp(lo, hi Reg, n Operand) Reg { return b.funnel("l.clamp", lo, hi, n) }

// FunnelRightClamp is FunnelRight with n bounded by 32.
func (b *Builder) FunnelRightClamp(lo, hi Reg, n Operand) Reg { return b.funnel("r.clamp", lo, hi, n) }

func (b *Builder) funnel(kind string, lo, hi Reg, n Operand) Reg {
	d := b.result(lo.typ)
	b.emit("shf."+kind+".b32", d, lo, hi, n)
	return d
}

func (b *Builder) count(op string, x Reg) Reg {
	d := b.result(U32)
	b.emit(op+"."+x.typ.inBits(), d, x)
	return d
}

// Popc counts the bits that are set.
func (b *Builder) Popc(x Reg) Reg { return b.count("popc", x) }

// Clz counts the zeros above the highest bit that is set.
func (b *Builder) Clz(x Reg) Reg { return b.count("clz", x) }

// Brev reverses the order of the bits.
func (b *Builder) Brev(x Reg) Reg {
	d := b.result(x.typ)
	b.emit("brev."+x.typ.inBits(), d, x)
	return d
}

// Bfind is the position of the highest bit that differs from the sign, all ones if there is none.
func (b *Builder) Bfind(x Reg) Reg {
	d := b.result(U32)
	b.emit("bfind."+x.typ.arith(), d, x)
	return d
}

// BfindShift is the shift that brings the bit of Bfind to the top.
func (b *Builder) BfindShift(x Reg) Reg {
	d := b.result(U32)
	b.emit("bfind.shiftamt."+x.typ.arith(), d, x)
	return d
}

// NthBit is the position of the n-th set bit of mask, counted from bit base upward.
func (b *Builder) NthBit(mask Reg, base, n Operand) Reg {
	d := b.result(U32)
	b.emit("fns.b32", d, mask, base, n)
	return d
}
