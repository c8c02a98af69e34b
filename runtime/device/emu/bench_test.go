package emu

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"
)

// benchLoop wraps a body of straight-line code in a loop of n iterations.
const benchLoop = `.version 8.0
.target sm_80
.address_size 64
.visible .entry k(.param .u64 out)
{
.reg .pred p;
.reg .b32 r<16>;
.reg .b64 d<8>;
.reg .f32 f<16>;
.shared .align 16 .b8 smem[8192];
ld.param.u64 d0, [out];
mov.u32 r0, %%tid.x;
mul.wide.u32 d1, r0, 4;
add.u64 d0, d0, d1;
mov.u32 r1, 1; mov.u32 r2, 3; mov.u32 r3, 0;
mov.f32 f0, 1.0; mov.f32 f1, 0.5; mov.f32 f2, 2.0; mov.f32 f3, 0.0;
shl.b32 r8, r0, 4;
mov.u32 r9, smem;
add.u32 r9, r9, r8;
st.shared.v4.u32 [r9], {r0, r0, r0, r0};
st.global.u32 [d0], r0;
bar.warp.sync -1;
LOOP:
%s
add.u32 r3, r3, 1;
setp.lt.u32 p, r3, %d;
@p bra LOOP;
st.global.u32 [d0], r1;
st.global.f32 [d0], f3;
ret;
}
`

var benchBodies = []struct{ name, body string }{
	{"int", "add.u32 r1, r1, r2; xor.b32 r4, r1, r3; shl.b32 r5, r4, 3; mad.lo.u32 r1, r5, r2, r4; and.b32 r1, r1, 0xffffff; add.u32 r1, r1, r0;"},
	{"float", "fma.rn.f32 f3, f0, f1, f3; mul.f32 f4, f3, f1; add.f32 f3, f4, f0; fma.rn.f32 f3, f3, f1, f2; max.f32 f3, f3, f0; mul.f32 f3, f3, f1;"},
	{"shared", "ld.shared.u32 r4, [r9]; add.u32 r1, r1, r4; st.shared.u32 [r9], r1; ld.shared.v4.u32 {r4,r5,r6,r7}, [r9]; add.u32 r1, r1, r7; xor.b32 r1, r1, r4;"},
	{"global", "ld.global.u32 r4, [d0]; add.u32 r1, r1, r4; st.global.u32 [d0], r1; ld.global.u32 r5, [d0]; add.u32 r1, r1, r5; xor.b32 r1, r1, r4;"},
	{"mma", "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {f4,f5,f6,f7}, {r0,r0,r0,r0}, {r0,r0}, {f0,f1,f2,f0};"},
	{"bf16x2", "fma.rn.bf16x2 r4, r0, r1, r2; fma.rn.f16x2 r5, r0, r1, r2; cvt.rn.bf16x2.f32 r6, f0, f1; mul.f32 f0, f0, f1;"},
}

// cpuSeconds is the processor time of this process: on a busy machine it tells more than the clock.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// BenchmarkWarp reports millions of warp instructions per second of one processor.
func BenchmarkWarp(b *testing.B) {
	for _, c := range benchBodies {
		for _, races := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/races=%v", c.name, races), func(b *testing.B) {
				x := newTestKernel(b, fmt.Sprintf(benchLoop, c.body, 10000), "k")
				x.buffer(make([]byte, 1<<16))
				x.opt = Options{Workers: 1, Races: races}
				var n uint64
				start := cpuSeconds()
				for b.Loop() {
					n += x.launch(1, 128, 0).Instructions
				}
				b.ReportMetric(float64(n)/(cpuSeconds()-start)/1e6, "Mwarpinst/cpu-s")
			})
		}
	}
}

// BenchmarkGemm reports multiply-adds of the sample GEMMs per second of one processor.
func BenchmarkGemm(b *testing.B) {
	for _, c := range gemmCases {
		for _, races := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/races=%v", c.name, races), func(b *testing.B) {
				text, err := os.ReadFile("testdata/" + c.name + ".ptx")
				if err != nil {
					b.Fatal(err)
				}
				const k = 1024
				x := newTestKernel(b, string(text), "gemm")
				x.buffer(c.pack(ones(gemmM*k), gemmM, k, 64))
				x.buffer(c.pack(ones(gemmN*k), gemmN, k, 32))
				x.words(make([]uint32, gemmM*gemmN))
				x.scalar(gemmN)
				x.scalar(k)
				x.opt = Options{Workers: 1, Races: races}
				var n uint64
				start := cpuSeconds()
				for b.Loop() {
					n += x.launchGrid([3]uint32{gemmM / 64, gemmN / 32, 1}, c.block, c.shared).MACs
				}
				b.ReportMetric(float64(n)/(cpuSeconds()-start)/1e9, "GMAC/cpu-s")
			})
		}
	}
}

func ones(n int) []int {
	v := make([]int, n)
	for i := range v {
		v[i] = 1
	}
	return v
}
