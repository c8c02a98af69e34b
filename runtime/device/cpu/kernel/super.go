package kernel

import (
	"encoding/binary"
	"unsafe"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// superRules are the K-quants: what their kernels compute.
type superRules struct {
	*layout.Format
	digits int // of x
}

// superBlock is the k that a kernel's inner loop takes.
const superBlock = 32

// findFormat returns a layout that there is.
func findFormat(name string) *layout.Format {
	f, err := layout.FindFormat(name)
	if err != nil {
		panic("kernel: " + err.Error())
	}
	return f
}

// sum adds up superblocks: of each the exact sums of products times steps, scaled, less those of offsets.
func (u superRules) sum(a *linearArgs, r, l, s int) float32 {
	var acc float32
	first := s * a.steps
	for g := first; g < first+a.segmentSteps(s); g++ {
		acc = u.addSuper(acc, a, r, l, g, s == a.segments-1 && g == first+a.lastSteps-1)
	}
	return acc
}

func (u superRules) addSuper(acc float32, a *linearArgs, r, l, g int, last bool) float32 {
	base := unsafe.Add(a.panel, g*(u.SuperHeader()+layout.SuperGroup/u.KPerStep*layout.StepBytes))
	blocks := a.groupSteps
	if last {
		blocks = a.lastGroupSteps
	}
	var sums, offsets [2]int32
	for k := range blocks * superBlock {
		group := k / u.Sub
		step := int32(*at[int8](base, u.SuperSteps()+group*layout.Lanes+l))
		code := u.code(base, l, k)
		for d := range u.digits {
			x := int32(*at[int8](a.x, r*a.xStride+((g*layout.SuperGroup+k)/4*u.digits+d)*4+k%4))
			sums[d] += step * (code - int32(u.SuperZero)) * x
			if u.Offsets {
				offsets[d] += int32(*at[uint8](base, u.SuperOffsets()+(group/2*layout.Lanes+l)*2+group%2)) * x
			}
		}
	}
	entry := at[layout.Entry](a.entry, r*a.xStride+g*layout.EntryBytes)
	acc = fma32(joinDigits(sums[:u.digits])*entry.Scale, superScale(base, l), acc)
	if u.Offsets {
		acc = fma32(-(joinDigits(offsets[:u.digits]) * entry.Scale), superScale(base, layout.Lanes+l), acc)
	}
	return acc
}

func superScale(base unsafe.Pointer, i int) float32 { return dtype.F16ToF32(*at[uint16](base, 2*i)) }

func (u superRules) code(base unsafe.Pointer, lane, k int) int32 {
	b := *at[uint8](base, u.SuperHeader()+k/u.KPerStep*layout.StepBytes+4*lane+k%4)
	if u.KPerStep == 8 {
		b = b >> (k % 8 / 4 * 4) & 15
	}
	return int32(b)
}

// quadK is the k of a row whose codes' sums are one word: two of every four.
const quadK = 16

// superSums writes what kernels of K-quants want of a row's codes. With offsets: for each two groups and digit the sums of both, [2] int16. Else for each 16 k and
// digit those of the two words that a step of a lane is, [2] int16, times the zero point and negative. What lies behind the row's codes is zero.
func superSums(dst, codes []byte, w *Matrix, digits int) {
	parts := (w.K + layout.SuperGroup - 1) / layout.SuperGroup * layout.SuperGroup / quadK
	clear(dst[:parts*4*digits])
	for part := range min(parts, len(codes)/(quadK*digits)) {
		words := wordSums(codes[part*quadK*digits:][:quadK*digits], digits)
		for d := range digits {
			first, second := words[2*d], words[2*d+1]
			if !w.Offsets {
				at := dst[4*(part*digits+d):]
				binary.LittleEndian.PutUint16(at, uint16(-first*int16(w.SuperZero)))
				binary.LittleEndian.PutUint16(at[2:], uint16(-second*int16(w.SuperZero)))
				continue
			}
			group := part * quadK / w.Sub
			at := dst[4*(group/2*digits+d)+group%2*2:]
			binary.LittleEndian.PutUint16(at, binary.LittleEndian.Uint16(at)+uint16(first+second))
		}
	}
}

// wordSums adds up the codes of 16 k: by digit those of the first two of every four, and of the others. Codes are summed as they are with 128 added.
func wordSums(codes []byte, digits int) [4]int16 {
	words := sumBytes(codes)
	if digits == 1 {
		words = (words + words>>32) & 0xffffffff
	}
	const zeros = quadK / 2 * 128
	return [4]int16{int16(words&0xffff) - zeros, int16(words>>16&0xffff) - zeros, int16(words>>32&0xffff) - zeros, int16(words>>48) - zeros}
}
