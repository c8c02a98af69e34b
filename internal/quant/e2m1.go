package quant

import (
	"math"

	"llmc/internal/dtype"
)

// Numbers become codes of e2m1 (internal/dtype) by the bits of f32: from one on a level has one bit of mantissa, below levels are halves.
const (
	oneE2M1   = 0x3f800000 // of 1
	mostE2M1  = 0x40c00000 // of the largest level, 6
	stepE2M1  = 22         // bits behind the one of mantissa
	halfMagic = 3 << 21    // as roundMagic, of halves
)

// e2m1Levels is what each code stands for at scale one.
func e2m1Levels() *[256]float32 {
	var levels [256]float32
	for code := range levels {
		levels[code] = dtype.E2M1ToF32(uint8(code))
	}
	return &levels
}

// levelE2M1 returns the bits of the level nearest to a number, given by its bits without the sign; of two the even one.
func levelE2M1(magnitude uint32) (bits uint32) {
	t := min(magnitude, mostE2M1)
	half := float32(math.Float32frombits(t)+halfMagic) - halfMagic
	bits = (t + 1<<(stepE2M1-1) - 1 + t>>stepE2M1&1) &^ (1<<stepE2M1 - 1)
	if t < oneE2M1 {
		bits = math.Float32bits(half)
	}
	return bits
}

// nearestE2M1 is the code nearest to x on the line of levels: as dtype.F32ToE2M1 of x*inverse.
func nearestE2M1(x, inverse, _ float32) uint8 {
	b := math.Float32bits(float32(x * inverse))
	level := levelE2M1(b &^ signBit)
	code := uint8(level>>stepE2M1) - uint8(oneE2M1>>stepE2M1&0xff) + 2
	if level < oneE2M1 { // 0 or a half
		code = uint8(level >> 29 & 1)
	}
	if code == 0 {
		return 0
	}
	return code | uint8(b>>28&8)
}

// evenly are weights of a group whose numbers all count the same.
var evenly = func() (w [32]float32) {
	for i := range w {
		w[i] = 1
	}
	return w
}()

// quarterLevels are the magnitudes of levels by how many quarters a number has below it: codes begin and end at quarters.
var quarterLevels = func() (levels [32]float32) {
	for q := range levels {
		levels[q] = abs(dtype.E2M1ToF32(dtype.F32ToE2M1((float32(q) + 0.5) / 4)))
	}
	return levels
}()

// lossE2M1 is the weighted sum of the squares by which levels miss x times the inverse of a scale: in units of that.
func lossE2M1(x, weight []float32, inverse float32) float32 {
	var loss, loss1 float32
	for len(x) >= 2 && len(weight) >= 2 {
		v, w := (*[2]float32)(x), (*[2]float32)(weight)
		t0, t1 := abs(float32(v[0]*inverse)), abs(float32(v[1]*inverse))
		e0 := t0 - quarterLevels[min(uint64(int64(t0*4)), 31)]
		e1 := t1 - quarterLevels[min(uint64(int64(t1*4)), 31)]
		loss += float32(w[0] * float32(e0*e0))
		loss1 += float32(w[1] * float32(e1*e1))
		x, weight = x[2:], weight[2:]
	}
	for i, v := range x {
		t := abs(float32(v * inverse))
		e := t - quarterLevels[min(uint64(int64(t*4)), 31)]
		loss += float32(weight[i] * float32(e*e))
	}
	return loss + loss1
}

// tryScales returns the scale that loses least, of several the first. What is lost is compared in units of the first one.
func tryScales(x, weight []float32, scales []float32) (best float32) {
	least := float32(math.Inf(1))
	for _, s := range scales {
		part := s / scales[0]
		if loss := float32(lossE2M1(x, weight, 1/s) * float32(part*part)); loss < least {
			best, least = s, loss
		}
	}
	return best
}

// assignE2M1 gives each element its code; at scale zero all are zero.
func assignE2M1(codes []uint8, x []float32, scale float32) {
	if scale == 0 {
		fill(codes, 0)
		return
	}
	inverse := 1 / scale
	for i, v := range x {
		codes[i] = nearestE2M1(v, inverse, 0)
	}
}
