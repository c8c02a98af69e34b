package layout

import (
	"encoding/binary"
	"fmt"
	"math"

	"llmc/internal/dtype"
)

// Codes is what a panel of a format of codes is packed from: the rows of as many outputs as a panel has, or fewer.
type Codes struct {
	Codes  []uint8   // [rows, K]; u8: weight+128, u4: 0..15, bf16s: e4m3
	Scales []float32 // u4f: [rows, Groups+1], the output's behind those of groups; u8, u4n, e4m3, bf16s: [rows]; with groups: [rows, Groups]; K-quants: see packSuper; with minimums, or where groups are split: [rows, Groups, 2]
	Zeros  []uint8   // u4z: [rows, Groups]; u4n, K-quants: offsets; nf4s, fp4s: the first k of the second scale; else nil
	Steps  []uint8   // u4n: [rows, groups of 32]; K-quants: signed; else nil
	Index  []uint16  // u4o, u8o: [rows, K], the group of each column
}

// PackFloats packs up to 32 rows [rows, K] into a panel of an f32 or bf16 weight; bf16 rounds to nearest, ties to even.
// Missing rows are zero.
func (l Linear) PackFloats(panel []byte, rows []float32) error {
	n, err := l.rowCount(len(rows), panel)
	if err != nil {
		return err
	}
	pack, ok := floatPackers[l.Name]
	if !ok {
		return fmt.Errorf("layout %s is packed from codes, not from numbers", l.Name)
	}
	clear(panel[:l.PanelBytes()])
	for r := range n {
		pack(panel[4*r:], rows[r*l.K:(r+1)*l.K])
	}
	return nil
}

// floatPackers writes one row into a panel whose slice starts at the row's lane.
var floatPackers = map[string]func(lane []byte, row []float32){
	"f32": func(lane []byte, row []float32) {
		for k, v := range row {
			binary.LittleEndian.PutUint32(lane[k*StepBytes:], math.Float32bits(v))
		}
	},
	"bf16": func(lane []byte, row []float32) {
		for ; len(row) > 2; lane, row = lane[StepBytes:], row[2:] {
			binary.LittleEndian.PutUint32(lane, uint32(dtype.F32ToBF16(row[0]))|uint32(dtype.F32ToBF16(row[1]))<<16)
		}
		for k, v := range row {
			binary.LittleEndian.PutUint16(lane[2*k:], dtype.F32ToBF16(v))
		}
	},
}

// PackCodes packs up to 32 rows of codes into a panel of an integer weight. It refuses a scale that the layout
// cannot hold exactly. Missing rows have scale 0.
func (l Linear) PackCodes(panel []byte, c Codes) error {
	n, err := l.rowCount(len(c.Codes), panel)
	if err != nil {
		return err
	}
	if l.ScaleBytes == 0 {
		return fmt.Errorf("layout %s is packed from numbers, not from codes", l.Name)
	}
	if l.Super() {
		clear(panel[:l.PanelBytes()])
		return l.packSuper(panel, c, n)
	}
	if l.Composed() {
		clear(panel[:l.PanelBytes()])
		return l.packOpen(panel, c, n)
	}
	groups, scales := max(1, l.Groups()), l.rowScales()
	if len(c.Scales) != n*scales || l.Zeros && len(c.Zeros) != n*groups {
		return fmt.Errorf("%d rows of %s need %d scales (and zero points), got %d and %d", n, l.Name, n*scales, len(c.Scales), len(c.Zeros))
	}
	clear(panel[:l.PanelBytes()])
	switch {
	case l.Nested:
		return l.packNested(panel, c, n)
	case l.KPerStep == 2:
		l.packScaled(panel, c, n)
		return nil
	case l.Group == 0:
		return l.packU8(panel, c, n)
	case l.Tiered:
		if err := l.packOutputs(panel, c, n); err != nil {
			return err
		}
	}
	for g := range groups {
		if err := l.packGroup(panel, c, n, g); err != nil {
			return err
		}
	}
	return nil
}

func (l Linear) rowCount(elements int, panel []byte) (int, error) {
	n := elements / l.K
	if n < 1 || n > Lanes || n*l.K != elements {
		return 0, fmt.Errorf("a panel takes 1 to %d rows of %d, got %d elements", Lanes, l.K, elements)
	}
	if len(panel) < l.PanelBytes() {
		return 0, fmt.Errorf("a panel of %s [%d,%d] takes %d bytes, there are %d", l.Name, l.N, l.K, l.PanelBytes(), len(panel))
	}
	return n, nil
}

