package layout

import (
	"encoding/binary"
	"fmt"
	"math"

	"llmc/internal/dtype"
)

// FragmentRows is the number of outputs of a panel of fragments: the rows of operand A of a matrix instruction.
const FragmentRows = 16

// fragmentBytes is what the 32 lanes of a warp load at a time, 16 bytes each.
const fragmentBytes = 32 * 16

// FragmentFormat is one way to store a linear weight for matrix instructions of GPUs.
type FragmentFormat struct {
	Name       string
	Element    string // "bf16", "f16", "u8", "s8", "e4m3" or "u4": what is stored of a weight
	Depth      int    // k of a fragment: 16, 32 or 64, by the size of an element
	Group      int    // k covered by one scale; 0: no scale, or one per output (frag.u8, frag.s8, frag.e4m3)
	ScaleBytes int
	ScaleRows  int // outputs that share a scale
	Zeros      bool
}

// FragmentFormats lists every format of fragments.
//
// A weight [N, K] is cut into panels of 16 outputs. A panel holds a fragment for each Depth of k, in order: 512 bytes, 16 for each
// lane. Lane 4g+t has the elements that mma.m16n8k16 wants of operand A ("Parallel Thread Execution ISA", matrix fragments for
// mma.m16n8k16): in register i of a step of 16 k, row g + 8*(i%2), k 2t and 2t+1, + 8*(i/2).
//
//	frag.bf16     one step; 4 registers of two bf16
//	frag.f16      the same of f16
//	frag.u8       two steps; of each 4 registers' pairs of code+128, a byte each; after the fragments [16] f32 scales
//	frag.e4m3     see below; after the fragments [16] f32 scales
//	frag.e4m3.gG  the same fragments; then [groups][4] f32 scales, each of four outputs
//	frag.s8       fragments as those of frag.e4m3, of code as a signed byte; then [16] f32 scales
//	frag.u4.gG    four steps, a word each: register i's pair of codes in bits 4i.. and 16+4i..; after the fragments [groups][16] f16
//	              scales; zero point 8
//	frag.u4z.gG   the same, and then [groups][16] u8 zero points, padded to 64 bytes
//
// A fragment of frag.e4m3 is operand A of mma.m16n8k32 of 8-bit floating point (in the same section): register i has row g + 8*(i%2), k 4t to
// 4t+3, + 16*(i/2). Units that multiply bf16 take it as two steps of 16 k: registers 0 and 1, then 2 and 3, where a lane has four neighbouring k
// instead of two and two.
//
// K is padded to a multiple of 64 and N to 16 with weights that are zero.
var FragmentFormats = []FragmentFormat{
	{Name: "frag.bf16", Element: "bf16", Depth: 16},
	{Name: "frag.f16", Element: "f16", Depth: 16},
	{Name: "frag.u8", Element: "u8", Depth: 32, ScaleBytes: 4, ScaleRows: 1},
	{Name: "frag.s8", Element: "s8", Depth: 32, ScaleBytes: 4, ScaleRows: 1},
	{Name: "frag.e4m3", Element: "e4m3", Depth: 32, ScaleBytes: 4, ScaleRows: 1},
	{Name: "frag.e4m3.g128", Element: "e4m3", Depth: 32, Group: 128, ScaleBytes: 4, ScaleRows: 4},
	{Name: "frag.u4.g32", Element: "u4", Depth: 64, Group: 32, ScaleBytes: 2, ScaleRows: 1},
	{Name: "frag.u4.g64", Element: "u4", Depth: 64, Group: 64, ScaleBytes: 2, ScaleRows: 1},
	{Name: "frag.u4.g128", Element: "u4", Depth: 64, Group: 128, ScaleBytes: 2, ScaleRows: 1},
	{Name: "frag.u4z.g32", Element: "u4", Depth: 64, Group: 32, ScaleBytes: 2, ScaleRows: 1, Zeros: true},
	{Name: "frag.u4z.g64", Element: "u4", Depth: 64, Group: 64, ScaleBytes: 2, ScaleRows: 1, Zeros: true},
	{Name: "frag.u4z.g128", Element: "u4", Depth: 64, Group: 128, ScaleBytes: 2, ScaleRows: 1, Zeros: true},
}

// Fragments describes one weight [N, K] in fragments.
type Fragments struct {
	*FragmentFormat
	N, K int

	inFragment func(row, k int) (at, shift int) // where an element lies in its fragment
	number     func(code uint8) float32         // what a code stands for at scale one, where zero points are not stored; nil for numbers of 16 bits
	half       func(bits uint16) float32        // a number of 16 bits; nil for codes
}

// NewFragments describes a weight [n, k].
func NewFragments(format string, n, k int) (Fragments, error) {
	if n < 1 || n > maxN || k < 1 || k > maxK {
		return Fragments{}, fmt.Errorf("weight of %d x %d: sizes must be within 1..%d and 1..%d", n, k, maxN, maxK)
	}
	for i := range FragmentFormats {
		if f := &FragmentFormats[i]; f.Name == format {
			return Fragments{f, n, k, places[f.Element], codeNumbers[f.Element], halves[f.Element].number}, nil
		}
	}
	return Fragments{}, fmt.Errorf("unknown weight layout %q", format)
}

// KPad returns the k that a panel stores, padding included.
func (f Fragments) KPad() int { return roundUp(f.K, rowUnit) }

// Panels returns the number of panels.
func (f Fragments) Panels() int { return ceilDiv(f.N, FragmentRows) }

// PanelRows returns 16.
func (f Fragments) PanelRows() int { return FragmentRows }

