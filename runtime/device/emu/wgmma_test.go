package emu

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// tile is a matrix operand in shared memory: rows along M or N, its layout, and how it is described to wgmma.
type tile struct {
	rows, k, size   int // size: bytes of an element
	swizzle         int // 0, 32, 64, 128
	mn              bool
	leading, stride int
}

// place is the byte of element (row, k), derived by walking the layout as the PTX ISA draws it: 8 rows of 16 bytes are a core matrix;
// a swizzle atom is 8 rows of 32, 64 or 128 bytes whose 16-byte chunks are exchanged by an exclusive or with the row number.
func (x *tile) place(row, k int) int {
	contiguous, other := k*x.size, row
	if x.mn {
		contiguous, other = row*x.size, k
	}
	line, chunk, rest := other%8, contiguous/16, contiguous%16
	if x.swizzle == 0 {
		blockContiguous, blockOther := x.leading, x.stride // K-major: along K at leading, along rows at stride
		if x.mn {
			blockContiguous, blockOther = x.stride, x.leading
		}
		return chunk*blockContiguous + other/8*blockOther + line*16 + rest
	}
	perLine := x.swizzle / 16
	atom := chunk / perLine * x.leading
	phase := line * perLine / 8 // rows that share 128 bytes share a phase
	return atom + other/8*x.stride + line*x.swizzle + (chunk%perLine^phase%perLine)*16 + rest
}

func (x *tile) descriptor() uint64 {
	mode := map[int]uint64{0: 0, 128: 1, 64: 2, 32: 3}[x.swizzle]
	return uint64(x.leading>>4)<<16 | uint64(x.stride>>4)<<32 | mode<<62
}

func (x *tile) fill(data []byte, at func(row, k int) uint32) {
	for row := range x.rows {
		for k := range x.k {
			p := data[x.place(row, k):]
			switch v := at(row, k); x.size {
			case 1:
				p[0] = byte(v)
			case 2:
				binary.LittleEndian.PutUint16(p, uint16(v))
			default:
				binary.LittleEndian.PutUint32(p, v)
			}
		}
	}
}

const (
	tileBytes = 16384
	tileB     = tileBytes // offset of B behind A
)

// wgmmaKernel copies two tiles to shared memory, multiplies twice (so that C is used) and stores D by register.
func wgmmaKernel(n int, shape, types, a, flags string, d string, nd int) string {
	var b strings.Builder
	b.WriteString(".version 8.7\n.target sm_90a\n.address_size 64\n.extern .shared .align 1024 .b8 smem[];\n")
	b.WriteString(".visible .entry k(.param .u64 in, .param .u64 out, .param .u64 da, .param .u64 db, .param .u64 regs)\n{\n.reg .pred p;\n.reg .b64 q<8>;\n")
	fmt.Fprintf(&b, ".reg .b32 t, i, s, r<4>, w<4>;\n.reg .%s d<%d>;\n", d, nd)
	b.WriteString(`ld.param.u64 q0, [in]; ld.param.u64 q1, [out]; ld.param.u64 q2, [da]; ld.param.u64 q3, [db]; ld.param.u64 q7, [regs];
mov.u32 t, %tid.x; shl.b32 i, t, 4;
COPY:
cvt.u64.u32 q4, i; add.u64 q4, q4, q0; ld.global.v4.u32 {r0, r1, r2, r3}, [q4];
mov.u32 s, smem; add.u32 s, s, i; st.shared.v4.u32 [s], {r0, r1, r2, r3};
add.u32 i, i, 2048; setp.lt.u32 p, i, 32768; @p bra COPY;
fence.proxy.async.shared::cta;
bar.sync 0;
mul.wide.u32 q4, t, 16; add.u64 q7, q7, q4; ld.global.v4.u32 {w0, w1, w2, w3}, [q7];
mov.u32 s, smem; shr.u32 s, s, 4; cvt.u64.u32 q4, s; add.u64 q2, q2, q4; add.u64 q3, q3, q4; add.u64 q3, q3, 1024;
`)
	for i := range nd {
		fmt.Fprintf(&b, "mov.b32 d%d, 0;\n", i)
	}
	b.WriteString("wgmma.fence.sync.aligned;\n")
	for _, scale := range []string{"0", "1"} {
		fmt.Fprintf(&b, "{ .reg .pred z; setp.ne.b32 z, %s, 0; wgmma.mma_async.sync.aligned.%s.%s %s, %s, q3, z%s; }\n", scale, shape, types, regList("d", nd), a, flags)
	}
	b.WriteString("wgmma.commit_group.sync.aligned;\nwgmma.wait_group.sync.aligned 0;\nmul.wide.u32 q4, t, 4; add.u64 q1, q1, q4;\n")
	for i := range nd {
		fmt.Fprintf(&b, "st.global.b32 [q1+%d], d%d;\n", 512*i, i)
	}
	b.WriteString("ret;\n}\n")
	return b.String()
}

