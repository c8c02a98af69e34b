package layout

import (
	"encoding/binary"
	"math"

	"llmc/internal/dtype"
)

// Row writes the K numbers of output n of the packed weight into dst: the meaning of the packed bytes, and the
// reference of the kernels that gather rows. Integer formats give f32(code - zero) * scale, rounded once.
func (l Linear) Row(dst []float32, data []byte, n int) { l.row(dst, l.Panel(data, n/Lanes), n%Lanes) }

// UnpackPanel writes the 32 rows of a panel, padding rows included, into dst [32, K].
func (l Linear) UnpackPanel(dst []float32, panel []byte) {
	for r := range Lanes {
		l.row(dst[r*l.K:], panel, r)
	}
}

func (l Linear) at(panel []byte, lane, k int) float32 {
	g := 0
	if l.Group > 0 {
		g = k / l.Group
	}
	switch {
	case l.Super():
		return l.superNumber(panel, lane, k)
	case l.Composed():
		return l.openNumber(panel, lane, k)
	case l.KPerStep == 2:
		return dtype.BF16ToF32(binary.LittleEndian.Uint16(panel[l.StepOffset(k)+4*lane+k%2*2:])) * l.Scale(panel, lane, g)
	case l.Levels:
		return float32(Level(l.Code(panel, lane, k))) * l.Scale(panel, lane, g)
	case l.ScaleBytes > 0:
		return float32(int(l.Code(panel, lane, k))-l.Zero(panel, lane, g)) * l.Scale(panel, lane, g)
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(panel[l.StepOffset(k)+4*lane:]))
}

// Code returns the code of an integer weight as stored; of u4n the byte that it stands for.
func (l Linear) Code(panel []byte, lane, k int) uint8 {
	switch {
	case l.Super():
		return l.superCode(panel, lane, k)
	case l.Nested:
		return l.nestedCode(panel, lane, k)
	case l.Composed():
		return l.openCode(panel, lane, k)
	case l.Group == 0:
		return panel[l.StepOffset(k)+4*lane+k%4]
	}
	return l.nibble(panel, lane, k)
}

func (l Linear) nibble(panel []byte, lane, k int) uint8 {
	return panel[l.StepOffset(k)+4*lane+k%4] >> (k % 8 / 4 * 4) & 15
}

// Zero returns the code that stands for the weight 0 in group g.
func (l Linear) Zero(panel []byte, lane, g int) int {
	switch {
	case l.Levels:
		return 0
	case l.Zeros:
		return int(panel[l.ZeroOffset(g)+lane])
	case l.Group > 0:
		return u4Zero
	}
	return u8Zero
}

// Scale returns the scale of group g (0 for u8), of levels half of it, 1 for float formats.
func (l Linear) Scale(panel []byte, lane, g int) float32 {
	if l.ScaleBytes == 0 {
		return 1
	}
	b := panel[l.ScaleOffset(g)+lane*l.ScaleBytes:]
	if l.Tiered {
		return float32(PartScale(b[0]) * l.outputScale(panel, lane))
	}
	if l.Levels {
		return halfScale(b[0])
	}
	if l.ScaleBytes == 2 {
		return dtype.F16ToF32(binary.LittleEndian.Uint16(b))
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(b))
}
