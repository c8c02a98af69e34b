package emu

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// kernelText wraps a body whose d0 is the output pointer, with registers to spare.
func kernelText(target, body string) string {
	return fmt.Sprintf(strictHead, target) + body + "ret;\n}\n"
}

func runWords(t *testing.T, target, body string, grid, block uint32, n int) []byte {
	t.Helper()
	x := newTestKernel(t, kernelText(target, body), "k")
	out := x.words(make([]uint32, n))
	x.launch(grid, block, 0)
	return out
}

// Lanes leave a loop after different numbers of turns and meet again.
func TestDivergentLoopReconverges(t *testing.T) {
	out := runWords(t, "sm_80", `
mov.u32 r1, 0; mov.u32 r2, 0;
LOOP:
add.u32 r1, r1, r0;
add.u32 r2, r2, 1;
setp.le.u32 p0, r2, r0;
@p0 bra LOOP;
activemask.b32 r3;
shfl.sync.bfly.b32 r4, r1, 31, 31, -1;
mul.wide.u32 d1, r0, 8; add.u64 d1, d0, d1;
st.global.v2.u32 [d1], {r3, r4};
`, 1, 32, 64)
	for i := range 32 {
		j := 31 - i
		if got, want := word(out, 2*i+1), uint32(j*(j+1)); word(out, 2*i) != allLanes || got != want {
			t.Errorf("lane %d: mask %#x, neighbour's sum %d, want %d", i, word(out, 2*i), got, want)
		}
	}
}

// One lane waits for another lane of its warp: whatever runs first must not starve the other.
func TestLanesOfAWarpWaitForEachOther(t *testing.T) {
	for _, flip := range []string{"eq", "ne"} {
		out := runWords(t, "sm_80", `
mov.u32 r1, smem;
setp.lt.u32 p1, r0, 2;
@!p1 bra DONE;
setp.eq.u32 p0, r0, 0;
@p0 st.volatile.shared.u32 [r1], 0;
bar.warp.sync 3;
setp.`+flip+`.u32 p0, r0, 0;
@p0 bra SET;
SPIN:
ld.volatile.shared.u32 r2, [r1];
setp.ne.u32 p2, r2, 7;
@p2 bra SPIN;
st.global.u32 [d0], r2;
bra DONE;
SET:
mov.u32 r3, 7;
st.volatile.shared.u32 [r1], r3;
DONE:
`, 1, 32, 4)
		if word(out, 0) != 7 {
			t.Errorf("%s: got %d", flip, word(out, 0))
		}
	}
}

// All CTAs of the grid meet at a counter in global memory, though there are more of them than workers.
func TestGridBarrier(t *testing.T) {
	x := newTestKernel(t, kernelText("sm_80", `
mov.u32 r1, %ctaid.x; mov.u32 r2, %nctaid.x;
setp.ne.u32 p0, r0, 0;
mul.wide.u32 d1, r1, 4; add.u64 d1, d0, d1;
add.u32 r3, r1, 100;
@!p0 st.global.u32 [d1+256], r3;
bar.sync 0;
@p0 bra WAITED;
membar.gl;
atom.global.add.u32 r4, [d0], 1;
SPIN:
ld.acquire.gpu.global.u32 r4, [d0];
setp.lt.u32 p1, r4, r2;
@p1 bra SPIN;
WAITED:
bar.sync 0;
add.u32 r5, r1, 1; rem.u32 r5, r5, r2;
mul.wide.u32 d2, r5, 4; add.u64 d2, d0, d2;
ld.global.u32 r6, [d2+256];
@!p0 st.global.u32 [d1+1024], r6;
`), "k")
	out := x.words(make([]uint32, 1024))
	for _, workers := range []int{1, 2, 5} {
		clear(out)
		x.opt.Workers = workers
		x.launch(20, 64, 0)
		for i := range 20 {
			if got, want := word(out, 256+i), uint32(100+(i+1)%20); got != want {
				t.Errorf("%d workers, CTA %d reads %d, want %d", workers, i, got, want)
			}
		}
	}
}

