package layout

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"llmc/internal/dtype"
)

// half is how many rows lie in one register of a fragment: a lane has rows g and g+8.
const half = FragmentRows / 2

// PackFloats writes a panel of frag.bf16 or frag.f16 from rows [up to 16, K]; missing rows are zero.
func (f Fragments) PackFloats(panel []byte, rows []float32) error {
	if f.ScaleBytes != 0 {
		return fmt.Errorf("layout %s holds codes", f.Name)
	}
	if _, err := f.rowCount(len(rows), panel); err != nil {
		return err
	}
	bits := halves[f.Element].bits
	if i := slices.IndexFunc(rows, func(v float32) bool { return f.Element == "f16" && math.Abs(float64(v)) > mostF16 }); i >= 0 {
		return fmt.Errorf("number %v in column %d is beyond the range of f16; use bf16", rows[i], i%f.K)
	}
	var pad [FragmentRows * 16]float32
	for i := range f.KPad() / f.Depth {
		packHalves((*[fragmentBytes]byte)(panel[i*fragmentBytes:]), fragmentRows(&f, i, rows, pad[:], 0), bits)
	}
	clear(panel[f.ScaleOffset(0):f.PanelBytes()])
	return nil
}

// PackCodes writes a panel from the codes, scales and zero points of up to 16 rows; codes of 8 bits that are integers come with 128 added.
// Missing rows and the k behind K have the code of zero; where zero points are stored, code 0.
func (f Fragments) PackCodes(panel []byte, c Codes) error {
	if f.ScaleBytes == 0 {
		return fmt.Errorf("layout %s holds numbers", f.Name)
	}
	n, err := f.rowCount(len(c.Codes), panel)
	if err != nil {
		return err
	}
	groups := f.groups(f.K)
	if len(c.Scales) != n*groups || f.Zeros && len(c.Zeros) != n*groups {
		return fmt.Errorf("%d rows of %s need %d scales (and zero points), got %d and %d", n, f.Name, n*groups, len(c.Scales), len(c.Zeros))
	}
	packer := codePackers[f.Element]
	if f.Zeros {
		packer.zero = 0
	}
	var pad [FragmentRows * 64]byte
	for i := range f.KPad() / f.Depth {
		if !packer.pack((*[fragmentBytes]byte)(panel[i*fragmentBytes:]), fragmentRows(&f, i, c.Codes, pad[:], packer.zero)) {
			return fmt.Errorf("a code of columns %d to %d is above 15", i*f.Depth, (i+1)*f.Depth)
		}
	}
	clear(panel[f.ScaleOffset(0):f.PanelBytes()])
	return f.putScales(panel, c, groups)
}

// codePackers is indexed by what is stored of a weight: how a fragment is written, which tells whether the codes are in range, and the
// code of zero.
var codePackers = map[string]struct {
	pack func(dst *[fragmentBytes]byte, rows [FragmentRows][]byte) bool
	zero byte
}{
	"u8":   {packU8, u8Zero},
	"s8":   {packS8, u8Zero},
	"e4m3": {packE4M3, 0},
	"u4":   {packU4, u4Zero},
}

func (f Fragments) rowCount(elements int, panel []byte) (int, error) {
	n := elements / f.K
	if n < 1 || n > FragmentRows || n*f.K != elements {
		return 0, fmt.Errorf("a panel takes 1 to %d rows of %d, got %d elements", FragmentRows, f.K, elements)
	}
	if len(panel) < f.PanelBytes() {
		return 0, fmt.Errorf("a panel of %s [%d,%d] takes %d bytes, there are %d", f.Name, f.N, f.K, f.PanelBytes(), len(panel))
	}
	return n, nil
}

// fragmentRows returns what each row has in fragment i. What rows do not have is taken from pad, filled up with fill.
func fragmentRows[T float32 | byte](f *Fragments, i int, rows, pad []T, fill T) (out [FragmentRows][]T) {
	lo := i * f.Depth
	for r := range out {
		start := r*f.K + lo
		if lo+f.Depth <= f.K && start < len(rows) {
			out[r] = rows[start : start+f.Depth]
			continue
		}
		out[r] = pad[r*f.Depth : (r+1)*f.Depth]
		n := 0
		if lo < f.K && start < len(rows) {
			n = copy(out[r], rows[start:(r+1)*f.K])
		}
		for k := n; k < f.Depth; k++ {
			out[r][k] = fill
		}
	}
	return out
}

// mostF16 is what the largest f16 is for: numbers beyond it are rounded to infinity.
const mostF16 = 65504 + 16 - 1.0/1024

