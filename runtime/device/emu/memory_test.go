package emu

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

func TestMemory(t *testing.T) {
	m := NewMemory()
	a, err := m.Alloc("a", 100)
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.Wrap("b", []byte{1, 2, 3, 4}, true)
	if err != nil {
		t.Fatal(err)
	}
	if a.Addr()%256 != 0 || b.Addr()%256 != 0 || b.Addr() < a.Addr()+100 || a.Bytes()[99] != 0xff {
		t.Errorf("addresses %#x, %#x", a.Addr(), b.Addr())
	}
	if m.find(a.Addr()+99) != a || m.find(a.Addr()+100) != nil || m.find(b.Addr()) != b || m.find(a.Addr()-1) != nil {
		t.Error("find")
	}
	m.Free(a)
	if m.find(a.Addr()) != nil || m.find(b.Addr()+3) != b {
		t.Error("after Free")
	}
	if _, err := m.Alloc("huge", -1); err == nil {
		t.Error("negative size accepted")
	}
}

func TestReadOnlyBuffer(t *testing.T) {
	x := newTestKernel(t, kernelText("sm_80", "ld.global.u32 r1, [d0];\nst.global.u32 [d0+4], r1;\n"), "k")
	b, _ := x.mem.Wrap("weights", make([]byte, 64), true)
	_, err := x.k.Launch(context.Background(), x.mem, Config{Grid: [3]uint32{1, 1, 1}, Block: [3]uint32{1, 1, 1}, Args: []uint64{b.Addr()}}, Options{})
	var f *Fault
	if !errors.As(err, &f) || f.Kind != ReadOnly || f.Addr != b.Addr()+4 || !strings.Contains(err.Error(), "weights") {
		t.Errorf("error %v", err)
	}
}

const globalsText = `.version 8.0
.target sm_80
.address_size 64
.global .u32 counter = 5;
.const .f32 table2[3] = {1.0, 2.5, 0f40400000};
.global .u32 table[4] = {10, 20, 30, 40};
.global .align 8 .u64 where = table+8;
.func (.reg .u32 r) bump ()
{
	.global .u32 calls = 100;
	atom.global.add.u32 r, [calls], 1;
	ret;
}
.visible .entry k(.param .u64 out)
{
	.reg .b32 r<8>; .reg .b64 d<4>; .reg .f32 f;
	ld.param.u64 d0, [out];
	atom.global.add.u32 r0, [counter], 1;
	ld.global.u64 d1, [where];
	ld.global.u32 r1, [d1];
	ld.const.f32 f, [table2+4];
	call (r2), bump;
	call (r3), bump;
	st.global.v4.b32 [d0], {r0, r1, r2, r3};
	st.global.f32 [d0+16], f;
	ret;
}
`

// Module variables live as long as the memory: a second launch sees what the first one left.
func TestModuleVariables(t *testing.T) {
	x := newTestKernel(t, globalsText, "k")
	out := x.words(make([]uint32, 5))
	for run := range uint32(2) {
		x.launch(1, 1, 0)
		for i, want := range []uint32{5 + run, 30, 100 + 2*run, 101 + 2*run, f32(2.5)} {
			if got := word(out, i); got != want {
				t.Errorf("run %d, value %d: %d, want %d", run, i, got, want)
			}
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	for body, want := range map[string]string{
		"frob.u32 r1, r2;\n":                     "line 15, column 1: instruction frob.u32 is not supported",
		"add.u32 r1, q7, 1;\n":                   "unknown name q7",
		"add.u32 d1, r1, 1;\n":                   "register d1 has 64 bits",
		"add.u32 5, r1, 1;\n":                    "expected a destination register",
		"bra NOWHERE;\n":                         "no label NOWHERE",
		"call f;\n":                              "no function f",
		"add.b32 r1, r2, r3;\n":                  "no type that add takes",
		"@r1 add.u32 r1, r2, r3;\n":              "r1 is not a predicate",
		"ld.global.v2.u32 {r1, r2, r3}, [d0];\n": "3 registers for a vector of 2",
		"cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [r1], [d0, {r1, r2}], [r3];\n": "tensor maps",
		"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {f0,f1,f2}, {r1,r1,r1,r1}, {r1,r1}, {f0,f1,f2,f3};\n":  "fragment of 3 registers, expected 4",
		".reg .b32 r1, r1;\n":            "declared twice",
		"lop3.b32 r1, r2, r3, r4, r5;\n": "must be a constant",
		"wgmma.mma_async.sync.aligned.m64n12k16.f32.bf16.bf16 {f0}, d1, d1, 1, 1, 1, 0, 0;\n": "shape or types",
	} {
		mod, err := Load(kernelText("sm_90a", body))
		if err == nil {
			_, err = mod.Kernel("k")
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", body, err, want)
		}
	}
}

func TestRecursionIsRefused(t *testing.T) {
	mod, err := Load(".version 8.0\n.target sm_80\n.address_size 64\n.func f ();\n.func g () { call f; ret; }\n.func f () { call g; ret; }\n.entry k() { call f; ret; }\n")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mod.Kernel("k"); err == nil || !strings.Contains(err.Error(), "recursion") {
		t.Errorf("error %v", err)
	}
}

func TestAtomics(t *testing.T) {
	x := newTestKernel(t, kernelText("sm_90", `
atom.global.add.u32 r1, [d0], 1;
atom.global.max.s32 r2, [d0+4], r0;
atom.global.inc.u32 r3, [d0+8], 6;
cvt.rn.f32.u32 f0, r0;
red.global.add.f32 [d0+12], f0;
mov.b32 r4, 0x3c003f80;
red.global.add.noftz.f16x2 [d0+16], r4;
atom.global.and.b32 r5, [d0+20], 0xffff0000;
cvt.u64.u32 d1, r0;
red.global.add.u64 [d0+24], d1;
atom.global.cas.b32 r6, [d0+32], 0, 77;
shl.b32 r7, r0, 2; mul.wide.u32 d2, r0, 4; add.u64 d2, d2, d0;
st.global.u32 [d2+64], r1;
`), "k")
	out := x.words(make([]uint32, 64))
	binary.LittleEndian.PutUint32(out[20:], 0x12345678)
	x.launch(1, 32, 0)
	for i, want := range map[int]uint32{0: 32, 1: 31, 2: 32 % 7, 3: f32(496), 4: 0x50005300, 5: 0x12340000, 6: 496, 8: 77} {
		if i == 4 {
			want = uint32(formatF16.round(32, roundNearest, false))<<16 | uint32(formatF16.round(32*1.875, roundNearest, false))
		}
		if got := word(out, i); got != want {
			t.Errorf("value %d: %#x, want %#x", i, got, want)
		}
	}
	seen := map[uint32]bool{}
	for i := range 32 {
		seen[word(out, 16+i)] = true
	}
	if len(seen) != 32 {
		t.Errorf("%d distinct tickets", len(seen))
	}
}