func (l Linear) packU8(panel []byte, c Codes, rows int) error {
	codes := panel[:l.ScaleOffset(0)]
	if rows < Lanes || l.K < l.KPad() {
		for i := range codes {
			codes[i] = u8Zero
		}
	}
	for r := range rows {
		lane, row := codes[4*r:], c.Codes[r*l.K:(r+1)*l.K]
		for ; len(row) > 4; lane, row = lane[StepBytes:], row[4:] {
			*(*[4]uint8)(lane) = [4]uint8(row)
		}
		copy(lane, row)
	}
	for r := range rows {
		binary.LittleEndian.PutUint32(panel[l.ScaleOffset(0)+4*r:], math.Float32bits(c.Scales[r]))
	}
	return nil
}

// packScaled packs codes of e4m3 as bf16, with their scales.
func (l Linear) packScaled(panel []byte, c Codes, rows int) {
	for r := range rows {
		for k, code := range c.Codes[r*l.K : (r+1)*l.K] {
			binary.LittleEndian.PutUint16(panel[l.StepOffset(k)+4*r+k%2*2:], dtype.F32ToBF16(dtype.E4M3ToF32(code)))
		}
	}
	groups := max(1, l.Groups())
	for i, scale := range c.Scales {
		binary.LittleEndian.PutUint32(panel[l.ScaleOffset(i%groups)+4*(i/groups):], math.Float32bits(scale))
	}
}

// packGroup packs group g of every row.
func (l Linear) packGroup(panel []byte, c Codes, rows, g int) error {
	lo, hi := g*l.Group, min(l.K, (g+1)*l.Group)
	steps := panel[l.StepOffset(lo):][:l.GroupK(g)/l.KPerStep*StepBytes]
	groups := l.Groups()
	for r := range Lanes {
		zero := uint8(u4Zero)
		if l.Levels {
			zero = 0
		}
		if l.Zeros {
			zero = 0
			if r < rows {
				zero = c.Zeros[r*groups+g]
			}
			panel[l.ZeroOffset(g)+r] = zero
		}
		if zero > 15 {
			return fmt.Errorf("row %d, group %d: zero point %d is above 15", r, g, zero)
		}
		row := []uint8(nil)
		if r < rows {
			row = c.Codes[r*l.K+lo : r*l.K+hi]
			if err := l.putScale(panel[l.ScaleOffset(g)+r*l.ScaleBytes:], c.Scales[r*l.rowScales()+g]); err != nil {
				return fmt.Errorf("row %d, group %d: %w", r, g, err)
			}
		}
		if err := packNibbles(steps[4*r:], row, l.GroupK(g), zero); err != nil {
			return fmt.Errorf("row %d, group %d: %w", r, g, err)
		}
	}
	return nil
}

// packNibbles stores one lane of a group: row, then zero up to k codes.
func packNibbles(lane []byte, row []uint8, k int, zero uint8) error {
	var above uint8
	code := func(i int) uint8 {
		if i >= len(row) {
			return zero
		}
		above |= row[i]
		return row[i]
	}
	s, wide := 0, uint64(0)
	for ; s+8 <= len(row); s += 8 { // a dword has its 8 codes' first four in the lower halves of its bytes
		eight := binary.LittleEndian.Uint64(row[s:])
		wide |= eight
		binary.LittleEndian.PutUint32(lane[s/8*StepBytes:], uint32(eight&0x0f0f0f0f)|uint32(eight>>32&0x0f0f0f0f)<<4)
	}
	for ; s < k; s += 8 {
		dword := lane[s/8*StepBytes:][:4]
		for j := range dword {
			dword[j] = code(s+j)&15 | code(s+4+j)<<4
		}
	}
	if above > 15 || wide&0xf0f0f0f0f0f0f0f0 != 0 {
		return fmt.Errorf("a code is above 15")
	}
	return nil
}

func (l Linear) putScale(dst []byte, scale float32) error {
	if l.Tiered {
		return putPart(dst, scale)
	}
	if l.Levels {
		return putExponent(dst, scale)
	}
	if l.ScaleBytes == 4 {
		binary.LittleEndian.PutUint32(dst, math.Float32bits(scale))
		return nil
	}
	h := dtype.F32ToF16(scale)
	if dtype.F16ToF32(h) != scale {
		return fmt.Errorf("scale %g is not a half-precision number; use layout %s.s32", scale, l.Name)
	}
	binary.LittleEndian.PutUint16(dst, h)
	return nil
}