// Rows returns the rows of a panel.
func (f Fragments) Rows(panel int) (lo, hi int) {
	return panel * FragmentRows, min(f.N, (panel+1)*FragmentRows)
}

// Groups returns the number of scales that are stored for a row: those of the padding are zero.
func (f Fragments) Groups() int { return f.groups(f.KPad()) }

func (f Fragments) groups(k int) int {
	switch {
	case f.ScaleBytes == 0:
		return 0
	case f.Group == 0:
		return 1
	}
	return ceilDiv(k, f.Group)
}

// ScaleOffset returns where the scales of group g start in a panel.
func (f Fragments) ScaleOffset(g int) int {
	return f.KPad()/f.Depth*fragmentBytes + g*f.GroupBytes()
}

// GroupBytes returns the size of a panel's scales of one group.
func (f Fragments) GroupBytes() int {
	if f.ScaleBytes == 0 {
		return 0
	}
	return FragmentRows / f.ScaleRows * f.ScaleBytes
}

// scaleAt returns where the scale of a row of group g lies in a panel.
func (f Fragments) scaleAt(row, g int) int {
	return f.ScaleOffset(g) + row/f.ScaleRows*f.ScaleBytes
}

// ZeroOffset returns where the zero points of group g start in a panel.
func (f Fragments) ZeroOffset(g int) int {
	return roundUp(f.ScaleOffset(f.Groups()), Align) + g*FragmentRows
}

// PanelBytes returns the size of a panel, a multiple of Align.
func (f Fragments) PanelBytes() int {
	if f.Zeros {
		return roundUp(f.ZeroOffset(f.Groups()), Align)
	}
	return roundUp(f.ScaleOffset(f.Groups()), Align)
}

// Bytes returns the size of the weight.
func (f Fragments) Bytes() int { return f.Panels() * f.PanelBytes() }

// place returns where the element (row, k) of a panel lies: the first bit, counted in bytes and bits.
func (f Fragments) place(row, k int) (at, shift int) {
	at, shift = f.inFragment(row, k%f.Depth)
	return at + k/f.Depth*fragmentBytes, shift
}

// places is indexed by what is stored of a weight. A function says where an element lies in its fragment.
var places = map[string]func(row, k int) (at, shift int){
	"bf16": halfPlace,
	"f16":  halfPlace,
	"u8": func(row, k int) (at, shift int) {
		lane, register := pairPlace(row, k)
		return lane*16 + k/16*8 + 2*register + k%2, 0
	},
	"s8":   quadPlace,
	"e4m3": quadPlace,
	"u4": func(row, k int) (at, shift int) {
		lane, register := pairPlace(row, k)
		bit := 4*register + k%2*16
		return lane*16 + k/16*4 + bit/8, bit % 8
	},
}

// halfPlace returns where an element of 16 bits lies in its fragment.
func halfPlace(row, k int) (at, shift int) {
	lane, register := pairPlace(row, k)
	return lane*16 + 4*register + k%2*2, 0
}

// quadPlace returns where an element of mma.m16n8k32 lies in its fragment.
func quadPlace(row, k int) (at, shift int) {
	lane, register := 4*(row%8)+k%16/4, row/8+k/16*2
	return lane*16 + 4*register + k%4, 0
}

// pairPlace returns which lane and which register of a step of 16 k has an element of mma.m16n8k16.
func pairPlace(row, k int) (lane, register int) { return 4*(row%8) + k%8/2, row/8 + k%16/8*2 }

// Code returns the code of a weight as stored.
func (f Fragments) Code(panel []byte, row, k int) uint8 {
	at, shift := f.place(row, k)
	if f.Depth == 32 {
		return panel[at]
	}
	return panel[at] >> shift & 15
}

// Row writes the K numbers of output n into dst: the meaning of the packed bytes.
func (f Fragments) Row(dst []float32, data []byte, n int) {
	panel := data[n/FragmentRows*f.PanelBytes():][:f.PanelBytes()]
	row := n % FragmentRows
	for k := range f.K {
		dst[k] = f.at(panel, row, k)
	}
}

func (f Fragments) at(panel []byte, row, k int) float32 {
	if f.ScaleBytes == 0 {
		at, _ := f.place(row, k)
		return f.half(binary.LittleEndian.Uint16(panel[at:]))
	}
	g := 0
	if f.Group > 0 {
		g = k / f.Group
	}
	value := f.number(f.Code(panel, row, k))
	if f.Zeros {
		value += float32(u4Zero - int(panel[f.ZeroOffset(g)+row]))
	}
	at := f.scaleAt(row, g)
	if f.ScaleBytes == 2 {
		return value * dtype.F16ToF32(binary.LittleEndian.Uint16(panel[at:]))
	}
	return value * math.Float32frombits(binary.LittleEndian.Uint32(panel[at:]))
}

// codeNumbers is indexed by what is stored of a weight: what a code stands for at scale one, where zero points are not stored.
var codeNumbers = map[string]func(code uint8) float32{
	"u8":   func(code uint8) float32 { return float32(int(code) - u8Zero) },
	"s8":   func(code uint8) float32 { return float32(int8(code)) },
	"e4m3": dtype.E4M3ToF32,
	"u4":   func(code uint8) float32 { return float32(int(code) - u4Zero) },
}

// halves is indexed by what is stored of a weight: how numbers of 16 bits are made and read.
var halves = map[string]struct {
	bits   func(f float32) uint16
	number func(bits uint16) float32
}{
	"bf16": {dtype.F32ToBF16, dtype.BF16ToF32},
	"f16":  {dtype.F32ToF16, dtype.F16ToF32},
}
