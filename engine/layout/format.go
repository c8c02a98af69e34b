package layout

import (
	"fmt"

	"llmc/internal/dtype"
)

// Sizes that every format shares.
const (
	Lanes     = 32        // outputs of a panel
	Align     = 64        // alignment of panels, rows and blocks, bytes
	StepBytes = 4 * Lanes // one step of a panel: 4 bytes for each lane
	maxN      = 1 << 28   // far beyond any vocabulary; keeps every size below 2^63
	maxK      = 1 << 20   // likewise for hidden sizes
	maxDotK   = 1 << 17   // 2^17 * 127 * 128 is the largest sum of products that an int32 holds
	u8Zero    = 128       // code of the weight 0 in u8
	u4Zero    = 8         // code of the weight 0 in u4 without zero points
	zeroBytes = Lanes     // zero points of one group, u8
	rowUnit   = Align     // f32, bf16 and u8 pad K to this many k
	groupUnit = 32        // u4 pads a short last group to this many k
)

// Format is one way to store a linear weight.
type Format struct {
	Name       string
	KPerStep   int // k held by one lane's 4 bytes
	Group      int // k covered by one scale; 0: no scale, or one per output (u8, u4n, bf16s, e4m3s)
	ScaleBytes int // size of one scale; 0: none
	Zeros      bool
	Levels     bool   // codes are e2m1; scales are powers of two, halved, whose exponents lie behind all groups
	Tiered     bool   // of levels: scales are e4m3 instead, behind every two groups, and outputs have one of f32 behind all: see tiered.go
	Nested     bool   // codes stand for bytes by steps and offsets of each group; there is a scale per output, as in u8
	Activation string // activation format that its kernels multiply with

	// Of K-quants, whose Group is a superblock: see super.go.
	Sub       int   // k of a group with a step; 0: not one of them
	Offsets   bool  // groups have offsets, and superblocks a scale of these
	SuperZero int   // without offsets: code of the weight 0
	Most      uint8 // the largest code

	// Of formats whose numbers are put together of more than codes, scales and zero points: see open.go.
	Table    *[16]float32 // what codes stand for at scale one; nil: themselves, less Middle
	Fifth    fifthBits    // where codes have a fifth bit
	Middle   int          // code of the weight 0
	Minimums bool         // groups have a number that is added
	Split    bool         // groups have two scales, and the first column of the second one
	Float8   bool         // codes are e4m3, a step has those of 32 outputs for one k after the other; Group as in bf16s
	Ordered  bool         // columns say which group they are in: see ordered.go
}

