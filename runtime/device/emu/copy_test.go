package emu

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// ramp is a buffer of words 0, 1, 2, ...
func ramp(n int) []byte {
	b := make([]byte, 4*n)
	for i := range n {
		binary.LittleEndian.PutUint32(b[4*i:], uint32(i))
	}
	return b
}

// runRamp runs a body over a buffer whose first half counts up and returns the second half.
func runRamp(t *testing.T, body string, block uint32, seed uint64) []byte {
	t.Helper()
	x := newTestKernel(t, kernelText("sm_90", body), "k")
	x.opt.Seed = seed
	b := x.buffer(ramp(2048))
	x.launch(1, block, 0)
	return b[4096:]
}

// cp.async pads with zeros behind the source size, and copies nothing where told to ignore the source.
func TestCpAsyncPadding(t *testing.T) {
	out := runRamp(t, `
mov.u32 r1, smem; shl.b32 r2, r0, 4; add.u32 r1, r1, r2;
cvt.u64.u32 d1, r2; add.u64 d1, d1, d0;
and.b32 r3, r0, 3; shl.b32 r3, r3, 2;
setp.gt.u32 p1, r0, 15;
@!p1 cp.async.cg.shared.global [r1], [d1], 16, r3;
@p1 cp.async.ca.shared.global [r1], [d1], 16;
cp.async.wait_all;
ld.shared.v4.u32 {r4, r5, r6, r7}, [r1];
st.global.v4.u32 [d1+4096], {r4, r5, r6, r7};
`, 32, 0)
	for i := range 128 {
		want := uint32(i)
		if lane := i / 4; lane < 16 && i%4 >= lane%4 {
			want = 0
		}
		if got := word(out, i); got != want {
			t.Errorf("word %d: %d, want %d", i, got, want)
		}
	}
}

// An mbarrier that counts cp.async: the consumer warp sees the producer warp's copies.
func TestCpAsyncMbarrier(t *testing.T) {
	for _, form := range []struct{ inst, count string }{{"cp.async.mbarrier.arrive.noinc.shared.b64 [r1];", "32"}, {"cp.async.mbarrier.arrive.shared.b64 [r1];\nmbarrier.arrive.shared.b64 _, [r1];", "32"}} {
		for seed := range uint64(3) {
			out := runRamp(t, fmt.Sprintf(`
mov.u32 r1, smem; and.b32 r8, r0, 31; shl.b32 r2, r8, 2; add.u32 r3, r1, r2;
cvt.u64.u32 d1, r2; add.u64 d1, d1, d0;
setp.eq.u32 p0, r0, 0;
@p0 mbarrier.init.shared.b64 [r1], %s;
bar.sync 0;
setp.ge.u32 p1, r0, 32;
@p1 bra CONSUME;
cp.async.ca.shared.global [r3+128], [d1], 4;
%s
bra DONE;
CONSUME:
mbarrier.try_wait.parity.shared.b64 p2, [r1], 0;
@!p2 bra CONSUME;
xor.b32 r4, r3, 124;
ld.shared.u32 r5, [r4+128];
st.global.u32 [d1+4096], r5;
DONE:
`, form.count, form.inst), 64, seed)
			for i := range 32 {
				if got := word(out, i); got != uint32(31-i) {
					t.Fatalf("%s, seed %d, word %d: %d", form.inst, seed, i, got)
				}
			}
		}
	}
}

// A bulk copy there and back, with a state token instead of a parity.
func TestBulkRoundTrip(t *testing.T) {
	for seed := range uint64(3) {
		out := runRamp(t, `
mov.u32 r1, smem;
setp.ne.u32 p0, r0, 0;
@p0 bra DONE;
mbarrier.init.shared.b64 [r1], 2;
fence.proxy.async.shared::cta;
cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [r1+1024], [d0], 512, [r1];
mbarrier.arrive.expect_tx.shared.b64 d3, [r1], 512;
mbarrier.arrive.shared.b64 d3, [r1];
WAIT:
mbarrier.test_wait.shared.b64 p1, [r1], d3;
@!p1 bra WAIT;
mbarrier.inval.shared.b64 [r1];
ld.shared.u32 r2, [r1+1028];
add.u32 r2, r2, 1000;
st.shared.u32 [r1+1028], r2;
fence.proxy.async.shared::cta;
cp.async.bulk.global.shared::cta.bulk_group [d0+4096], [r1+1024], 512;
cp.async.bulk.commit_group;
cp.async.bulk.wait_group 0;
DONE:
`, 32, seed)
		for i := range 128 {
			want := uint32(i)
			if i == 1 {
				want = 1001
			}
			if got := word(out, i); got != want {
				t.Fatalf("seed %d, word %d: %d, want %d", seed, i, got, want)
			}
		}
	}
}

