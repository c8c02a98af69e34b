package ptx

func callIntegers(k *scene) {
	all := []Type{U16, S16, U32, S32, U64, S64}
	wide := []Type{U32, S32, U64, S64}
	k.each(func(x Reg) {
		k.Add(x, x)
		k.Add(x, 3)
		k.Sub(x, x)
		k.Sub(100, x)
		k.Mul(x, x)
		k.Mul(x, 5)
		k.Min(x, 7)
		k.Max(x, x)
	}, all...)
	k.each(func(x Reg) {
		k.MulHi(x, 9)
		k.Mad(x, 10, x)
		k.MadHi(x, x, 1)
		k.Div(x, 3)
		k.Rem(x, x)
	}, wide...)
	k.each(func(x Reg) { k.MulWide(x, 3) }, U16, S16, U32, S32)
	k.MadWide(k.v[U32], 12, k.v[U64])
	k.MadWide(k.v[S32], k.v[S32], k.v[S64])
	k.each(func(x Reg) { k.Neg(x); k.Abs(x) }, S16, S32, S64)
	for _, index := range []Operand{k.v[U32], k.v[S32], k.v[U64], 4} {
		k.Index(k.g, index, 16)
	}
	k.Index(k.s, k.v[U32], 8)
	k.Index(k.s, k.v[S32], 8)
	k.Add(k.v[U32], k.s)
	k.Dp4a(k.v[U8x4], k.v[U8x4], k.v[U32])
	k.Dp4a(k.v[S8x4], k.v[S8x4], 0)
	k.Dp4a(k.v[U8x4], k.v[S8x4], k.v[S32])
	k.Dp4a(k.v[S8x4], k.v[U8x4], k.v[S32])
}

func callBits(k *scene) {
	k.each(func(x Reg) {
		k.And(x, 0xf)
		k.Or(x, x)
		k.Xor(x, 1)
		k.Invert(x)
		k.Shl(x, 2)
		k.Shr(x, k.v[U32])
		k.Mov(x)
		k.Select(k.v[Pred], x, x)
	}, B16, B32, B64, U32, S32, U16, S64)
	k.each(func(x Reg) { k.Popc(x); k.Clz(x); k.Brev(x) }, B32, B64)
	k.each(func(x Reg) {
		k.Bfind(x)
		k.BfindShift(x)
		k.Extract(x, 4, 8)
		k.Insert(x, x, k.v[U32], 3)
	}, U32, S32, U64, S64)
	k.NthBit(k.v[B32], 0, 2)
	k.Lop3(k.v[B32], 0x000f000f, 0x43004300, func(x, y, z uint8) uint8 { return x&y | z })
	k.Permute(k.v[B32], k.v[B32], 0x5410)
	k.FunnelLeft(k.v[B32], k.v[B32], 3)
	k.FunnelRight(k.v[B32], k.v[B32], k.v[U32])
	k.FunnelLeftClamp(k.v[B32], k.v[B32], 3)
	k.FunnelRightClamp(k.v[B32], k.v[B32], 3)
	k.Pack(B32, k.v[B16], k.v[BF16])
	k.Unpack(BF16, k.v[BF16x2])
	k.Pack(B64, k.v[B32], k.v[F32])
	k.Unpack(U32, k.v[U64])
	k.Pack4(B64, k.many(F16, 4)...)
	k.Unpack4(F16, k.v[B64])
	k.Const(B16, 1)
	k.Const(BF16, 1.0)
	k.Const(F16x2, -2)
	k.Const(U64, 1<<40)
	k.Const(F64, 0.5)
	k.Const(B32, 0x43004300)
	x := k.Reg(F32)
	k.Set(x, 1.5)
	k.Set(x, k.v[F32])
	for _, special := range []func() Reg{
		k.TidX, k.NtidX, k.CtaX, k.CtaY, k.CtaZ, k.GridX, k.GridY, k.GridZ, k.Lane, k.LaneMaskLt, k.SM, k.Clock, k.GlobalTimer, k.Warp, k.Warpgroup,
	} {
		special()
	}
}

func callComparisons(k *scene) {
	k.each(func(x Reg) {
		k.Eq(x, x)
		k.Ne(x, 1)
		k.Lt(x, x)
		k.Le(x, 2)
		k.Gt(x, x)
		k.Ge(3, x)
		k.CmpAnd(LT, x, 5, k.v[Pred])
		k.CmpOr(GE, x, x, k.v[Pred].Not())
		k.CmpXor(EQ, x, x, k.v[Pred])
	}, U16, S16, U32, S32, U64, S64, F32, F64)
	k.each(func(x Reg) { k.Eq(x, 1) }, B16, B32, B64)
	for _, c := range []Comparison{EQU, NEU, LTU, LEU, GTU, GEU, IsNum, IsNaN} {
		k.Cmp(c, k.v[F32], k.v[F32])
	}
	k.Lt(k.v[F16], k.v[F16])
	p := k.v[Pred]
	k.And(p, p.Not())
	k.Or(p, p)
	k.Xor(p, p)
	k.Invert(p)
	k.Mov(p)
	k.Select(p, k.v[F32], 0.0)
	k.Select(p.Not(), 1, 2)
	k.Select(p, 1.5, 2)
	k.When(p).Add(k.v[U32], 1)
	k.Unless(p).Into(k.v[U32]).Add(k.v[U32], 1)
}

