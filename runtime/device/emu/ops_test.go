package emu

import (
	"fmt"
	"math"
	"testing"
)

// opsHead loads r1..r4 and d1, d2 (the pairs r1:r2 and r3:r4); a body leaves its result in r0 and r5, or in d0.
const opsHead = `.version 8.7
.target sm_90a
.address_size 64
.visible .entry k(.param .u64 in, .param .u64 out)
{
.reg .pred p, q;
.reg .b16 h<8>;
.reg .b32 r<16>;
.reg .b64 d<4>, a, b;
.reg .f32 f<8>;
.reg .f64 e<4>;
.shared .align 16 .b8 smem[64];
ld.param.u64 a, [in];
ld.param.u64 b, [out];
ld.global.v4.b32 {r1, r2, r3, r4}, [a];
mov.b64 d1, {r1, r2};
mov.b64 d2, {r3, r4};
mov.b32 r0, 0;
mov.b32 r5, 0;
%s
st.global.v2.b32 [b], {r0, r5};
ret;
}
`

func f32(x float32) uint32 { return math.Float32bits(x) }

var opsTable = []struct {
	body   string
	in     [4]uint32
	r0, r5 uint32
}{
	{"add.s32 r0, r1, r2; sub.s32 r5, r1, r2;", [4]uint32{5, 7}, 12, 0xfffffffe},
	{"add.sat.s32 r0, r1, r2; sub.sat.s32 r5, r3, r2;", [4]uint32{0x7fffffff, 5, 0x80000001}, 0x7fffffff, 0x80000000},
	{"mul.hi.s32 r0, r1, r2; mul.hi.u32 r5, r1, r2;", [4]uint32{0xffffffff, 0x10000}, 0xffffffff, 0xffff},
	{"mul.wide.s32 d0, r1, r2; mov.b64 {r0, r5}, d0;", [4]uint32{0xfffffffe, 3}, 0xfffffffa, 0xffffffff},
	{"mul.hi.s64 d0, d1, d2; mov.b64 {r0, r5}, d0;", [4]uint32{0xfffffffe, 0xffffffff, 5, 0}, 0xffffffff, 0xffffffff},
	{"mad.wide.u32 d0, r1, r2, d2; mov.b64 {r0, r5}, d0;", [4]uint32{0xffffffff, 2, 3, 1}, 1, 3},
	{"mad.hi.s32 r0, r1, r2, r3;", [4]uint32{0x40000000, 8, 100}, 102, 0},
	{"div.s32 r0, r1, r2; rem.s32 r5, r1, r2;", [4]uint32{0xfffffff9, 2}, 0xfffffffd, 0xffffffff},
	{"div.u32 r0, r1, r2;", [4]uint32{5, 0}, 0xffffffff, 0},
	{"div.s32 r0, r1, r2;", [4]uint32{0x80000000, 0xffffffff}, 0x80000000, 0},
	{"min.s32 r0, r1, r2; max.u32 r5, r1, r2;", [4]uint32{0xffffffff, 1}, 0xffffffff, 0xffffffff},
	{"min.s16x2 r0, r1, r2; max.u16x2 r5, r1, r2;", [4]uint32{0xffff0005, 0x00010003}, 0xffff0003, 0xffff0005},
	{"add.u16x2 r0, r1, r2;", [4]uint32{0xffff0001, 0x00010001}, 0x00000002, 0},
	{"max.s32.relu r0, r1, r2;", [4]uint32{0xffffffff, 0xfffffffe}, 0, 0},
	{"abs.s32 r0, r1; neg.s32 r5, r2;", [4]uint32{0xfffffffb, 9}, 5, 0xfffffff7},
	{"sad.s32 r0, r1, r2, r3; sad.u32 r5, r1, r2, r3;", [4]uint32{0xffffffff, 3, 10}, 14, 0x6},
	{"shl.b32 r0, r1, r2; shr.u32 r5, r1, r3;", [4]uint32{0x80000001, 33, 31}, 0, 1},
	{"shr.s32 r0, r1, r2; shr.s32 r5, r1, r3;", [4]uint32{0x80000000, 40, 4}, 0xffffffff, 0xf8000000},
	{"shl.b64 d0, d1, r3; mov.b64 {r0, r5}, d0;", [4]uint32{1, 2, 32}, 0, 1},
	{"shf.l.wrap.b32 r0, r1, r2, r3; shf.r.clamp.b32 r5, r1, r2, r4;", [4]uint32{0x80000001, 0x12345678, 36, 40}, 0x23456788, 0x12345678},
	{"bfe.u32 r0, r1, 4, 8; bfe.s32 r5, r1, 4, 8;", [4]uint32{0xabcdef80}, 0xf8, 0xfffffff8},
	{"bfe.s32 r0, r1, 28, 16; bfe.u32 r5, r1, 40, 4;", [4]uint32{0x80000000}, 0xfffffff8, 0},
	{"bfi.b32 r0, r1, r2, 8, 12;", [4]uint32{0xabc, 0xffffffff}, 0xfffabcff, 0},
	{"popc.b32 r0, r1; clz.b32 r5, r1;", [4]uint32{0x00f0f000}, 8, 8},
	{"clz.b64 r0, d1; popc.b64 r5, d1;", [4]uint32{1, 0}, 63, 1},
	{"brev.b32 r0, r1; bfind.u32 r5, r1;", [4]uint32{0x80}, 0x01000000, 7},
	{"bfind.s32 r0, r1; bfind.u32 r5, r2;", [4]uint32{0xffffff00, 0}, 7, 0xffffffff},
	{"lop3.b32 r0, r1, r2, r3, 0xea; lop3.b32 r5, r1, r2, r3, 0x96;", [4]uint32{0xff00ff00, 0x0f0f0f0f, 0x000000f0}, 0x0f000ff0, 0xf00ff0ff},
	{"lop3.or.b32 r0|p, r1, r2, r3, 0x80, 0; selp.b32 r5, 1, 2, p;", [4]uint32{1, 1, 2}, 0, 2},
	{"prmt.b32 r0, r1, r2, 0x5410; prmt.b32 r5, r1, r2, 0xf8a9;", [4]uint32{0x80112233, 0x44556687}, 0x66872233, 0x00000000},
	{"prmt.b32.b4e r0, r1, r2, 1; prmt.b32.rc16 r5, r1, r2, 1;", [4]uint32{0x33221100, 0x77665544}, 0x66770011, 0x33223322},
	{"dp4a.s32.s32 r0, r1, r2, r3; dp4a.u32.u32 r5, r1, r2, r3;", [4]uint32{0xff020304, 0x01010101, 10}, 18, 274},
	{"dp4a.u32.s32 r0, r1, r2, r3;", [4]uint32{0xff, 0xff, 0}, 0xffffff01, 0},
	{"dp2a.lo.s32.s32 r0, r1, r2, r3; dp2a.hi.s32.s32 r5, r1, r2, r3;", [4]uint32{0x0003fffe, 0x04050607, 1}, 0x5, 0x3},
	{"add.cc.u32 r0, r1, r3; addc.u32 r5, r2, r4;", [4]uint32{0xffffffff, 1, 1, 1}, 0, 3},
	{"sub.cc.u32 r0, r1, r3; subc.u32 r5, r2, r4;", [4]uint32{0, 5, 1, 1}, 0xffffffff, 3},
	{"mad.lo.cc.u32 r0, r1, r2, r3; madc.hi.u32 r5, r1, r2, r4;", [4]uint32{0xffffffff, 0xffffffff, 0xffffffff, 1}, 0, 0},
	{"setp.lt.s32 p|q, r1, r2; selp.b32 r0, 1, 2, p; selp.b32 r5, 1, 2, q;", [4]uint32{0xffffffff, 0}, 1, 2},
	{"setp.lo.u32 p, r1, r2; setp.ge.and.u32 q, r1, r2, !p; selp.b32 r0, 1, 2, p; selp.b32 r5, 1, 2, q;", [4]uint32{0xffffffff, 0}, 2, 1},
	{"set.gt.u32.s32 r0, r1, r2; set.lt.f32.u32 f1, r1, r2; mov.b32 r5, f1;", [4]uint32{5, 3}, 0xffffffff, 0},
	{"slct.b32.s32 r0, r1, r2, r3; slct.b32.s32 r5, r1, r2, r4;", [4]uint32{7, 8, 0, 0xffffffff}, 7, 8},
	{"mov.b32 {h0, h1}, r1; mov.b32 r0, {h1, h0}; cvt.u32.u16 r5, h1;", [4]uint32{0x12345678}, 0x56781234, 0x1234},
	{"bmsk.clamp.b32 r0, r1, r2; mov.b32 r5, 1;", [4]uint32{4, 8}, 0xff0, 1},
	{"fns.b32 r0, r1, 0, 2; cnot.b32 r5, r2;", [4]uint32{0x12, 0}, 4, 1},
}

