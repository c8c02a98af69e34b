package layout

import (
	"encoding/binary"
	"fmt"
	"math"

	"llmc/internal/dtype"
)

// Panels of scales of two tiers: a code of e2m1 stands for its level times the product of its group's scale, of e4m3, and its output's, rounded to f32. Two groups are
//
//	four steps of codes, [2][32] u8 scales
//
// so that all of a panel is one stream of whole lines; [32] f32 scales of outputs follow. What is stored makes kernels short: with its bits where an f16 has them, e4m3 is a 256th
// of itself, and levels are whole numbers twice what they are.

// tieredPair is the k of two groups.
const tieredPair = 32

// tieredBytes is what two groups take.
const tieredBytes = tieredPair/8*StepBytes + 2*Lanes

// tieredStep returns where the step of k starts.
func tieredStep(k int) int { return k/tieredPair*tieredBytes + k%tieredPair/8*StepBytes }

// tieredScale returns where the scales of group g start.
func tieredScale(g int) int { return g/2*tieredBytes + tieredPair/8*StepBytes + g%2*Lanes }

// OutputOffset returns where the 32 scales of outputs start in a panel that has them beside those of groups.
func (l Linear) OutputOffset() int { return l.KPad() / tieredPair * tieredBytes }

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

// PartScale is a 256th of a scale of e4m3. Codes that putPart never writes stand for what kernels make of them.
func PartScale(code byte) float32 { return dtype.F16ToF32(uint16(code) << 7) }

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
