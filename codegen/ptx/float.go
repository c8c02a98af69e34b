package ptx

// Fma is x*y + z, rounded once.
func (b *Builder) Fma(x, y, z Operand) Reg { return b.fma("fma.rn.", x, y, z) }

// FmaRelu is Fma with negative results replaced by zero; of 16-bit types.
func (b *Builder) FmaRelu(x, y, z Operand) Reg { return b.fma("fma.rn.relu.", x, y, z) }

// FmaFtz is Fma of f32 that takes and gives subnormal numbers as zero.
func (b *Builder) FmaFtz(x, y, z Operand) Reg { return b.fma("fma.rn.ftz.", x, y, z) }

func (b *Builder) fma(op string, x, y, z Operand) Reg {
	t := b.typeOf("Fma", x, y, z)
	d := b.result(t)
	b.emit(op+t.arith(), d, x, y, z)
	return d
}

// AddFtz is x + y of f32 with subnormal numbers as zero.
func (b *Builder) AddFtz(x, y Operand) Reg { return b.binary("add.rn.ftz", x, y) }

// SubFtz is x - y of f32 with subnormal numbers as zero.
func (b *Builder) SubFtz(x, y Operand) Reg { return b.binary("sub.rn.ftz", x, y) }

// MulFtz is x * y of f32 with subnormal numbers as zero.
func (b *Builder) MulFtz(x, y Operand) Reg { return b.binary("mul.rn.ftz", x, y) }

// MinNaN is Min that gives NaN when an operand is.
func (b *Builder) MinNaN(x, y Operand) Reg { return b.binary("min.NaN", x, y) }

// MaxNaN is Max that gives NaN when an operand is.
func (b *Builder) MaxNaN(x, y Operand) Reg { return b.binary("max.NaN", x, y) }

// CopySign is y with the sign of x.
func (b *Builder) CopySign(x, y Operand) Reg { return b.binary("copysign", x, y) }

// DivFull is x / y of f32 within 2 ulp over the full range.
func (b *Builder) DivFull(x, y Operand) Reg { return b.binary("div.full", x, y) }

// DivApprox is x / y of f32 within 2 ulp, where y is below 2^126.
func (b *Builder) DivApprox(x, y Operand) Reg { return b.binary("div.approx", x, y) }

// Rcp is 1/x, correctly rounded.
func (b *Builder) Rcp(x Reg) Reg { return b.unary("rcp.rn", x) }

// Sqrt is the square root, correctly rounded.
func (b *Builder) Sqrt(x Reg) Reg { return b.unary("sqrt.rn", x) }

// RcpApprox is 1/x of f32 within 1 ulp.
func (b *Builder) RcpApprox(x Reg) Reg { return b.unary("rcp.approx", x) }

// SqrtApprox is the square root of f32.
func (b *Builder) SqrtApprox(x Reg) Reg { return b.unary("sqrt.approx", x) }

// RsqrtApprox is 1/sqrt(x) of f32.
func (b *Builder) RsqrtApprox(x Reg) Reg { return b.unary("rsqrt.approx", x) }

// Ex2 is 2^x, approximated; of bf16 with subnormal numbers as zero.
func (b *Builder) Ex2(x Reg) Reg {
	if x.typ == BF16 || x.typ == BF16x2 {
		return b.unary("ex2.approx.ftz", x)
	}
	return b.unary("ex2.approx", x)
}

// Lg2 is the logarithm to base 2 of f32, approximated.
func (b *Builder) Lg2(x Reg) Reg { return b.unary("lg2.approx", x) }

// RcpFtz, SqrtFtz, RsqrtFtz, Ex2Ftz and Lg2Ftz are the approximations of f32 that take and give subnormal numbers as
// zero; they take fewer machine instructions.
func (b *Builder) RcpFtz(x Reg) Reg { return b.unary("rcp.approx.ftz", x) }

// SqrtFtz is described at RcpFtz.
func (b *Builder) SqrtFtz(x Reg) Reg { return b.unary("sqrt.approx.ftz", x) }

// RsqrtFtz is described at RcpFtz.
func (b *Builder) RsqrtFtz(x Reg) Reg { return b.unary("rsqrt.approx.ftz", x) }

// Ex2Ftz is described at RcpFtz.
func (b *Builder) Ex2Ftz(x Reg) Reg { return b.unary("ex2.approx.ftz", x) }

// Lg2Ftz is described at RcpFtz.
func (b *Builder) Lg2Ftz(x Reg) Reg { return b.unary("lg2.approx.ftz", x) }

// Sin is the sine of f32, approximated.
func (b *Builder) Sin(x Reg) Reg { return b.unary("sin.approx", x) }

// Cos is the cosine of f32, approximated.
func (b *Builder) Cos(x Reg) Reg { return b.unary("cos.approx", x) }

// Tanh is the hyperbolic tangent, approximated.
func (b *Builder) Tanh(x Reg) Reg { return b.unary("tanh.approx", x) }
