package ptx

// Const is a new register that holds a constant. Packed types hold it twice.
func (b *Builder) Const(t Type, v any) Reg {
	d := b.result(t)
	b.constant(d, v)
	return d
}

func (b *Builder) constant(d Reg, v any) {
	t := d.typ
	if t.isFloat() && t != F32 && t != F64 {
		f, ok := number(v)
		pattern, err := constantBits(t, f)
		if !ok || err != nil {
			b.fail("constant %v of type %s", v, t)
		}
		b.emit("mov."+t.inBits(), d, pattern)
		return
	}
	suffix := t.inBits()
	if t.class() >= class32 && t.kind() != packed {
		suffix = t.arith()
	}
	b.emit("mov."+suffix, d, v)
}

// Mov is a copy of x.
func (b *Builder) Mov(x Reg) Reg {
	d := b.result(x.typ)
	b.emit("mov."+x.typ.inBits(), d, x)
	return d
}

// Set writes a register or a constant to a register that exists.
func (b *Builder) Set(dst Reg, x Operand) {
	if r, ok := x.(Reg); ok {
		b.Into(dst).Mov(r)
		return
	}
	b.constant(dst, x)
}

// Select is x where the predicate holds, else y.
func (b *Builder) Select(p Reg, x, y Operand) Reg {
	t := b.typeOrNumber(x, y)
	d := b.result(t)
	suffix := t.inBits()
	switch t {
	case F32, F64, U32, S32:
		suffix = t.arith()
	}
	if p.negated {
		p, x, y = p.Not(), y, x
	}
	b.emit("selp."+suffix, d, x, y, p)
	return d
}

// typeOrNumber is the type of the first register, or s32 or f32 when both operands are constants.
func (b *Builder) typeOrNumber(x, y Operand) Type {
	_, xReg := x.(Reg)
	_, yReg := y.(Reg)
	if xReg || yReg {
		return b.typeOf("Select", x, y)
	}
	_, ok1 := integer(x)
	_, ok2 := integer(y)
	if ok1 && ok2 {
		return S32
	}
	return F32
}

// Comparison is an order or equality.
type Comparison string

// Comparisons; those ending in U hold for floats also when one is not a number.
const (
	EQ    Comparison = "eq"
	NE    Comparison = "ne"
	LT    Comparison = "lt"
	LE    Comparison = "le"
	GT    Comparison = "gt"
	GE    Comparison = "ge"
	EQU   Comparison = "equ"
	NEU   Comparison = "neu"
	LTU   Comparison = "ltu"
	LEU   Comparison = "leu"
	GTU   Comparison = "gtu"
	GEU   Comparison = "geu"
	IsNum Comparison = "num" // both are numbers
	IsNaN Comparison = "nan" // one is not
)

// Cmp compares.
func (b *Builder) Cmp(c Comparison, x, y Operand) Reg {
	d := b.result(Pred)
	b.emit("setp."+string(c)+"."+b.typeOf("Cmp", x, y).arith(), d, x, y)
	return d
}

// CmpAnd is the comparison and p.
func (b *Builder) CmpAnd(c Comparison, x, y Operand, p Reg) Reg {
	return b.cmpWith(c, ".and.", x, y, p)
}

// CmpOr is the comparison or p.
func (b *Builder) CmpOr(c Comparison, x, y Operand, p Reg) Reg { return b.cmpWith(c, ".or.", x, y, p) }

// CmpXor holds when either the comparison or p does, but not both.
func (b *Builder) CmpXor(c Comparison, x, y Operand, p Reg) Reg {
	return b.cmpWith(c, ".xor.", x, y, p)
}

func (b *Builder) cmpWith(c Comparison, with string, x, y Operand, p Reg) Reg {
	d := b.result(Pred)
	b.emit("setp."+string(c)+with+b.typeOf("Cmp", x, y).arith(), d, x, y, p)
	return d
}

// Eq is x == y.
func (b *Builder) Eq(x, y Operand) Reg { return b.Cmp(EQ, x, y) }

// Ne is x != y.
func (b *Builder) Ne(x, y Operand) Reg { return b.Cmp(NE, x, y) }

// Lt is x < y.
func (b *Builder) Lt(x, y Operand) Reg { return b.Cmp(LT, x, y) }

// Le is x <= y.
func (b *Builder) Le(x, y Operand) Reg { return b.Cmp(LE, x, y) }

// Gt is x > y.
func (b *Builder) Gt(x, y Operand) Reg { return b.Cmp(GT, x, y) }

// Ge is x >= y.
func (b *Builder) Ge(x, y Operand) Reg { return b.Cmp(GE, x, y) }
