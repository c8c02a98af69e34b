package ptx

// Rounding is how a conversion rounds.
type Rounding string

// Roundings: to nearest even, toward zero, down and up. Conversions to integers have all four.
const (
	Nearest Rounding = "rn"
	ToZero  Rounding = "rz"
	Down    Rounding = "rm"
	Up      Rounding = "rp"
)

// conversions that no rounding applies to, by source and destination.
var conversions = map[[2]Type]string{
	{U32, U64}: "cvt.u64.u32", {S32, S64}: "cvt.s64.s32", {U64, U32}: "cvt.u32.u64", {S64, S32}: "cvt.s32.s64",
	{U16, U32}: "cvt.u32.u16", {S16, S32}: "cvt.s32.s16", {U32, U16}: "cvt.u16.u32", {S32, S16}: "cvt.s16.s32",
	{F32, F64}: "cvt.f64.f32", {F16, F32}: "cvt.f32.f16", {BF16, F32}: "cvt.f32.bf16",
	{F64, F32}: "cvt.rn.f32.f64", {F32, TF32}: "cvt.rna.tf32.f32",
	{E4M3x2, F16x2}: "cvt.rn.f16x2.e4m3x2", {E5M2x2, F16x2}: "cvt.rn.f16x2.e5m2x2",
	{F16x2, E4M3x2}: "cvt.rn.satfinite.e4m3x2.f16x2", {F16x2, E5M2x2}: "cvt.rn.satfinite.e5m2x2.f16x2",
}

// Cvt converts x to type t: integers by extending or cutting off, floats to nearest even, floats to integers to nearest
// even, f32 to tf32 to nearest with ties away from zero. Before sm_90, bf16 widens by a shift.
func (b *Builder) Cvt(t Type, x Reg) Reg {
	switch {
	case x.typ == BF16 && t == F32 && b.module.target.SM < 90:
		d := b.result(F32)
		b.emit("mov.b32/pack", d, []Reg{b.plainView().Const(B16, 0), x})
		return d
	case conversions[[2]Type{x.typ, t}] != "":
		d := b.result(t)
		b.emit(conversions[[2]Type{x.typ, t}], d, x)
		return d
	}
	return b.CvtRound(Nearest, t, x)
}

// plainView is the builder without results that wait, with the same guard.
func (b *Builder) plainView() *Builder { return &Builder{kernel: b.kernel, guard: b.guard} }

// CvtRound converts between integers and floats, and f32 to 16-bit floats, in the given rounding.
func (b *Builder) CvtRound(r Rounding, t Type, x Reg) Reg {
	d := b.result(t)
	rounding := string(r)
	if x.typ.isFloat() && t.isInteger() {
		rounding += "i"
	}
	b.emit("cvt."+rounding+"."+t.arith()+"."+x.typ.arith(), d, x)
	return d
}

// Round is x of f32 rounded to a whole number.
func (b *Builder) Round(r Rounding, x Reg) Reg {
	d := b.result(F32)
	b.emit("cvt."+string(r)+"i.f32.f32", d, x)
	return d
}

// Saturate is x of f32 bounded by 0 and 1.
func (b *Builder) Saturate(x Reg) Reg {
	d := b.result(F32)
	b.emit("cvt.sat.f32.f32", d, x)
	return d
}

// CvtTF32Even is x of f32 as tf32, ties to even; needs sm_90.
func (b *Builder) CvtTF32Even(x Reg) Reg {
	d := b.result(TF32)
	b.emit("cvt.rn.tf32.f32", d, x)
	return d
}

// SatS8 is x, of f32 rounded or of s32, bounded to -128..127; the result is s32.
func (b *Builder) SatS8(r Rounding, x Reg) Reg { return b.saturate8(S32, "s8", r, x) }

// SatU8 is x, of f32 rounded or of s32, bounded to 0..255; the result is u32.
func (b *Builder) SatU8(r Rounding, x Reg) Reg { return b.saturate8(U32, "u8", r, x) }

func (b *Builder) saturate8(t Type, name string, r Rounding, x Reg) Reg {
	d := b.result(t)
	if x.typ == F32 {
		b.emit("cvt."+string(r)+"i.sat."+name+".f32", d, x)
	} else {
		b.emit("cvt.sat."+name+"."+x.typ.arith(), d, x)
	}
	return d
}

// ExtendS8 is the lowest byte of x as s32.
func (b *Builder) ExtendS8(x Reg) Reg {
	d := b.result(S32)
	b.emit("cvt.s32.s8", d, x)
	return d
}

// ExtendU8 is the lowest byte of x as u32.
func (b *Builder) ExtendU8(x Reg) Reg {
	d := b.result(U32)
	b.emit("cvt.u32.u8", d, x)
	return d
}

// Cvt2 converts two f32 to a packed type: f16x2, bf16x2, or e4m3x2 and e5m2x2, which are bounded to finite numbers.
func (b *Builder) Cvt2(t Type, lo, hi Reg) Reg { return b.convert2(t, "", lo, hi) }

// Cvt2Relu is Cvt2 with negative numbers replaced by zero.
func (b *Builder) Cvt2Relu(t Type, lo, hi Reg) Reg { return b.convert2(t, ".relu", lo, hi) }

func (b *Builder) convert2(t Type, relu string, lo, hi Reg) Reg {
	d := b.result(t)
	rounding := "cvt.rn"
	if t == E4M3x2 || t == E5M2x2 {
		rounding = "cvt.rn.satfinite"
	}
	b.emit(rounding+relu+"."+t.arith()+".f32", d, hi, lo)
	return d
}

// CvtRelu is Cvt with negative numbers replaced by zero: f32 to 16 bits, f16x2 to and from packed fp8.
func (b *Builder) CvtRelu(t Type, x Reg) Reg {
	d := b.result(t)
	rounding := "cvt.rn"
	if t == E4M3x2 || t == E5M2x2 {
		rounding = "cvt.rn.satfinite"
	}
	b.emit(rounding+".relu."+t.arith()+"."+x.typ.arith(), d, x)
	return d
}

// PackSat bounds two s32 to type t, one of s8, u8, s16, u16. The 8-bit forms put them below the lower half of rest,
// which moves up; PackSat of four numbers is two calls.
func (b *Builder) PackSat(t Type, hi, lo Reg, rest Operand) Reg {
	if t == S16 || t == U16 {
		d := b.result(B32)
		b.emit("cvt.pack.sat."+t.arith()+".s32", d, hi, lo)
		return d
	}
	d := b.result(map[Type]Type{S8: S8x4, U8: U8x4}[t])
	b.emit("cvt.pack.sat."+t.arith()+".s32.b32", d, hi, lo, rest)
	return d
}