// packHalves writes one step: of lane 4g+t the pairs k = 2t of row g, of row g+8, then k = 2t+8 of both.
func packHalves(dst *[fragmentBytes]byte, rows [FragmentRows][]float32, bits func(float32) uint16) {
	pair := func(x, y float32) uint32 { return uint32(bits(x)) | uint32(bits(y))<<16 }
	for g := range half {
		a, b := (*[16]float32)(rows[g]), (*[16]float32)(rows[g+half])
		for t := range 4 {
			lane := dst[(4*g+t)*16:][:16]
			binary.LittleEndian.PutUint64(lane, uint64(pair(a[2*t], a[2*t+1]))|uint64(pair(b[2*t], b[2*t+1]))<<32)
			binary.LittleEndian.PutUint64(lane[8:], uint64(pair(a[2*t+8], a[2*t+9]))|uint64(pair(b[2*t+8], b[2*t+9]))<<32)
		}
	}
}

// packU8 writes two steps, each like one of packHalves with a byte for an element. Any code is right.
func packU8(dst *[fragmentBytes]byte, rows [FragmentRows][]byte) bool {
	for g := range half {
		a, b := (*[32]byte)(rows[g]), (*[32]byte)(rows[g+half])
		for step := range 2 {
			a0, a1 := binary.LittleEndian.Uint64(a[16*step:]), binary.LittleEndian.Uint64(a[16*step+8:])
			b0, b1 := binary.LittleEndian.Uint64(b[16*step:]), binary.LittleEndian.Uint64(b[16*step+8:])
			for t := range 4 {
				binary.LittleEndian.PutUint64(dst[(4*g+t)*16+8*step:], a0&0xffff|b0&0xffff<<16|a1&0xffff<<32|b1<<48)
				a0, a1, b0, b1 = a0>>16, a1>>16, b0>>16, b1>>16
			}
		}
	}
	return true
}

// packE4M3 writes what mma.m16n8k32 takes: of lane 4g+t k = 4t.. of row g, of row g+8, then k = 4t+16.. of both. Any code is right.
func packE4M3(dst *[fragmentBytes]byte, rows [FragmentRows][]byte) bool {
	for g := range half {
		a, b := (*[32]byte)(rows[g]), (*[32]byte)(rows[g+half])
		for t := range 4 {
			lane := dst[(4*g+t)*16:][:16]
			copy(lane, a[4*t:4*t+4])
			copy(lane[4:], b[4*t:4*t+4])
			copy(lane[8:], a[4*t+16:4*t+20])
			copy(lane[12:], b[4*t+16:4*t+20])
		}
	}
	return true
}

// packS8 writes the same of codes less 128, as signed bytes.
func packS8(dst *[fragmentBytes]byte, rows [FragmentRows][]byte) bool {
	packE4M3(dst, rows)
	for i := 0; i < fragmentBytes; i += 8 {
		binary.LittleEndian.PutUint64(dst[i:], binary.LittleEndian.Uint64(dst[i:])^0x8080808080808080)
	}
	return true
}

// packU4 writes four steps, a word of each for a lane: the bytes k = 2t, 2t+8, 2t+1, 2t+9, row g in the low half of each and row g+8
// in the high one. It tells whether all codes are below 16.
func packU4(dst *[fragmentBytes]byte, rows [FragmentRows][]byte) bool {
	const high = 0xf0f0f0f0f0f0f0f0
	above := uint64(0)
	for g := range half {
		a, b := (*[64]byte)(rows[g]), (*[64]byte)(rows[g+half])
		for step := range 4 {
			a0, a1 := binary.LittleEndian.Uint64(a[16*step:]), binary.LittleEndian.Uint64(a[16*step+8:])
			b0, b1 := binary.LittleEndian.Uint64(b[16*step:]), binary.LittleEndian.Uint64(b[16*step+8:])
			above |= (a0 | a1 | b0 | b1) & high
			near, far := a0|b0<<4, a1|b1<<4
			for t := range 4 {
				word := uint32(near&0xff|near&0xff00<<8) | uint32(far&0xff|far&0xff00<<8)<<8
				binary.LittleEndian.PutUint32(dst[(4*g+t)*16+4*step:], word)
				near, far = near>>16, far>>16
			}
		}
	}
	return above == 0
}

// putScales writes scales and zero points; those of missing rows and groups are zero already.
func (f Fragments) putScales(panel []byte, c Codes, groups int) error {
	for i, s := range c.Scales {
		row, g := i/groups, i%groups
		if first := row / f.ScaleRows * f.ScaleRows; c.Scales[first*groups+g] != s {
			return fmt.Errorf("group %d: scale %v of row %d differs from %v of row %d, which shares it", g, s, row, c.Scales[first*groups+g], first)
		}
		at := f.scaleAt(row, g)
		if f.ScaleBytes == 4 {
			binary.LittleEndian.PutUint32(panel[at:], math.Float32bits(s))
			continue
		}
		short := dtype.F32ToF16(s)
		if dtype.F16ToF32(short) != s {
			return fmt.Errorf("scale %v of row %d is not a number of 16 bits", s, row)
		}
		binary.LittleEndian.PutUint16(panel[at:], short)
	}
	if !f.Zeros {
		return nil
	}
	for i, z := range c.Zeros {
		if z > 15 {
			return fmt.Errorf("row %d, group %d: zero point %d is above 15", i/groups, i%groups, z)
		}
		panel[f.ZeroOffset(i%groups)+i/groups] = z
	}
	return nil
}
