package ptx

// Extract is the field of width bits at position pos, extended as the type of x says.
func (b *Builder) Extract(x Reg, pos, width Operand) Reg {
	d := b.result(x.typ)
	b.emit("bfe."+x.typ.arith(), d, x, pos, width)
	return d
}

// Insert is into with width bits at position pos replaced by those of field.
func (b *Builder) Insert(field, into Reg, pos, width Operand) Reg {
	d := b.result(into.typ)
	b.emit("bfi."+into.typ.inBits(), d, field, into, pos, width)
	return d
}

// Lop3 applies a boolean function of three variables to every bit. The function is evaluated once, on the columns of
// its truth table: b.Lop3(x, y, z, func(x, y, z uint8) uint8 { return x&y | z }).
func (b *Builder) Lop3(x, y, z Operand, f func(x, y, z uint8) uint8) Reg {
	d := b.result(b.typeOf("Lop3", x, y, z))
	b.emit("lop3.b32", d, x, y, z, int(Lop3Table(f)))
	return d
}

// Lop3Table is the immediate of lop3 for a function (section "Logic and Shift Instructions: lop3").
func Lop3Table(f func(x, y, z uint8) uint8) uint8 { return f(0xf0, 0xcc, 0xaa) }

// Permute picks four bytes of hi:lo; each nibble of the selector names a byte, 0 the lowest of lo, 4 the lowest of hi.
func (b *Builder) Permute(lo, hi, selector Operand) Reg {
	d := b.result(b.typeOf("Permute", lo, hi))
	b.emit("prmt.b32", d, lo, hi, selector)
	return d
}

// Dp4a adds the four products of the bytes of x and y to z.
func (b *Builder) Dp4a(x, y Reg, z Operand) Reg {
	t := S32
	if x.typ == U8x4 && y.typ == U8x4 {
		t = U32
	}
	d := b.result(t)
	b.emit("dp4a."+x.typ.arith()+"."+y.typ.arith(), d, x, y, z)
	return d
}

// Pack puts the halves lo and hi into one register of type t.
func (b *Builder) Pack(t Type, lo, hi Reg) Reg {
	d := b.result(t)
	form := "mov.b32/pack"
	if t.class() == class64 {
		form = "mov.b64/pack2"
	}
	b.emit(form, d, []Reg{lo, hi})
	return d
}

// Unpack gives the halves of x, seen as type t.
func (b *Builder) Unpack(t Type, x Reg) (lo, hi Reg) {
	d := b.results(t, 2)
	form := "mov.b32/unpack"
	if x.typ.class() == class64 {
		form = "mov.b64/unpack2"
	}
	b.emit(form, d, x)
	return d[0], d[1]
}

// Pack4 puts four 16-bit values into one 64-bit register, the first one lowest.
func (b *Builder) Pack4(t Type, parts ...Reg) Reg {
	d := b.result(t)
	b.emit("mov.b64/pack4", d, parts)
	return d
}

// Unpack4 gives the four 16-bit parts of x, the lowest first.
func (b *Builder) Unpack4(t Type, x Reg) []Reg {
	d := b.results(t, 4)
	b.emit("mov.b64/unpack4", d, x)
	return d
}
