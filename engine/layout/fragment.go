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
	Depth      int // k of a fragment: 16, 32 or 64, by the size of an element
	Group      int // k covered by one scale; 0: no scale, or one per output (frag.u8)
	ScaleBytes int
	Zeros      bool
}

// FragmentFormats lists every format of fragments.
//
// A weight [N, K] is cut into panels of 16 outputs. A panel holds a fragment for each Depth of k, in order: 512 bytes, 16 for each
// lane. Lane 4g+t has the elements that mma.m16n8k16 wants of operand A ("Parallel Thread Execution ISA", matrix fragments for
// mma.m16n8k16): in register i of a step of 16 k, row g + 8*(i%2), k 2t and 2t+1, + 8*(i/2).
//
//	frag.bf16     one step; 4 registers of two bf16
//	frag.u8       two steps; of each 4 registers' pairs of code+128, a byte each; after the fragments [16] f32 scales
//	frag.u4.gG    four steps, a word each: register i's pair of codes in bits 4i.. and 16+4i..; after the fragments [groups][16] f16
//	              scales; zero point 8
//	frag.u4z.gG   the same, and then [groups][16] u8 zero points, padded to 64 bytes
//
// K is padded to a multiple of 64 and N to 16 with weights that are zero.
var FragmentFormats = []FragmentFormat{
	{Name: "frag.bf16", Depth: 16},
	{Name: "frag.u8", Depth: 32, ScaleBytes: 4},
	{Name: "frag.u4.g32", Depth: 64, Group: 32, ScaleBytes: 2},
	{Name: "frag.u4.g64", Depth: 64, Group: 64, ScaleBytes: 2},
	{Name: "frag.u4.g128", Depth: 64, Group: 128, ScaleBytes: 2},
	{Name: "frag.u4z.g32", Depth: 64, Group: 32, ScaleBytes: 2, Zeros: true},
	{Name: "frag.u4z.g64", Depth: 64, Group: 64, ScaleBytes: 2, Zeros: true},
	{Name: "frag.u4z.g128", Depth: 64, Group: 128, ScaleBytes: 2, Zeros: true},
}

// Fragments describes one weight [N, K] in fragments.
type Fragments struct {
	*FragmentFormat
	N, K int
}

// NewFragments describes a weight [n, k].
func NewFragments(format string, n, k int) (Fragments, error) {
	if n < 1 || n > maxN || k < 1 || k > maxK {
		return Fragments{}, fmt.Errorf("weight of %d x %d: sizes must be within 1..%d and 1..%d", n, k, maxN, maxK)
	}
	for i := range FragmentFormats {
		if f := &FragmentFormats[i]; f.Name == format {
			return Fragments{f, n, k}, nil
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
	return f.KPad()/f.Depth*fragmentBytes + g*FragmentRows*f.ScaleBytes
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
	g, kk := row%8, k%16
	lane := 4*g + kk%8/2
	register := row/8 + kk/8*2
	step := k % f.Depth / 16
	at = k/f.Depth*fragmentBytes + lane*16
	switch f.Depth {
	case 16:
		return at + 4*register + kk%2*2, 0
	case 32:
		return at + 8*step + 2*register + kk%2, 0
	}
	bit := 4*register + kk%2*16
	return at + 4*step + bit/8, bit % 8
}

// Code returns the code of an integer weight as stored.
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
		return dtype.BF16ToF32(binary.LittleEndian.Uint16(panel[at:]))
	}
	g, zero := 0, u8Zero
	if f.Group > 0 {
		g, zero = k/f.Group, u4Zero
	}
	if f.Zeros {
		zero = int(panel[f.ZeroOffset(g)+row])
	}
	value := float32(int(f.Code(panel, row, k)) - zero)
	at := f.ScaleOffset(g) + row*f.ScaleBytes
	if f.ScaleBytes == 2 {
		return value * dtype.F16ToF32(binary.LittleEndian.Uint16(panel[at:]))
	}
	return value * math.Float32frombits(binary.LittleEndian.Uint32(panel[at:]))
}
