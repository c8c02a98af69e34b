package ptxtext

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const head = ".version 8.0\n.target sm_80\n.address_size 64\n"

func TestParse(t *testing.T) {
	m, err := Parse(head + `
.file 1 "a.cu"
.const .align 8 .b16 tab[2][2] = {{1, 2}, {-3, 0x10U}};
.global .u64 ptr = tab+4;
.extern .shared .align 16 .b8 smem[];
.func (.reg .u32 r) f (.param .f32 a);
.visible .entry k(.param .u64 .ptr .global .align 16 p, .param .align 4 .b8 s[12])
.maxntid 128, 1, 1
.minnctapersm 2
{
	.reg .pred p<3>;
	.reg .v4 .f32 v;
	.loc 1 2 3
	.pragma "nounroll";
L: @!p1 mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f0,%f1}, v.x, -1.5e-3, 0f3f800000;
	{ ld.shared::cta.v2.u32 {a, _}, [smem+4-2*8]; }
	shfl.sync.down.b32 r|p2, a, 3, 31, ~0; // comment
	call.uni (r), f, (a, 3);
	ret;
}`)
	if err != nil {
		t.Fatal(err)
	}
	if m.Version != (Version{8, 0}) || m.Target != "sm_80" || m.AddressSize != 64 || len(m.Vars) != 3 || len(m.Funcs) != 2 {
		t.Fatalf("module: %+v", m)
	}
	if v := m.Vars[0]; v.Align != 8 || len(v.Init) != 4 || int64(v.Init[2].Num.Bits) != -3 || v.Init[3].Num.Bits != 16 {
		t.Errorf("tab: %+v", v)
	}
	if v := m.Vars[1].Init[0]; v.Sym != "tab" || v.Off != 4 {
		t.Errorf("ptr: %+v", v)
	}
	k := m.Funcs[1]
	if !k.Entry || len(k.Params) != 2 || k.Params[0].Align != 0 || k.Params[1].Align != 4 || k.Limits.MaxThreads != [3]int{128, 1, 1} {
		t.Errorf("kernel: %+v", k)
	}
	in := k.Body[3].Inst
	if in == nil || in.Guard != "p1" || !in.GuardNot || in.Name() != "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32" || len(in.Args) != 4 {
		t.Fatalf("mma: %+v", in)
	}
	if in.Args[1].Part != "x" || !in.Args[2].Num.Float || in.Args[3].Num.Float32Bits() != 0x3f800000 || in.Args[0].Pos.Line != 18 {
		t.Errorf("operands: %+v", in.Args)
	}
	ld := k.Body[4].Block[0].Inst
	if ld.Mods[0] != "shared::cta" || ld.Args[1].Name != "smem" || ld.Args[1].Off != -12 || ld.Args[0].List[1].Kind != SinkOperand {
		t.Errorf("ld: %+v", ld)
	}
	if s := k.Body[5].Inst; s.Args[0].Alt != "p2" || s.Args[4].Num.Bits != ^uint64(0) {
		t.Errorf("shfl: %+v", s)
	}
}

func TestNumbers(t *testing.T) {
	for text, want := range map[string]Number{
		"7": {Bits: 7}, "017": {Bits: 15}, "0x1fU": {Bits: 31}, "0b101": {Bits: 5}, "18446744073709551615": {Bits: ^uint64(0)},
		"0f7fc00001": {0x7ff8000020000000, true, true}, "0d3ff0000000000000": {0x3ff0000000000000, true, false}, "1.0": {0x3ff0000000000000, true, false},
	} {
		got, err := parseNumber(token{text: text})
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	if n, _ := parseNumber(token{text: "0f7fc00001"}); n.Float32Bits() != 0x7fc00001 {
		t.Errorf("NaN payload lost: %x", n.Float32Bits())
	}
	for _, text := range []string{"0x", "09", "1e", "0fzz", "0d12", "1_0", "99999999999999999999"} {
		if n, err := parseNumber(token{text: text}); err == nil {
			t.Errorf("%s accepted as %+v", text, n)
		}
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "no .version",
		".version 8.0":                           "no .target",
		head + ".entry k() {\n  add.u32 a, ;":    "line 5, column 14: expected an operand",
		head + ".entry k() {\n  ret":             "line 5, column 6: expected",
		head + ".reg .u33 a;":                    "line 4, column 6: unknown type",
		head + "\x01":                            "line 4, column 1: unexpected character",
		head + ".global .u32 a[99999999999999];": "out of range",
		head + "/* x":                            "comment without an end",
		head + ".reg .u32 a<0>;":                 "bad range",
		head + ".entry k() " + strings.Repeat("{", 200): "nested deeper",
	} {
		if _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: error %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(head + ".entry k(.param .u64 a) { .reg .b32 r<4>; @!p ld.v2.u32 {r1, r2}, [a+4]; L: bra L; ret; }")
	f.Add(head + ".global .f32 x[2] = {1.5, 0f3f800000}; .func (.reg .u32 a) f() { ret; }")
	files, _ := filepath.Glob("../../../../../shared/ptx_vectors/ptx/*.ptx")
	for _, name := range files {
		if text, err := os.ReadFile(name); err == nil {
			f.Add(string(text))
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		m, err := Parse(text)
		if (m == nil) == (err == nil) {
			t.Fatal("neither module nor error")
		}
	})
}