func TestOps(t *testing.T) {
	for _, c := range opsTable {
		checkOp(t, c.body, c.in, c.r0, c.r5)
	}
}

func checkOp(t *testing.T, body string, in [4]uint32, r0, r5 uint32) {
	t.Helper()
	x := newTestKernel(t, fmt.Sprintf(opsHead, body), "k")
	x.words(in[:])
	out := x.words(make([]uint32, 2))
	x.launch(1, 1, 0)
	if a, b := word(out, 0), word(out, 1); a != r0 || b != r5 {
		t.Errorf("%s\nof %#x gives %#x, %#x; want %#x, %#x", body, in, a, b, r0, r5)
	}
}

const (
	nan  = 0x7fffffff
	inf  = 0x7f800000
	tiny = 1 // the smallest subnormal single
)

var floatTable = []struct {
	body   string
	in     [4]uint32
	r0, r5 uint32
}{
	{"add.f32 f0, f1, f2; sub.rz.f32 f5, f1, f3;", [4]uint32{f32(1), f32(2), f32(0x1p-30)}, f32(3), f32(1) - 1},
	{"add.rm.f32 f0, f1, f3; add.rp.f32 f5, f1, f3;", [4]uint32{f32(1), 0, f32(0x1p-30)}, f32(1), f32(1) + 1},
	{"add.f32 f0, f1, f1; add.ftz.f32 f5, f1, f1;", [4]uint32{tiny}, 2 * tiny, 0},
	{"mul.ftz.f32 f0, f1, f2; mul.f32 f5, f1, f2;", [4]uint32{f32(0x1p-100), f32(-0x1p-40)}, 0x80000000, 0x80000200},
	{"mul.sat.f32 f0, f1, f2; add.sat.f32 f5, f1, f3;", [4]uint32{f32(3), f32(4), f32(-9)}, f32(1), 0},
	{"sub.f32 f0, f1, f1; mul.f32 f5, f1, f2;", [4]uint32{inf, 0}, nan, nan},
	{"add.sat.f32 f0, f1, f2;", [4]uint32{0xffc00001, 0}, 0, 0},
	{"min.f32 f0, f1, f2; max.NaN.f32 f5, f1, f2;", [4]uint32{0xffc00001, f32(2)}, f32(2), nan},
	{"min.f32 f0, f1, f2; max.f32 f5, f1, f2;", [4]uint32{0x80000000, 0}, 0x80000000, 0},
	{"abs.f32 f0, f1; neg.f32 f5, f1;", [4]uint32{f32(-3)}, f32(3), f32(3)},
	{"div.rn.f32 f0, f1, f2; div.rz.f32 f5, f1, f2;", [4]uint32{f32(2), f32(3)}, 0x3f2aaaab, 0x3f2aaaaa},
	{"sqrt.rn.f32 f0, f1; rcp.rn.f32 f5, f2;", [4]uint32{f32(2), f32(3)}, 0x3fb504f3, 0x3eaaaaab},
	{"ex2.approx.f32 f0, f1; lg2.approx.f32 f5, f2;", [4]uint32{f32(3), f32(0.125)}, f32(8), f32(-3)},
	{"ex2.approx.ftz.f32 f0, f1; rsqrt.approx.f32 f5, f2;", [4]uint32{f32(-140), f32(4)}, 0, f32(0.5)},
	{"fma.rn.f32 f0, f1, f2, f3; fma.rz.f32 f5, f1, f2, f3;", [4]uint32{f32(1 + 0x1p-23), f32(1 - 0x1p-23), f32(-1)}, f32(-0x1p-46), f32(-0x1p-46)},
	{"fma.rn.f32 f0, f1, f2, f3;", [4]uint32{f32(1 + 0x1p-12), f32(1 + 0x1p-12), tiny}, f32(1+0x1p-11) + 1, 0},
	{"copysign.f32 f0, f1, f2; testp.infinite.f32 p, f3; selp.b32 r5, 1, 2, p; mov.b32 f5, r5;", [4]uint32{f32(-1), f32(3), inf}, f32(-3), 1},
	{"setp.leu.f32 p, f1, f2; setp.nan.f32 q, f1, f2; selp.b32 r5, 1, 2, q; mov.b32 f5, r5; selp.f32 f0, f2, f3, p;", [4]uint32{nan, f32(1), f32(2)}, f32(1), 1},
	{"cvt.rni.f32.f32 f0, f1; cvt.rzi.f32.f32 f5, f1;", [4]uint32{f32(2.5)}, f32(2), f32(2)},
	{"cvt.rna.tf32.f32 r7, f1; mov.b32 f0, r7; mov.b32 f5, r7;", [4]uint32{f32(1 + 0x1p-11)}, f32(1 + 0x1p-10), f32(1 + 0x1p-10)},
	{"cvt.rzi.s32.f32 r0, f1; mov.b32 f0, r0; cvt.rni.u32.f32 r5, f2; mov.b32 f5, r5;", [4]uint32{f32(-2.7), f32(-5)}, 0xfffffffe, 0},
	{"cvt.rzi.s32.f32 r0, f1; mov.b32 f0, r0; cvt.rzi.u32.f32 r5, f2; mov.b32 f5, r5;", [4]uint32{f32(1e20), nan}, 0x7fffffff, 0},
	{"cvt.rn.f32.s32 f0, r1; cvt.rz.f32.u32 f5, r2;", [4]uint32{0x80000000, 0xffffffff}, f32(-0x1p31), 0x4f7fffff},
	{"cvt.rn.f32.u64 f0, d1; cvt.rn.f32.s64 f5, d1;", [4]uint32{1, 0x80000080}, f32(0x1p63) + 1, 0xdeffffff},
	{"cvt.rn.f16x2.f32 r7, f1, f2; mov.b32 f0, r7; cvt.rn.relu.bf16x2.f32 r7, f1, f2; mov.b32 f5, r7;", [4]uint32{f32(-1), f32(1 + 0x1p-8)}, 0xbc003c04, 0x00003f80},
	{"cvt.rn.satfinite.e4m3x2.f32 h0, f1, f2; cvt.u32.u16 r7, h0; mov.b32 f0, r7; cvt.rn.satfinite.e5m2x2.f32 h0, f1, f2; cvt.u32.u16 r7, h0; mov.b32 f5, r7;",
		[4]uint32{f32(1000), f32(-1.0625)}, 0x7eb8, 0x64bc},
	{"mov.b16 h0, 0x7e38; cvt.rn.f16x2.e4m3x2 r7, h0; mov.b32 f0, r7; mov.f32 f5, 0f00000000;", [4]uint32{}, 0x5f003c00, 0},
	{"fma.rn.bf16x2 r7, r1, r2, r3; mov.b32 f0, r7; mul.rn.f16x2 r7, r1, r2; mov.b32 f5, r7;", [4]uint32{0x3f804000, 0x40003c00, 0x3f803f80}, 0x40403f82, 0x43804000},
	{"add.f16x2 r7, r1, r2; mov.b32 f0, r7; max.bf16x2 r7, r1, r2; mov.b32 f5, r7;", [4]uint32{0x3c004000, 0x3c00c000}, 0x40000000, 0x3c004000},
	{"tanh.approx.bf16x2 r7, r1; mov.b32 f0, r7; ex2.approx.f16x2 r7, r2; mov.b32 f5, r7;", [4]uint32{0x00004200, 0x40003c00}, 0x00003f80, 0x44004000},
}

func TestFloatOps(t *testing.T) {
	for _, c := range floatTable {
		body := "mov.b32 f1, r1; mov.b32 f2, r2; mov.b32 f3, r3;\nmov.f32 f5, 0f00000000;\n" + c.body + "\nmov.b32 r0, f0; mov.b32 r5, f5;"
		checkOp(t, body, c.in, c.r0, c.r5)
	}
}
