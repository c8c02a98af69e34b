package emu

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// The layouts below are written out element by element as the PTX ISA prints them for each shape ("Matrix Fragments for
// mma.m16n8k8", ".m16n8k16", ".m16n8k32" ...); the emulator has one rule for all of them.
type layoutRow struct {
	shape string
	bits  int
	m, k  int
	a, b  func(lane, i int) (row, col int)
}

func fragmentRow(g int, upper bool) int {
	if upper {
		return g
	}
	return g + 8
}

func plus(v, n int, yes bool) int {
	if yes {
		return v + n
	}
	return v
}

var mmaLayouts = []layoutRow{
	{"m16n8k8", 16, 16, 8,
		func(l, i int) (int, int) { return fragmentRow(l>>2, i < 2), l%4*2 + i&1 },
		func(l, i int) (int, int) { return l%4*2 + i, l >> 2 }},
	{"m16n8k16", 16, 16, 16,
		func(l, i int) (int, int) {
			return fragmentRow(l>>2, i < 2 || i >= 4 && i < 6), plus(l%4*2+i&1, 8, i >= 4)
		},
		func(l, i int) (int, int) { return plus(l%4*2+i&1, 8, i >= 2), l >> 2 }},
	{"m16n8k4", 32, 16, 4,
		func(l, i int) (int, int) { return fragmentRow(l>>2, i == 0), l % 4 },
		func(l, i int) (int, int) { return l % 4, l >> 2 }},
	{"m16n8k8", 32, 16, 8,
		func(l, i int) (int, int) { return fragmentRow(l>>2, i == 0 || i == 2), plus(l%4, 4, i >= 2) },
		func(l, i int) (int, int) { return plus(l%4, 4, i == 1), l >> 2 }},
	{"m16n8k16", 8, 16, 16,
		func(l, i int) (int, int) { return fragmentRow(l>>2, i < 4), l%4*4 + i&3 },
		func(l, i int) (int, int) { return l%4*4 + i, l >> 2 }},
	{"m16n8k32", 8, 16, 32,
		func(l, i int) (int, int) {
			return fragmentRow(l>>2, i < 4 || i >= 8 && i < 12), plus(l%4*4+i&3, 16, i >= 8)
		},
		func(l, i int) (int, int) { return plus(l%4*4+i&3, 16, i >= 4), l >> 2 }},
	{"m8n8k16", 8, 8, 16,
		func(l, i int) (int, int) { return l >> 2, l%4*4 + i },
		func(l, i int) (int, int) { return l%4*4 + i, l >> 2 }},
}

// accumulator layout: c0 c1 in row l/4, c2 c3 eight rows down; columns (l%4)*2 + (i & 1).
func accumulatorRow(l, i int) (row, col int) { return fragmentRow(l>>2, i < 2), l%4*2 + i&1 }

// encodings of small integers in the operand types.
var encoders = map[string]struct {
	bits   int
	signed bool
	code   func(v int) uint32
}{
	"f16":  {16, true, func(v int) uint32 { return uint32(formatF16.round(float64(v), roundNearest, false)) }},
	"bf16": {16, true, func(v int) uint32 { return uint32(formatBF16.round(float64(v), roundNearest, false)) }},
	"tf32": {32, true, func(v int) uint32 { return uint32(formatF32.round(float64(v), roundNearest, false)) }},
	"s8":   {8, true, func(v int) uint32 { return uint32(uint8(v)) }},
	"u8":   {8, false, func(v int) uint32 { return uint32(v) }},
	"e4m3": {8, true, func(v int) uint32 { return uint32(formatE4M3.round(float64(v), roundNearest, false)) }},
	"e5m2": {8, true, func(v int) uint32 { return uint32(formatE5M2.round(float64(v), roundNearest, false)) }},
}

var mmaTypes = []struct{ d, a, b, c string }{
	{"f32", "f16", "f16", "f32"}, {"f16", "f16", "f16", "f16"}, {"f32", "bf16", "bf16", "f32"}, {"f32", "tf32", "tf32", "f32"},
	{"s32", "s8", "s8", "s32"}, {"s32", "u8", "s8", "s32"}, {"s32", "s8", "u8", "s32"}, {"s32", "u8", "u8", "s32"},
	{"f32", "e4m3", "e4m3", "f32"}, {"f32", "e5m2", "e4m3", "f32"}, {"f16", "e4m3", "e5m2", "f16"},
}

func regList(prefix string, n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s%d", prefix, i)
	}
	return "{" + strings.Join(names, ", ") + "}"
}

// fragmentKernel loads fragments word by word ([register][lane]), multiplies, and stores D the same way.
func fragmentKernel(op string, na, nb, nc int) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".version 8.7\n.target sm_89\n.address_size 64\n.visible .entry k(.param .u64 pa, .param .u64 pb, .param .u64 pc)\n{\n")
	fmt.Fprintf(&b, ".reg .b32 t, a<%d>, b<%d>, c<%d>;\n.reg .b64 x, qa, qb, qc;\n", na, nb, nc)
	fmt.Fprintf(&b, "mov.u32 t, %%laneid;\nmul.wide.u32 x, t, 4;\n")
	for _, p := range []struct {
		name string
		n    int
	}{{"a", na}, {"b", nb}, {"c", nc}} {
		fmt.Fprintf(&b, "ld.param.u64 q%s, [p%s];\nadd.u64 q%s, q%s, x;\n", p.name, p.name, p.name, p.name)
		for r := range p.n {
			fmt.Fprintf(&b, "ld.global.b32 %s%d, [q%s+%d];\n", p.name, r, p.name, 128*r)
		}
	}
	fmt.Fprintf(&b, "%s %s, %s, %s, %s;\n", op, regList("c", nc), regList("a", na), regList("b", nb), regList("c", nc))
	for r := range nc {
		fmt.Fprintf(&b, "st.global.b32 [qc+%d], c%d;\n", 128*r, r)
	}
	b.WriteString("ret;\n}\n")
	return b.String()
}