// Formats lists every format of linear weights.
var Formats = []Format{
	{Name: "f32", KPerStep: 1, Activation: "f32"},
	{Name: "bf16", KPerStep: 2, Activation: "bf16"},
	{Name: "bf16s", KPerStep: 2, ScaleBytes: 4, Activation: "bf16"},
	{Name: "bf16s.g128", KPerStep: 2, Group: 128, ScaleBytes: 4, Activation: "bf16"},
	{Name: "e4m3s", KPerStep: 4, ScaleBytes: 4, Float8: true, Activation: "f32"},
	{Name: "e4m3s.g128", KPerStep: 4, Group: 128, ScaleBytes: 4, Float8: true, Activation: "f32"},
	{Name: "u8", KPerStep: 4, ScaleBytes: 4, Activation: "q16t"},
	{Name: "u4n.g32", KPerStep: 8, ScaleBytes: 4, Nested: true, Activation: "q16t"},
	{Name: "u4.g32", KPerStep: 8, Group: 32, ScaleBytes: 2, Activation: "q16g"},
	{Name: "u4.g64", KPerStep: 8, Group: 64, ScaleBytes: 2, Activation: "q16g"},
	{Name: "u4.g128", KPerStep: 8, Group: 128, ScaleBytes: 2, Activation: "q16g"},
	{Name: "u4z.g32", KPerStep: 8, Group: 32, ScaleBytes: 2, Zeros: true, Activation: "q16g"},
	{Name: "u4z.g64", KPerStep: 8, Group: 64, ScaleBytes: 2, Zeros: true, Activation: "q16g"},
	{Name: "u4z.g128", KPerStep: 8, Group: 128, ScaleBytes: 2, Zeros: true, Activation: "q16g"},
	{Name: "q2k.g256", KPerStep: 8, Group: SuperGroup, ScaleBytes: 2, Sub: 16, Offsets: true, Most: 3, Activation: "q16g"},
	{Name: "q3k.g256", KPerStep: 8, Group: SuperGroup, ScaleBytes: 2, Sub: 16, SuperZero: 4, Most: 7, Activation: "q16g"},
	{Name: "q4k.g256", KPerStep: 8, Group: SuperGroup, ScaleBytes: 2, Sub: 32, Offsets: true, Most: 15, Activation: "q16g"},
	{Name: "q5k.g256", KPerStep: 4, Group: SuperGroup, ScaleBytes: 2, Sub: 32, Offsets: true, Most: 31, Activation: "q16g"},
	{Name: "q6k.g256", KPerStep: 4, Group: SuperGroup, ScaleBytes: 2, Sub: 16, SuperZero: 32, Most: 63, Activation: "q16g"},
	{Name: "u4e.g32", KPerStep: 8, Group: 32, ScaleBytes: 1, Levels: true, Activation: "q16g"},
	{Name: "u4f.g16", KPerStep: 8, Group: 16, ScaleBytes: 1, Levels: true, Tiered: true, Activation: "q16g"},
	{Name: "nf4.g64", KPerStep: 8, Group: 64, ScaleBytes: 4, Table: &dtype.NF4, Activation: "f32"},
	{Name: "fp4.g64", KPerStep: 8, Group: 64, ScaleBytes: 4, Table: &dtype.FP4, Activation: "f32"},
	{Name: "nf4.g32", KPerStep: 8, Group: 32, ScaleBytes: 4, Table: &dtype.NF4, Activation: "f32"},
	{Name: "fp4.g32", KPerStep: 8, Group: 32, ScaleBytes: 4, Table: &dtype.FP4, Activation: "f32"},
	{Name: "nf4s.g32", KPerStep: 8, Group: 32, ScaleBytes: 4, Table: &dtype.NF4, Split: true, Activation: "f32"},
	{Name: "fp4s.g32", KPerStep: 8, Group: 32, ScaleBytes: 4, Table: &dtype.FP4, Split: true, Activation: "f32"},
	{Name: "q5m.g32", KPerStep: 8, Group: 32, ScaleBytes: 2, Fifth: fifthInOrder, Minimums: true, Activation: "f32"},
	{Name: "q4m.g32", KPerStep: 8, Group: 32, ScaleBytes: 2, Minimums: true, Activation: "q16g"},
	{Name: "q5.g32", KPerStep: 8, Group: 32, ScaleBytes: 2, Fifth: fifthInBytes, Middle: 16, Activation: "q16g"},
	{Name: "iq4.g32", KPerStep: 8, Group: 32, ScaleBytes: 2, Table: &dtype.IQ4NL, Activation: "q16g"},
	{Name: "u4o.g16", KPerStep: 8, Group: 16, ScaleBytes: 2, Ordered: true, Activation: "f32"},
	{Name: "u4o.g32", KPerStep: 8, Group: 32, ScaleBytes: 2, Ordered: true, Activation: "f32"},
	{Name: "u4o.g64", KPerStep: 8, Group: 64, ScaleBytes: 2, Ordered: true, Activation: "f32"},
	{Name: "u4o.g128", KPerStep: 8, Group: 128, ScaleBytes: 2, Ordered: true, Activation: "f32"},
	{Name: "u8o.g16", KPerStep: 4, Group: 16, ScaleBytes: 2, Ordered: true, Activation: "f32"},
	{Name: "u8o.g32", KPerStep: 4, Group: 32, ScaleBytes: 2, Ordered: true, Activation: "f32"},
	{Name: "u8o.g64", KPerStep: 4, Group: 64, ScaleBytes: 2, Ordered: true, Activation: "f32"},
	{Name: "u8o.g128", KPerStep: 4, Group: 128, ScaleBytes: 2, Ordered: true, Activation: "f32"},
	{Name: "u4.g32.s32", KPerStep: 8, Group: 32, ScaleBytes: 4, Activation: "q16g"},
	{Name: "u4.g64.s32", KPerStep: 8, Group: 64, ScaleBytes: 4, Activation: "q16g"},
	{Name: "u4.g128.s32", KPerStep: 8, Group: 128, ScaleBytes: 4, Activation: "q16g"},
	{Name: "u4z.g32.s32", KPerStep: 8, Group: 32, ScaleBytes: 4, Zeros: true, Activation: "q16g"},
	{Name: "u4z.g64.s32", KPerStep: 8, Group: 64, ScaleBytes: 4, Zeros: true, Activation: "q16g"},
	{Name: "u4z.g128.s32", KPerStep: 8, Group: 128, ScaleBytes: 4, Zeros: true, Activation: "q16g"},
}

// FindFormat returns the row named name.
func FindFormat(name string) (*Format, error) {
	for i := range Formats {
		if Formats[i].Name == name {
			return &Formats[i], nil
		}
	}
	return nil, fmt.Errorf("unknown weight layout %q", name)
}

func roundUp(n, unit int) int { return (n + unit - 1) / unit * unit }

func ceilDiv(n, d int) int { return (n + d - 1) / d }