var wgmmaCases = []struct {
	d, a, b string
	n       int
	tileA   tile
	tileB   tile
	flags   string
	sign    int
	fromReg bool
}{
	{"f32", "bf16", "bf16", 64, tile{swizzle: 128, leading: 16, stride: 1024}, tile{swizzle: 128, leading: 16, stride: 1024}, ", 1, 1, 0, 0", 1, false},
	{"f32", "f16", "f16", 8, tile{swizzle: 64, leading: 16, stride: 512}, tile{swizzle: 32, leading: 16, stride: 256}, ", 1, -1, 0, 0", -1, false},
	{"f32", "bf16", "bf16", 24, tile{leading: 128, stride: 256}, tile{leading: 2048, stride: 128}, ", 1, 1, 0, 0", 1, false},
	{"f32", "bf16", "bf16", 128, tile{swizzle: 128, mn: true, leading: 2048, stride: 1024}, tile{swizzle: 128, mn: true, leading: 4096, stride: 1024}, ", 1, 1, 1, 1", 1, false},
	{"f32", "f16", "f16", 64, tile{swizzle: 64, mn: true, leading: 2048, stride: 512}, tile{swizzle: 32, mn: true, leading: 1024, stride: 256}, ", 1, 1, 1, 1", 1, false},
	{"f32", "f16", "f16", 32, tile{mn: true, leading: 2048, stride: 128}, tile{mn: true, leading: 128, stride: 256}, ", 1, 1, 1, 1", 1, false},
	{"f16", "f16", "f16", 256, tile{swizzle: 128, leading: 16, stride: 1024}, tile{swizzle: 32, leading: 16, stride: 256}, ", 1, 1, 0, 0", 1, false},
	{"f32", "tf32", "tf32", 16, tile{swizzle: 128, leading: 16, stride: 1024}, tile{swizzle: 128, leading: 16, stride: 1024}, ", 1, 1", 1, false},
	{"f32", "e4m3", "e5m2", 40, tile{swizzle: 128, leading: 16, stride: 1024}, tile{swizzle: 64, leading: 16, stride: 512}, ", 1, 1", 1, false},
	{"s32", "s8", "u8", 32, tile{swizzle: 128, leading: 16, stride: 1024}, tile{swizzle: 128, leading: 16, stride: 1024}, "", 1, false},
	{"f32", "bf16", "bf16", 16, tile{}, tile{swizzle: 128, leading: 16, stride: 1024}, ", 1, 1, 0", 1, true},
	{"s32", "u8", "s8", 16, tile{}, tile{swizzle: 128, leading: 16, stride: 1024}, "", 1, true},
}

