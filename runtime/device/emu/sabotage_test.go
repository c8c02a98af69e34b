package emu

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

// Typical mistakes in the sample GEMMs must not go unseen, though most of them would give right results most of the time.
func TestGemmMistakesAreFound(t *testing.T) {
	for _, c := range []struct {
		kernel, from, to string
		kinds            []Kind
	}{
		{"gemm_sm80", "cp.async.wait_group 1;\n\tbar.sync 0;", "cp.async.wait_group 1;", []Kind{Race, AsyncHazard}},
		{"gemm_sm80", "cp.async.wait_group 1;", "cp.async.wait_group 2;", []Kind{AsyncHazard}},
		{"gemm_sm80", "cp.async.wait_group 1;\n", "", []Kind{AsyncHazard}},
		{"gemm_sm80", "setp.eq.u32 p, stage, 3;", "setp.eq.u32 p, stage, 4;", []Kind{Uninitialized, AsyncHazard, BadAddress, Race}},
		{"gemm_sm80", "sub.u32 sa, sa, 23040;", "sub.u32 sa, sa, 15360;", []Kind{Race, AsyncHazard, BadAddress}},
		{"gemm_sm80", "mad.lo.u32 t, u, 64, t;\n\tmul.wide.u32 x, t, n;", "mul.wide.u32 x, t, n;", []Kind{Race}},
		{"gemm_sm80", "mad.lo.u32 la, t, 80, base;", "mad.lo.u32 la, t, 81, base;", []Kind{Misaligned}},
		{"gemm_sm90a", "@!done bra EMPTY;", "", []Kind{Race, AsyncHazard, BadOperand}},
		{"gemm_sm90a", "@!done bra FULL;", "", []Kind{Race, AsyncHazard}},
		{"gemm_sm90a", "wgmma.wait_group.sync.aligned 0;", "", []Kind{AsyncHazard}},
		{"gemm_sm90a", "@leader mbarrier.arrive.shared::cta.b64 _, [empty];", "", []Kind{Deadlock}},
		{"gemm_sm90a", "xor.b32 parity, parity, 1;\nPRODUCE:", "PRODUCE:", []Kind{Deadlock}},
		{"gemm_sm90a", "_, [full], 12288;", "_, [full], 12304;", []Kind{Deadlock}},
		{"gemm_sm90a", "fence.mbarrier_init.release.cluster;", "", []Kind{MissingFence}},
		{"gemm_sm90a", "wgmma.fence.sync.aligned;", "", []Kind{MissingFence}},
		{"gemm_sm90a", "mbarrier.init.shared.b64 [t+24], 4;", "mbarrier.init.shared.b64 [t+24], 3;", []Kind{Race, BadOperand, AsyncHazard}},
	} {
		text, err := os.ReadFile("testdata/" + c.kernel + ".ptx")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), c.from) {
			t.Fatalf("%s: %q is not in the kernel", c.kernel, c.from)
		}
		x := newTestKernel(t, strings.Replace(string(text), c.from, c.to, 1), "gemm")
		block, shared, pack := uint32(128), 0, packRows
		if c.kernel == "gemm_sm90a" {
			block, shared, pack = 160, 3*12288, packTiles
		}
		const k = 448
		x.buffer(pack(make([]int, gemmM*k), gemmM, k, 64))
		x.buffer(pack(make([]int, gemmN*k), gemmN, k, 32))
		x.words(make([]uint32, gemmM*gemmN))
		x.scalar(gemmN)
		x.scalar(k)
		x.opt.Steps = 1 << 22
		_, err = x.k.Launch(context.Background(), x.mem, Config{
			Grid: [3]uint32{gemmM / 64, gemmN / 32, 1}, Block: [3]uint32{block, 1, 1}, Shared: shared, Args: x.args,
		}, x.opt)
		var f *Fault
		if !errors.As(err, &f) {
			t.Errorf("%s with %q for %q: error %v", c.kernel, c.to, c.from, err)
			continue
		}
		known := false
		for _, k := range c.kinds {
			known = known || f.Kind == k
		}
		if !known {
			t.Errorf("%s with %q for %q: %v", c.kernel, c.to, c.from, f)
		}
	}
}
