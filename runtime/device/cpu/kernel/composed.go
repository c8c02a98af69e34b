package kernel

import (
	"unsafe"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// composedRules are what kernels compute of codes in groups of 32 that have levels, a fifth bit or minimums, and inputs in codes.
type composedRules struct {
	*layout.Format
	digits int // of x
}

func (u composedRules) sum(a *linearArgs, r, l, s int) float32 {
	var acc float32
	first := s * a.steps
	for g := first; g < first+a.segmentSteps(s); g++ {
		acc = u.addGroup(acc, a, r, l, g)
	}
	return acc
}

// minimumPart is what a minimum is multiplied by where Entry.Bias stands for the sum of the inputs' codes.
const minimumPart = 0.125

// addGroup adds group g's exact integer sums, scaled, to acc, and then the group's minimum times the sum of the inputs.
func (u composedRules) addGroup(acc float32, a *linearArgs, r, l, g int) float32 {
	scales := a.groupSteps * layout.StepBytes
	if u.Fifth.Present() {
		scales += layout.StepBytes
	}
	minimums := scales + layout.Lanes*u.ScaleBytes
	size := minimums
	if u.Minimums {
		size += layout.Lanes * u.ScaleBytes
	}
	base := unsafe.Add(a.panel, g*size)
	entry := at[layout.Entry](a.entry, r*a.xStride+g*layout.EntryBytes)
	var sums [2]int32
	for k := range u.Group {
		w := u.whole(base, l, k)
		for d := range u.digits {
			sums[d] += w * int32(*at[int8](a.x, r*a.xStride+((g*u.Group+k)/4*u.digits+d)*4+k%4))
		}
	}
	acc = fma32(joinDigits(sums[:u.digits])*entry.Scale, dtype.F16ToF32(*at[uint16](base, scales+2*l)), acc)
	if u.Minimums {
		acc = fma32(-(joinDigits(entry.Bias[:u.digits]) * entry.Scale), dtype.F16ToF32(*at[uint16](base, minimums+2*l))*minimumPart, acc)
	}
	return acc
}

// whole is the whole number that code k of a group's lane stands for.
func (u composedRules) whole(group unsafe.Pointer, lane, k int) int32 {
	code := openNibble(group, lane, k)
	if u.Fifth.Present() {
		code |= *at[uint32](group, u.Group/8*layout.StepBytes+4*lane) >> u.Fifth.Bit(k) & 1 << 4
	}
	if u.Table != nil {
		return int32(u.Table[code])
	}
	return int32(code) - int32(u.Middle)
}
