package layout

import (
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