func TestNamedBarriersAndReductions(t *testing.T) {
	out := runWords(t, "sm_80", `
setp.lt.u32 p0, r0, 32;
mov.u32 r1, smem; shl.b32 r2, r0, 2; add.u32 r3, r1, r2;
@p0 bra PRODUCE;
bar.sync 3, 64;
xor.b32 r4, r3, 128;
ld.shared.u32 r5, [r4];
mul.wide.u32 d1, r0, 4; add.u64 d1, d1, d0;
st.global.u32 [d1], r5;
bra MEET;
PRODUCE:
mul.lo.u32 r5, r0, 3;
st.shared.u32 [r3], r5;
bar.arrive 3, 64;
MEET:
and.b32 r6, r0, 3; setp.eq.u32 p1, r6, 0;
bar.red.popc.u32 r7, 0, p1;
bar.red.and.pred p2, 0, p1;
bar.red.or.pred p3, 0, p1;
selp.b32 r8, 10, 0, p3; @p2 add.u32 r8, r8, 1;
setp.eq.u32 p4, r0, 5;
@p4 st.global.v2.u32 [d0], {r7, r8};
`, 1, 64, 64)
	if word(out, 0) != 16 || word(out, 1) != 10 {
		t.Errorf("reductions: %d, %d", word(out, 0), word(out, 1))
	}
	for i := 32; i < 64; i++ {
		if got := word(out, i); got != uint32(3*(i-32)) {
			t.Errorf("thread %d: %d", i, got)
		}
	}
}

func TestCollectives(t *testing.T) {
	out := runWords(t, "sm_90", `
and.b32 r1, r0, 7;
match.any.sync.b32 r2, r1, -1;
redux.sync.add.s32 r3, r0, -1;
redux.sync.max.u32 r4, r1, -1;
elect.sync r5|p0, -1;
selp.b32 r6, 1, 0, p0;
setp.gt.u32 p1, r0, 19;
vote.sync.ballot.b32 r7, p1, -1;
vote.sync.any.pred p2, p1, -1; vote.sync.all.pred p3, p1, -1; vote.sync.uni.pred p4, p2, -1;
selp.b32 r8, 1, 0, p2; @p3 add.u32 r8, r8, 2; @p4 add.u32 r8, r8, 4;
shfl.sync.up.b32 r9, r0, 2, 0x1800, -1;
mul.wide.u32 d1, r0, 32; add.u64 d1, d1, d0;
st.global.v4.u32 [d1], {r2, r3, r4, r5};
st.global.v4.u32 [d1+16], {r6, r7, r8, r9};
`, 1, 32, 256)
	for i := range uint32(32) {
		up := i
		if i%8 >= 2 {
			up = i - 2
		}
		want := [8]uint32{0x01010101 << (i & 7), 31 * 16, 7, 0, 0, 0xfff00000, 5, up}
		if i == 0 {
			want[4] = 1
		}
		for k, v := range want {
			if got := word(out, int(i)*8+k); got != v {
				t.Errorf("lane %d, value %d: %#x, want %#x", i, k, got, v)
			}
		}
	}
}

const callText = `.version 8.0
.target sm_80
.address_size 64
.extern .func __assertfail (.param .b64 a);
.func (.reg .v2 .u32 r) twice (.reg .v2 .u32 v, .reg .u32 skip)
{
	.reg .u32 x, y; .reg .pred p;
	setp.ne.u32 p, skip, 0;
	mov.u32 x, v.x; mov.u32 y, v.y;
	add.u32 x, x, x;
	@p bra SKIP;
	add.u32 y, y, y;
SKIP:
	mov.u32 r.x, x; mov.u32 r.y, y;
	ret;
}
.func (.param .b32 r) half (.param .b32 v)
{
	.reg .u32 x; .reg .pred p;
	ld.param.u32 x, [v];
	setp.lt.u32 p, x, 20;
	@p bra SMALL;
	shr.u32 x, x, 1;
	st.param.b32 [r], x;
	ret;
SMALL:
	st.param.b32 [r], WARP_SZ;
	ret;
}
.visible .entry k(.param .u64 out)
{
	.reg .v2 .u32 v; .reg .u32 t, h; .reg .pred p, q; .reg .b64 d0, d1;
	ld.param.u64 d0, [out];
	mov.u32 t, %tid.x;
	setp.gt.u32 p, t, 3;
	setp.gt.u32 q, t, 1000;
	selp.u32 h, 1, 0, p;
	mov.u32 v.x, t; mov.u32 v.y, 7;
	call (v), twice, (v, h);
	@!p call (v), twice, (v, h);
	mov.u32 h, 99;
	{
		.param .b32 a; .param .b32 b; .param .b64 c;
		st.param.b32 [a], v.x;
		call.uni (b), half, (a);
		ld.param.b32 h, [b];
		st.param.b64 [c], d0;
		@q call __assertfail, (c);
	}
	mul.wide.u32 d1, t, 16; add.u64 d0, d0, d1;
	st.global.v2.u32 [d0], {v.x, v.y};
	st.global.u32 [d0+8], h;
	ret;
}
`