func TestWgmma(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, c := range wgmmaCases {
		ea, eb := encoders[c.a], encoders[c.b]
		k := 256 / ea.bits
		c.tileA.rows, c.tileA.k, c.tileA.size = 64, k, ea.bits/8
		c.tileB.rows, c.tileB.k, c.tileB.size = c.n, k, eb.bits/8
		shape := fmt.Sprintf("m64n%dk%d", c.n, k)
		t.Run(fmt.Sprintf("%s.%s.%s.%s/A%d%v/B%d%v", shape, c.d, c.a, c.b, c.tileA.swizzle, c.tileA.mn, c.tileB.swizzle, c.tileB.mn), func(t *testing.T) {
			a, b := make([]int, 64*k), make([]int, c.n*k)
			for _, m := range []struct {
				v      []int
				signed bool
			}{{a, ea.signed}, {b, eb.signed}} {
				for i := range m.v {
					m.v[i] = rng.IntN(5)
					if m.signed {
						m.v[i] -= 2
					}
				}
			}
			data := make([]byte, 2*tileBytes)
			operandA := "q2"
			regs := make([]uint32, 4*128)
			if c.fromReg {
				operandA = "{w0, w1, w2, w3}"
				fillRegisterA(regs, ea.bits, func(row, kk int) uint32 { return ea.code(a[row*k+kk]) })
			} else {
				c.tileA.fill(data, func(row, kk int) uint32 { return ea.code(a[row*k+kk]) })
			}
			c.tileB.fill(data[tileB:], func(row, kk int) uint32 { return eb.code(b[row*k+kk]) })
			code, bits := accumulatorCode(c.d)
			perReg := 32 / bits
			nd := c.n / 2 / perReg
			decl := map[string]string{"f32": "f32", "f16": "b32", "s32": "b32"}[c.d]
			x := newTestKernel(t, wgmmaKernel(c.n, shape, c.d+"."+c.a+"."+c.b, operandA, c.flags, decl, nd), "k")
			x.buffer(data)
			out := x.words(make([]uint32, 128*nd))
			x.scalar(c.tileA.descriptor())
			x.scalar(c.tileB.descriptor())
			x.words(regs)
			counts := x.launch(1, 128, 2*tileBytes)
			if counts.MACs != uint64(2*64*c.n*k) {
				t.Errorf("%d multiply-adds counted, want %d", counts.MACs, 2*64*c.n*k)
			}
			checkWgmma(t, out, c.n, k, perReg, func(row, col int) uint32 {
				sum := 0
				for kk := range k {
					sum += a[row*k+kk] * b[col*k+kk]
				}
				return code(2 * c.sign * sum)
			})
		})
	}
}

// fillRegisterA lays A out as the ISA draws it for wgmma: like mma.m16n8kK for each warp's 16 rows.
func fillRegisterA(regs []uint32, bits int, at func(row, k int) uint32) {
	l := mmaLayouts[1]
	if bits == 8 {
		l = mmaLayouts[5]
	}
	p := 32 / bits
	for thread := range 128 {
		for i := range 4 * p {
			row, k := l.a(thread%32, i)
			regs[thread*4+i/p] |= at(thread/32*16+row, k) << (i % p * bits)
		}
	}
}

// checkWgmma reads D as the ISA draws it: rows 16*warp + lane/4 (+8), columns 8*(i/4) + 2*(lane%4) + i%2.
func checkWgmma(t *testing.T, out []byte, n, k, perReg int, want func(row, col int) uint32) {
	for thread := range 128 {
		lane, warp := thread%32, thread/32
		for i := range n / 2 {
			row, col := 16*warp+lane/4+8*(i/2%2), 8*(i/4)+lane%4*2+i%2
			got := word(out, i/perReg*128+thread) >> (i % perReg * (32 / perReg)) & uint32(lowBits(32/perReg))
			if w := want(row, col); got != w && !(got<<1 == 0 && w<<1 == 0) {
				t.Fatalf("row %d, column %d: %#x, want %#x", row, col, got, w)
			}
		}
	}
}
