package layout

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"llmc/internal/dtype"
)

// Panels of codes that stand for levels, have a fifth bit or minimums: each group has, for every output,
//
//	steps of codes' lower four bits, [Gp/32][32] u32 of their fifth bits, [32] scales, [32] minimums or second scales, [32] u8 the first k of these
//
// without those that the format lacks. A code stands for Table[code], or itself less Middle, times the scale, plus the minimum. Formats whose inputs are codes are multiplied as whole
// numbers, as those of int4 are. Of others kernels make f32 of a part of a panel at a time and multiply that with inputs in f32, so that products are those of the very numbers that the
// checkpoint stands for.

// fifthUnit is how many codes have their fifth bits in one word.
const fifthUnit = 32

// fifthBits says which bit of a word is the fifth one of a code.
type fifthBits uint8

const (
	noFifth      fifthBits = iota
	fifthInOrder           // bit k%32
	fifthInBytes           // of byte k%4, where a step has the lower bits: bit k%32/4
)

// Present tells whether codes have a fifth bit.
func (f fifthBits) Present() bool { return f != noFifth }

// Bit returns the bit of the word of k and its neighbours.
func (f fifthBits) Bit(k int) int {
	if f == fifthInOrder {
		return k % fifthUnit
	}
	return k%4*8 + k%fifthUnit/4
}

// Composed tells whether numbers are put together of more than codes, scales and zero points.
func (f *Format) Composed() bool {
	return f.Table != nil || f.Fifth != noFifth || f.Minimums || f.Ordered || f.Float8
}

// Opened tells whether kernels make f32 of panels before they multiply them.
func (f *Format) Opened() bool { return f.Composed() && f.Activation == "f32" }

// float8Offset returns where e4m3 of k and the first output lies.
func (l Linear) float8Offset(k int) int { return l.StepOffset(k) + k%l.KPerStep*Lanes }

// openCode is code k of an output.
func (l Linear) openCode(panel []byte, lane, k int) uint8 {
	if l.Float8 {
		return panel[l.float8Offset(k)+lane]
	}
	if l.KPerStep == 4 {
		return panel[l.StepOffset(k)+4*lane+k%4]
	}
	code := l.nibble(panel, lane, k)
	if l.Fifth != noFifth {
		code |= uint8(binary.LittleEndian.Uint32(panel[l.fifthOffset(k)+4*lane:])>>l.Fifth.Bit(k)&1) << 4
	}
	return code
}

// fifthOffset returns where the fifth bits of k and its neighbours start.
func (l Linear) fifthOffset(k int) int {
	g := k / l.Group
	return l.StepOffset(g*l.Group) + l.GroupK(g)/l.KPerStep*StepBytes + k%l.Group/fifthUnit*StepBytes
}

// openNumber is the number that code k of an output stands for. With minimums the product is exact, so it is rounded once.
func (l Linear) openNumber(panel []byte, lane, k int) float32 {
	if l.Ordered {
		return l.orderedNumber(panel, lane, k)
	}
	g, code := 0, l.openCode(panel, lane, k)
	if l.Group > 0 {
		g = k / l.Group
	}
	if l.Float8 {
		return float32(dtype.E4M3ToF32(code) * l.Scale(panel, lane, g))
	}
	v := float32(int(code) - l.Middle)
	if l.Table != nil {
		v = l.Table[code]
	}
	scale := l.Scale(panel, lane, g)
	if at := panel[l.ScaleOffset(g):]; l.Split && k%l.Group >= int(at[2*Lanes*l.ScaleBytes+lane]) {
		scale = l.openMinimum(panel, lane, g)
	}
	v = float32(v * scale)
	if l.Minimums {
		v += l.openMinimum(panel, lane, g)
	}
	return v
}

// openMinimum is what follows the scale of a group: its minimum, or second scale.
func (l Linear) openMinimum(panel []byte, lane, g int) float32 {
	b := panel[l.ScaleOffset(g)+Lanes*l.ScaleBytes+lane*l.ScaleBytes:]
	if l.ScaleBytes == 2 {
		return dtype.F16ToF32(binary.LittleEndian.Uint16(b))
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(b))
}

// packOpen packs rows of codes; scales are [rows, Groups], with minimums, or where groups are split, [rows, Groups, 2].
func (l Linear) packOpen(panel []byte, c Codes, rows int) error {
	groups, scales := l.Groups(), 1
	switch {
	case l.Ordered:
		return l.packOrdered(panel, c, rows)
	case l.Float8:
		return l.packFloat8(panel, c, rows)
	}
	if l.Minimums || l.Split {
		scales = 2
	}
	if len(c.Scales) != rows*groups*scales || l.Split && len(c.Zeros) != rows*groups {
		return fmt.Errorf("%d rows of %s need %d scales (and minimums, or where groups are split), got %d and %d", rows, l.Name, rows*groups*scales, len(c.Scales), len(c.Zeros))
	}
	for r := range rows {
		for g := range groups {
			for i, scale := range c.Scales[(r*groups+g)*scales:][:scales] {
				at := l.ScaleOffset(g) + (i*Lanes+r)*l.ScaleBytes
				if err := l.putScale(panel[at:], scale); err != nil {
					return fmt.Errorf("row %d, group %d: %w", r, g, err)
				}
			}
			if l.Split {
				panel[l.ScaleOffset(g)+2*Lanes*l.ScaleBytes+r] = c.Zeros[r*groups+g]
			}
			lo, hi := g*l.Group, min(l.K, (g+1)*l.Group)
			if err := l.packOpenCodes(panel[l.StepOffset(lo)+4*r:], c.Codes[r*l.K+lo:r*l.K+hi], l.GroupK(g)); err != nil {
				return fmt.Errorf("row %d, group %d: %w", r, g, err)
			}
		}
	}
	return nil
}

// packFloat8 packs rows of e4m3; scales are [rows, Groups], or [rows].
func (l Linear) packFloat8(panel []byte, c Codes, rows int) error {
	groups := max(1, l.Groups())
	if len(c.Scales) != rows*groups {
		return fmt.Errorf("%d rows of %s need %d scales, got %d", rows, l.Name, rows*groups, len(c.Scales))
	}
	for r := range rows {
		for k, code := range c.Codes[r*l.K : (r+1)*l.K] {
			panel[l.float8Offset(k)+r] = code
		}
		for g := range groups {
			if err := l.putScale(panel[l.ScaleOffset(g)+r*l.ScaleBytes:], c.Scales[r*groups+g]); err != nil {
				return fmt.Errorf("row %d, group %d: %w", r, g, err)
			}
		}
	}
	return nil
}

// packOpenCodes stores one lane of a group, k codes with the padding.
func (l Linear) packOpenCodes(lane []byte, row []uint8, k int) error {
	if l.Fifth == noFifth {
		zero := 0
		if l.Table != nil { // padding meets inputs of zero; where no level is, any will do
			zero = max(0, slices.Index(l.Table[:], 0))
		}
		return packNibbles(lane, row, k, uint8(zero))
	}
	fifth := lane[k/l.KPerStep*StepBytes:]
	for i := range k {
		code := uint8(l.Middle)
		if i < len(row) {
			code = row[i]
		}
		if code > 31 {
			return fmt.Errorf("code %d is above 31", code)
		}
		bit := l.Fifth.Bit(i)
		lane[i/8*StepBytes+i%4] |= code & 15 << (i % 8 / 4 * 4)
		fifth[i/fifthUnit*StepBytes+bit/8] |= code >> 4 << (bit % 8)
	}
	return nil
}
