package layout

import (
	"encoding/binary"
	"fmt"
	"math"

	"llmc/internal/dtype"
)

// Level is twice what a code of e2m1 stands for, a whole number.
func Level(code uint8) int32 { return int32(2 * dtype.E2M1ToF32(code)) }

// exponentShift is where the exponent of an f32 lies.
const exponentShift = 23

// putExponent stores a power of two, or zero, as the exponent of its half.
func putExponent(dst []byte, scale float32) error {
	bits := math.Float32bits(scale)
	if bits == 0 {
		dst[0] = 0
		return nil
	}
	if e := bits >> exponentShift; bits == e<<exponentShift && e >= 2 && e < 0xff {
		dst[0] = byte(e - 1)
		return nil
	}
	return fmt.Errorf("scale %g is not a power of two whose half is normal", scale)
}

// halfScale is half the scale that is stored as an exponent.
func halfScale(exponent byte) float32 { return math.Float32frombits(uint32(exponent) << exponentShift) }

// Scales of two tiers: a code stands for its level times the product of its group's scale, of e4m3, and its output's, rounded to f32. What is stored makes kernels short: as the
// upper byte of an f16 but for its sign, which is shifted in, e4m3 is a 256th of itself, and levels are whole numbers twice what they are.

// outputPart is what the scale of an output is stored times.
const outputPart = 128

// putPart stores a scale of e4m3 that is not negative.
func putPart(dst []byte, scale float32) error {
	code := dtype.F32ToE4M3(scale)
	if code > 0x7e || dtype.E4M3ToF32(code) != scale {
		return fmt.Errorf("scale %g is none of e4m3 from 0 to 448", scale)
	}
	dst[0] = code
	return nil
}

// partScale is a 256th of a scale of e4m3. Codes that putPart never writes stand for what kernels make of them.
func partScale(code byte) float32 { return dtype.F16ToF32(uint16(code) << 7) }

// outputScale is the scale of an output as it is stored.
func (l Linear) outputScale(panel []byte, lane int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(panel[l.OutputOffset()+4*lane:]))
}

// packOutputs stores the scales of outputs.
func (l Linear) packOutputs(panel []byte, c Codes, rows int) error {
	for r := range rows {
		scale := c.Scales[(r+1)*l.rowScales()-1]
		if stored := scale * outputPart; stored-stored != 0 {
			return fmt.Errorf("row %d: scale %g is too large", r, scale)
		}
		binary.LittleEndian.PutUint32(panel[l.OutputOffset()+4*r:], math.Float32bits(scale*outputPart))
	}
	return nil
}

// rowScales is how many scales codes of a row come with.
func (l Linear) rowScales() int {
	if l.Tiered {
		return l.Groups() + 1
	}
	return max(1, l.Groups())
}