// Functions are inlined at every call, under guards, with vectors and parameters in memory.
func TestCalls(t *testing.T) {
	x := newTestKernel(t, callText, "k")
	out := x.words(make([]uint32, 128))
	x.launch(1, 32, 0)
	for i := range uint32(32) {
		a, b := 4*i, uint32(28)
		if i > 3 {
			a, b = 2*i, 7
		}
		h := a / 2
		if a < 20 {
			h = 32
		}
		for k, want := range []uint32{a, b, h} {
			if got := word(out, int(4*i)+k); got != want {
				t.Errorf("thread %d, value %d: %d, want %d", i, k, got, want)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	spin := newTestKernel(t, kernelText("sm_80", "L:\nadd.u32 r0, r0, 1;\nbra L;\n"), "k")
	spin.buffer(make([]byte, 16))
	run := func(ctx context.Context, steps uint64) error {
		_, err := spin.k.Launch(ctx, spin.mem, Config{Grid: [3]uint32{1, 1, 1}, Block: [3]uint32{32, 1, 1}, Args: spin.args}, Options{Steps: steps})
		return err
	}
	var f *Fault
	if err := run(context.Background(), 1000); !errors.As(err, &f) || f.Kind != StepLimit {
		t.Errorf("step limit: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := run(ctx, 0); !errors.As(err, &f) || f.Kind != Canceled {
		t.Errorf("canceled: %v", err)
	}
}

func TestLaunchIsChecked(t *testing.T) {
	x := newTestKernel(t, strings.Replace(kernelText("sm_80", ""), "(.param .u64 out)\n", "(.param .u64 out)\n.reqntid 64, 1, 1\n", 1), "k")
	x.buffer(make([]byte, 16))
	for want, c := range map[string]Config{
		"grid x":   {Grid: [3]uint32{0, 1, 1}, Block: [3]uint32{64, 1, 1}, Args: x.args},
		"block z":  {Grid: [3]uint32{1, 1, 1}, Block: [3]uint32{1, 1, 65}, Args: x.args},
		"1024":     {Grid: [3]uint32{1, 1, 1}, Block: [3]uint32{64, 32, 1}, Args: x.args},
		".reqntid": {Grid: [3]uint32{1, 1, 1}, Block: [3]uint32{32, 1, 1}, Args: x.args},
		"shared":   {Grid: [3]uint32{1, 1, 1}, Block: [3]uint32{64, 1, 1}, Args: x.args, Shared: 1 << 20},
		"slot":     {Grid: [3]uint32{1, 1, 1}, Block: [3]uint32{64, 1, 1}},
		"takes 1":  {Grid: [3]uint32{1, 1, 1}, Block: [3]uint32{64, 1, 1}, Args: []uint64{1, 2}},
	} {
		if _, err := x.k.Launch(context.Background(), x.mem, c, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: error %v, want %q", c, err, want)
		}
	}
}

func TestTargets(t *testing.T) {
	for _, c := range []struct {
		target, arch string
		ok           bool
	}{
		{"sm_80", "sm80", true}, {"sm_80", "sm_120", true}, {"sm_90", "sm80", false}, {"sm_90a", "sm90", true}, {"sm_90a", "sm90a", true},
		{"sm_90a", "sm100", false}, {"sm_100f", "sm103a", true}, {"sm_100f", "sm120", false}, {"sm_80", "x86-64-v3", false},
	} {
		if err := CheckTarget(c.target, c.arch); (err == nil) != c.ok {
			t.Errorf("%s on %s: %v", c.target, c.arch, err)
		}
	}
}