func TestMma(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, l := range mmaLayouts {
		for _, ty := range mmaTypes {
			ea, eb := encoders[ty.a], encoders[ty.b]
			if ea.bits != l.bits || l.shape == "m16n8k16" && strings.HasPrefix(ty.a, "e") || l.shape == "m16n8k8" && l.bits == 16 && ty.a == "f16" && ty.d == "f16" {
				continue
			}
			if l.shape == "m8n8k16" && ty.d != "s32" {
				continue
			}
			op := fmt.Sprintf("mma.sync.aligned.%s.row.col.%s.%s.%s.%s", l.shape, ty.d, ty.a, ty.b, ty.c)
			t.Run(op, func(t *testing.T) { testMma(t, rng, l, op, ty.d, ea.code, eb.code, ea.signed, eb.signed) })
		}
	}
}

func testMma(t *testing.T, rng *rand.Rand, l layoutRow, op, dt string, codeA, codeB func(int) uint32, signedA, signedB bool) {
	const n = 8
	a, b, c := make([]int, l.m*l.k), make([]int, l.k*n), make([]int, l.m*n)
	for i := range a {
		a[i] = smallInt(rng, signedA)
	}
	for i := range b {
		b[i] = smallInt(rng, signedB)
	}
	for i := range c {
		c[i] = smallInt(rng, true)
	}
	p, values := 32/l.bits, l.m*n/32
	wa, wb := make([]uint32, l.m*l.k/p), make([]uint32, l.k*n/p)
	for lane := range 32 {
		for i := range l.m * l.k / 32 {
			row, col := l.a(lane, i)
			wa[i/p*32+lane] |= codeA(a[row*l.k+col]) << (i % p * l.bits)
		}
		for i := range l.k * n / 32 {
			row, col := l.b(lane, i)
			wb[i/p*32+lane] |= codeB(b[row*n+col]) << (i % p * l.bits)
		}
	}
	code, bits := accumulatorCode(dt)
	pc := 32 / bits
	wc := make([]uint32, l.m*n/pc)
	for lane := range 32 {
		for i := range values {
			row, col := accumulatorRow(lane, i)
			wc[i/pc*32+lane] |= code(c[row*n+col]) << (i % pc * bits)
		}
	}
	x := newTestKernel(t, fragmentKernel(op, len(wa)/32, len(wb)/32, len(wc)/32), "k")
	x.words(wa)
	x.words(wb)
	out := x.words(wc)
	counts := x.launch(1, 32, 0)
	if counts.MACs != uint64(l.m*n*l.k) {
		t.Errorf("%d multiply-adds counted, want %d", counts.MACs, l.m*n*l.k)
	}
	for lane := range 32 {
		for i := range values {
			row, col := accumulatorRow(lane, i)
			want := c[row*n+col]
			for k := range l.k {
				want += a[row*l.k+k] * b[k*n+col]
			}
			got := word(out, i/pc*32+lane) >> (i % pc * bits) & uint32(lowBits(bits))
			if got != code(want) {
				t.Fatalf("row %d, column %d: %#x, want %d = %#x", row, col, got, want, code(want))
			}
		}
	}
}

func smallInt(rng *rand.Rand, signed bool) int {
	if signed {
		return rng.IntN(9) - 4
	}
	return rng.IntN(9)
}

func accumulatorCode(typ string) (code func(int) uint32, bits int) {
	switch typ {
	case "s32":
		return func(v int) uint32 { return uint32(int32(v)) }, 32
	case "f16":
		return encoders["f16"].code, 16
	}
	return encoders["tf32"].code, 32
}

func TestMmaSatfinite(t *testing.T) {
	x := newTestKernel(t, fragmentKernel("mma.sync.aligned.m16n8k32.row.col.satfinite.s32.s8.s8.s32", 4, 2, 4), "k")
	ones := make([]uint32, 4*32)
	for i := range ones {
		ones[i] = 0x7f7f7f7f
	}
	x.words(ones)
	x.words(ones[:64])
	c := make([]uint32, 4*32)
	for i := range c {
		c[i] = 0x7fffff00
	}
	out := x.words(c)
	x.launch(1, 32, 0)
	for i := range c {
		if word(out, i) != 0x7fffffff {
			t.Fatalf("value %d is %#x, want the largest integer", i, word(out, i))
		}
	}
}

// Empty columns of B are skipped, but not where a row of A would make them NaN.
func TestMmaEmptyColumns(t *testing.T) {
	x := newTestKernel(t, fragmentKernel("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", 4, 2, 4), "k")
	a := make([]uint32, 4*32)
	a[0] = 0x7f80 // infinity in row 0
	a[4] = 0x3f80 // one in row 1
	x.words(a)
	x.words(make([]uint32, 2*32))
	c := make([]uint32, 4*32)
	for i := range c {
		c[i] = f32(3)
	}
	out := x.words(c)
	x.launch(1, 32, 0)
	for lane := range 32 {
		for i := range 4 {
			row, _ := accumulatorRow(lane, i)
			want := f32(3)
			if row == 0 {
				want = nanF32
			}
			if got := word(out, i*32+lane); got != want {
				t.Errorf("row %d: %#x, want %#x", row, got, want)
			}
		}
	}
}