// ldmatrix, its transposed form, movmatrix and stmatrix on a matrix whose elements are numbered.
func TestMatrixMoves(t *testing.T) {
	out := runRamp(t, `
mov.u32 r1, smem; shl.b32 r2, r0, 2; add.u32 r3, r1, r2;
shl.b32 r4, r0, 1; add.u32 r5, r4, 1; shl.b32 r5, r5, 16; or.b32 r4, r4, r5;
st.shared.u32 [r3], r4;
and.b32 r6, r0, 7; shl.b32 r6, r6, 4; add.u32 r6, r6, r1;
bar.warp.sync -1;
ldmatrix.sync.aligned.m8n8.x1.shared.b16 {r7}, [r6];
ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {r8}, [r6];
movmatrix.sync.aligned.m8n8.trans.b16 r9, r7;
stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [r6+512], {r7};
bar.warp.sync -1;
ld.shared.u32 r10, [r3+512];
mul.wide.u32 d1, r0, 16; add.u64 d1, d1, d0;
st.global.v4.u32 [d1+4096], {r7, r8, r9, r10};
`, 32, 0)
	for lane := range uint32(32) {
		row, col := lane/4, lane%4*2
		plain := row*8 + col | (row*8+col+1)<<16
		turned := col*8 + row | ((col+1)*8+row)<<16
		for i, want := range []uint32{plain, turned, turned, turned} {
			if got := word(out, int(lane)*4+i); got != want {
				t.Errorf("lane %d, value %d: %#x, want %#x", lane, i, got, want)
			}
		}
	}
}

// Counting: sectors of strided loads and conflicts of strided shared accesses.
func TestTrafficCounts(t *testing.T) {
	for _, c := range []struct {
		stride             string
		sectors, conflicts uint64
	}{{"4", 4, 0}, {"8", 8, 1}, {"32", 32, 7}, {"128", 32, 31}, {"0", 1, 0}} {
		x := newTestKernel(t, kernelText("sm_80", `
mov.u32 r1, smem; mul.lo.u32 r2, r0, `+c.stride+`; add.u32 r3, r1, r2;
cvt.u64.u32 d1, r2; add.u64 d1, d1, d0;
ld.global.u32 r4, [d1];
st.shared.u32 [r3], r4;
`), "k")
		x.buffer(ramp(2048))
		if n := x.launch(1, 32, 0); n.SectorsLoaded != c.sectors || n.Conflicts != c.conflicts || n.GlobalLoaded != 128 || n.SharedStored != 128 {
			t.Errorf("stride %s: %+v, want %d sectors and %d conflicts", c.stride, n.MemoryCounts, c.sectors, c.conflicts)
		}
	}
}

// TestFetchedSectors wants a sector that was just loaded to be in the CTA's cache, until another one takes its place.
func TestFetchedSectors(t *testing.T) {
	for _, c := range []struct {
		between         string
		loaded, fetched uint64
	}{{"", 8, 4}, {"ld.global.u32 r4, [d1+16384];", 12, 12}, {"ld.global.u32 r4, [d1+128];", 12, 8}, {"cp.async.ca.shared.global [r3], [d1], 4; cp.async.wait_all;", 12, 8}} {
		x := newTestKernel(t, kernelText("sm_80", `
mov.u32 r1, smem; mul.lo.u32 r2, r0, 4; add.u32 r3, r1, r2;
cvt.u64.u32 d1, r2; add.u64 d1, d1, d0;
ld.global.u32 r4, [d1]; `+c.between+` ld.global.u32 r4, [d1];
`), "k")
		x.buffer(ramp(32768))
		if n := x.launch(1, 32, 0); n.SectorsLoaded != c.loaded || n.SectorsFetched != c.fetched {
			t.Errorf("%q: %d sectors loaded, %d fetched; want %d and %d", c.between, n.SectorsLoaded, n.SectorsFetched, c.loaded, c.fetched)
		}
	}
}

// Counting: what lines moved, and the conflicts of copies: eight lanes store 128 bytes at a time.
func TestCopyCounts(t *testing.T) {
	for _, c := range []struct {
		stride             string
		sectors, conflicts uint64
	}{{"16", 16, 0}, {"32", 32, 4}, {"128", 32, 28}} {
		x := newTestKernel(t, kernelText("sm_80", `
mov.u32 r1, smem; mul.lo.u32 r2, r0, `+c.stride+`; add.u32 r3, r1, r2;
cvt.u64.u32 d1, r2; add.u64 d1, d1, d0;
cp.async.cg.shared.global [r3], [d1], 16;
cp.async.wait_all;
`), "k")
		x.buffer(ramp(8192))
		n := x.launch(1, 32, 0)
		if n.SectorsLoaded != c.sectors || n.Conflicts != c.conflicts || n.GlobalLoaded != 512 || n.CopiedBytes != 512 {
			t.Errorf("stride %s: %+v, want %d sectors and %d conflicts", c.stride, n.MemoryCounts, c.sectors, c.conflicts)
		}
		for _, l := range n.Lines {
			if copies := strings.HasPrefix(l.Inst, "cp.async.cg"); copies && (l.MemoryCounts != n.MemoryCounts || l.Buffer == "") || !copies && l.SectorsLoaded != 0 {
				t.Errorf("stride %s: line %+v", c.stride, l)
			}
		}
	}
}
