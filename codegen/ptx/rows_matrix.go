package ptx

import "fmt"

// matrixRows: warp-level matrix instructions, section 9.7.14.5. The accumulator is read and written; PTX prints it twice.
var matrixRows = []row{
	{"ldmatrix.sync.aligned.m8n8.x1{,.trans}.shared.b16", "=1xb32 [shared]", ""},
	{"ldmatrix.sync.aligned.m8n8.x2{,.trans}.shared.b16", "=2xb32 [shared]", ""},
	{"ldmatrix.sync.aligned.m8n8.x4{,.trans}.shared.b16", "=4xb32 [shared]", ""},
	{"stmatrix.sync.aligned.m8n8.x1{,.trans}.shared.b16", "[shared] 1xb32", "sm90@7.8"},
	{"stmatrix.sync.aligned.m8n8.x2{,.trans}.shared.b16", "[shared] 2xb32", "sm90@7.8"},
	{"stmatrix.sync.aligned.m8n8.x4{,.trans}.shared.b16", "[shared] 4xb32", "sm90@7.8"},

	{"mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", "=4xf32 4xf16x2 2xf16x2 4xf32", ""},
	{"mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", "=4xf32 4xbf16x2 2xbf16x2 4xf32", ""},
	{"mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", "=4xf32 2xf16x2 1xf16x2 4xf32", ""},
	{"mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32", "=4xf32 2xbf16x2 1xbf16x2 4xf32", ""},
	{"mma.sync.aligned.m16n8k16.row.col.f16.f16.f16.f16", "=2xf16x2 4xf16x2 2xf16x2 2xf16x2", ""},
	{"mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", "=4xf32 4xtf32 2xtf32 4xf32", ""},
	{"mma.sync.aligned.m16n8k4.row.col.f32.tf32.tf32.f32", "=4xf32 2xtf32 1xtf32 4xf32", ""},
	{"mma.sync.aligned.m16n8k32.row.col{,.satfinite}.s32.{s8,u8}.{s8,u8}.s32", "=4xs32 4x$2x4 2x$3x4 4xs32", ""},
	{"mma.sync.aligned.m16n8k16.row.col{,.satfinite}.s32.{s8,u8}.{s8,u8}.s32", "=4xs32 2x$2x4 1x$3x4 4xs32", ""},
	{"mma.sync.aligned.m16n8k32.row.col.f32.{e4m3,e5m2}.{e4m3,e5m2}.f32", "=4xf32 4x$1x4 2x$2x4 4xf32", "sm89@8.4"},
}

// wgmmaKinds: warpgroup-level matrix instructions, section 9.7.15.5. K is 32 bytes of an operand. The floats take two more immediates for the signs of
// A and B, the 16-bit ones also the transposition of what lies in shared memory.
var wgmmaKinds = []struct {
	accumulator, a, b string
	k                 int
	regType           string // of A in registers
	signs, transposes bool
	integer           bool
}{
	{"f32", "bf16", "bf16", 16, "bf16x2", true, true, false},
	{"f32", "f16", "f16", 16, "f16x2", true, true, false},
	{"f16", "f16", "f16", 16, "f16x2", true, true, false},
	{"f32", "tf32", "tf32", 8, "tf32", true, false, false},
	{"f32", "e4m3", "e4m3", 32, "e4m3x4", true, false, false},
	{"f32", "e5m2", "e5m2", 32, "e5m2x4", true, false, false},
	{"f32", "e4m3", "e5m2", 32, "e4m3x4", true, false, false},
	{"f32", "e5m2", "e4m3", 32, "e5m2x4", true, false, false},
	{"s32", "s8", "s8", 32, "s8x4", false, false, true},
	{"s32", "u8", "u8", 32, "u8x4", false, false, true},
	{"s32", "s8", "u8", 32, "s8x4", false, false, true},
	{"s32", "u8", "s8", 32, "u8x4", false, false, true},
}

// wgmmaN tells whether the instruction has a shape of n columns: every multiple of 8 up to 256 for floats, for integers
// 8, 24 and the multiples of 16.
func wgmmaN(n int, integer bool) bool {
	if n < 8 || n > 256 || n%8 != 0 {
		return false
	}
	return !integer || n%16 == 0 || n == 8 || n == 24
}

// wgmmaRows lists every shape of every kind, with A from shared memory ("ss") and from registers ("rs"). In the form
// "first" the result replaces the accumulator; otherwise a predicate says whether it is added.
func wgmmaRows() []row {
	rows := []row{
		{"wgmma.fence.sync.aligned", "", "sm90a@8.0"},
		{"wgmma.commit_group.sync.aligned", "", "sm90a@8.0"},
		{"wgmma.wait_group.sync.aligned", "#", "sm90a@8.0"},
	}
	for _, kind := range wgmmaKinds {
		for n := 8; n <= 256; n += 8 {
			if !wgmmaN(n, kind.integer) {
				continue
			}
			accumulators, typ := n/2, kind.accumulator
			if typ == "f16" {
				accumulators, typ = n/4, "f16x2"
			}
			name := wgmmaName(n, kind.k, kind.accumulator, kind.a, kind.b)
			d := fmt.Sprintf("%dx%s", accumulators, typ)
			signs, transA, transB := "", "", ""
			if kind.signs {
				signs = " # #"
			}
			if kind.transposes {
				transA, transB = " #", " #"
			}
			since := "sm90a@8.0"
			if kind.integer && kind.a != kind.b {
				since = "sm90a@8.4"
			}
			rows = append(rows,
				row{name + "/ss", "+" + d + " b64 b64 pred" + signs + transA + transB, since},
				row{name + "/rs", "+" + d + " 4x" + kind.regType + " b64 pred" + signs + transB, since},
				row{name + "/ss.first", "=" + d + " b64 b64 pred" + signs + transA + transB, since},
				row{name + "/rs.first", "=" + d + " 4x" + kind.regType + " b64 pred" + signs + transB, since},
			)
		}
	}
	return rows
}

func wgmmaName(n, k int, accumulator, a, b string) string {
	return fmt.Sprintf("wgmma.mma_async.sync.aligned.m64n%dk%d.%s.%s.%s", n, k, accumulator, a, b)
}