func callFloats(k *scene) {
	k.each(func(x Reg) {
		k.Add(x, x)
		k.Sub(x, x)
		k.Mul(x, x)
		k.Fma(x, x, x)
		k.Abs(x)
		k.Neg(x)
	}, F32, F64, F16, F16x2)
	k.each(func(x Reg) {
		k.Add(x, 1)
		k.Fma(x, 2.5, 1)
		k.CopySign(x, x)
		k.Rcp(x)
		k.Sqrt(x)
		k.Div(1, x)
		k.Min(x, 0)
		k.Max(x, x)
	}, F32, F64)
	k.each(func(x Reg) {
		k.Fma(x, x, x)
		k.FmaRelu(x, x, x)
		k.Min(x, x)
		k.Max(x, x)
		k.MinNaN(x, x)
		k.MaxNaN(x, x)
		k.Abs(x)
	}, F16, F16x2, BF16, BF16x2)
	f := k.v[F32]
	k.MinNaN(f, f)
	k.MaxNaN(f, 1)
	for _, op := range []func(x, y Operand) Reg{k.AddFtz, k.SubFtz, k.MulFtz, k.DivFull, k.DivApprox} {
		op(f, f)
	}
	k.FmaFtz(f, f, 1)
	for _, op := range []func(Reg) Reg{
		k.RcpApprox, k.SqrtApprox, k.RsqrtApprox, k.Ex2, k.Lg2, k.RcpFtz, k.SqrtFtz, k.RsqrtFtz, k.Ex2Ftz, k.Lg2Ftz, k.Sin, k.Cos, k.Tanh,
	} {
		op(f)
	}
	k.each(func(x Reg) { k.Ex2(x); k.Tanh(x) }, F16, F16x2)
}

func callFloats90(k *scene) {
	k.each(func(x Reg) { k.Add(x, x); k.Sub(x, x); k.Mul(x, x); k.Ex2(x); k.Tanh(x) }, BF16, BF16x2)
	k.Lt(k.v[BF16], k.v[BF16])
}

func callConversions(k *scene) {
	for _, c := range []struct{ from, to Type }{
		{U32, U64}, {S32, S64}, {U64, U32}, {S64, S32}, {U16, U32}, {S16, S32}, {U32, U16}, {S32, S16}, {F32, F64}, {F64, F32},
		{F16, F32}, {BF16, F32}, {F32, TF32}, {F32, F16}, {F32, BF16}, {U32, F16}, {U16, F32}, {S64, F64}, {U32, F32}, {S32, F32},
		{F32, S32}, {F64, U64}, {F16, S32},
	} {
		k.Cvt(c.to, k.v[c.from])
	}
	f := k.v[F32]
	for _, r := range []Rounding{Nearest, ToZero, Down, Up} {
		k.CvtRound(r, S32, f)
		k.Round(r, f)
	}
	k.CvtRound(ToZero, BF16, f)
	k.CvtRelu(F16, f)
	k.Saturate(f)
	k.SatS8(Nearest, f)
	k.SatS8(Nearest, k.v[S32])
	k.SatU8(ToZero, f)
	k.SatU8(Nearest, k.v[S32])
	k.ExtendS8(k.v[B32])
	k.ExtendU8(k.v[U32])
	for _, t := range []Type{F16x2, BF16x2} {
		k.Cvt2(t, f, f)
		k.Cvt2Relu(t, f, f)
	}
	k.PackSat(S8, k.v[S32], k.v[S32], k.PackSat(U8, k.v[S32], k.v[S32], 0))
	k.PackSat(S16, k.v[S32], k.v[S32], nil)
	k.PackSat(U16, k.v[S32], k.v[S32], nil)
}

func callConversions89(k *scene) {
	for _, t := range []Type{E4M3x2, E5M2x2} {
		k.Cvt2(t, k.v[F32], k.v[F32])
		k.Cvt2Relu(t, k.v[F32], k.v[F32])
		k.Cvt(t, k.v[F16x2])
		k.CvtRelu(t, k.v[F16x2])
		k.Cvt(F16x2, k.v[t])
		k.CvtRelu(F16x2, k.v[t])
	}
}
