package kernel

import (
	"math"
	"unsafe"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// linearArgs is what a micro-kernel needs: one panel of 32 outputs times a tile of rows. Assembly reads the fields by name
// (go_asm.h). Addresses and strides are in bytes.
type linearArgs struct {
	panel   unsafe.Pointer // first step
	x       unsafe.Pointer // row 0 of the activation, at the k of the first step
	xStride int
	entry   unsafe.Pointer // row 0's Entry of the first group or segment; rows are xStride apart
	y       unsafe.Pointer // f32: row 0, first output of the panel
	yStride int
	scale   unsafe.Pointer // u8: the panel's 32 scales
	zeros   unsafe.Pointer // u4z: zero points of the first group; u4e: exponents
	nested  unsafe.Pointer // u4n: steps of the first group
	// u4n: sums of the codes of row 0 in each group, [2] int32 of the digits; rows are xStride apart. Only where the set wants them.
	// Of K-quants: see superSums.
	groupSums unsafe.Pointer
	// A segment has steps steps (u4, u4n: groups); the last one of the call has lastSteps.
	segments, steps, lastSteps int
	groupSteps, lastGroupSteps int // u4: steps of a group, and of the last group of the call; K-quants: blocks of 32 k
	add                        int // 1: also the first segment is added to y; 0: it is stored
	//lint:ignore U1000 assembly keeps the add of the segment at hand here
	adding int
	//lint:ignore U1000 assembly keeps where the superblock at hand starts: an address
	super uintptr

	// Memory that will be wanted: with each step the kernel prefetches at ahead and goes on by aheadStep. An address, not a pointer: it may lie anywhere.
	ahead     uintptr
	aheadStep int

	// The panel that follows, and the size of panels.
	following              unsafe.Pointer
	panelBytes, panelSteps int

	sums unsafe.Pointer // of groups; nil: not wanted

	doubles     unsafe.Pointer // [rows, 32] f64: sums of words, where a call has but a piece of a segment
	begun, more int            // 1: pieces of the segment were before, come behind
}

// A linearFunc multiplies one panel with a fixed number of rows.
type linearFunc func(a *linearArgs)

// panelSum gives lane l's sum over segment s of row r, in the order that the format fixes.
type panelSum func(a *linearArgs, r, l, s int) float32

// refLinear is the meaning of a micro-kernel of rows rows.
func refLinear(rows int, sum panelSum) linearFunc {
	return func(a *linearArgs) {
		for r := range rows {
			for l := range layout.Lanes {
				y := at[float32](a.y, r*a.yStride+4*l)
				for s := range a.segments {
					p := sum(a, r, l, s)
					if s > 0 || a.add != 0 {
						p = *y + p
					}
					*y = p
				}
			}
		}
	}
}

// segmentSteps returns the steps (u4: groups) of segment s.
func (a *linearArgs) segmentSteps(s int) int {
	if s == a.segments-1 {
		return a.lastSteps
	}
	return a.steps
}

// at views the bytes at base+offset as a T.
func at[T any](base unsafe.Pointer, offset int) *T { return (*T)(unsafe.Add(base, offset)) }

func sumF32(a *linearArgs, r, l, s int) float32 {
	var acc float32
	first := s * a.steps
	for i := first; i < first+a.segmentSteps(s); i++ {
		w := *at[float32](a.panel, i*layout.StepBytes+4*l)
		acc = fma32(*at[float32](a.x, r*a.xStride+4*i), w, acc)
	}
	return acc
}

func (b rounding) sum(a *linearArgs, r, l, s int) float32 {
	var acc float32
	first := s * a.steps
	last := first + a.segmentSteps(s)
	if b.tiles {
		for i := first; i < last; i += amxRows {
			acc = dotTileAt(acc, a, r, l, i, min(amxRows, last-i))
		}
		return acc
	}
	for i := first; i < last; i++ {
		w := *at[[2]uint16](a.panel, i*layout.StepBytes+4*l)
		acc = b.dot(acc, *at[[2]uint16](a.x, r*a.xStride+4*i), w)
	}
	return acc
}

// dotTileAt adds the products of n steps, from step i on.
func dotTileAt(acc float32, a *linearArgs, r, l, i, n int) float32 {
	var x, w [amxRows][2]uint16
	for j := range n {
		x[j], w[j] = *at[[2]uint16](a.x, r*a.xStride+4*(i+j)), *at[[2]uint16](a.panel, (i+j)*layout.StepBytes+4*l)
	}
	return dotTile(acc, x[:n], w[:n])
}

// restStep is a step of the second digit as a fraction of one of the first.
const restStep = 1.0 / layout.RestSteps

// joinDigits is the sum of products with x from the sums with each digit, in steps of the first.
func joinDigits(sums []int32) float32 {
	if len(sums) == 1 {
		return float32(sums[0])
	}
	return fma32(float32(sums[1]), restStep, float32(sums[0]))
}

// join is joinDigits as the set does it for sums over all of K.
func (rules rounding) join(sums []int32) float32 {
	if rules.apart || len(sums) == 1 {
		return joinDigits(sums)
	}
	return float32(float64(sums[0]) + float64(sums[1])*restStep)
}

// u8Sum is the sum of an 8-bit weight's segment, x having digits digits.
func u8Sum(digits int, rules rounding) panelSum {
	return func(a *linearArgs, r, l, s int) float32 {
		entry := at[layout.Entry](a.entry, r*a.xStride+s*layout.EntryBytes)
		sums := entry.Bias
		first := s * a.steps
		for i := first; i < first+a.segmentSteps(s); i++ {
			w := *at[[4]uint8](a.panel, i*layout.StepBytes+4*l)
			for d := range digits {
				x := *at[[4]int8](a.x, r*a.xStride+4*(digits*i+d))
				for j := range 4 {
					sums[d] += int32(w[j]) * int32(x[j])
				}
			}
		}
		return rules.join(sums[:digits]) * (*at[float32](a.scale, 4*l) * entry.Scale)
	}
}

// nestedSum is the same of a 4-bit weight whose codes stand for those of 8 bits.
func nestedSum(digits int, rules rounding) panelSum {
	return func(a *linearArgs, r, l, s int) float32 {
		entry := at[layout.Entry](a.entry, r*a.xStride+s*layout.EntryBytes)
		sums := entry.Bias
		const half, groupSteps = layout.Lanes / 2, layout.NestedGroup / 8
		first := s * a.steps
		for g := first; g < first+a.segmentSteps(s); g++ {
			group := at[[half + layout.Lanes]uint8](a.nested, g*(half+layout.Lanes))
			step, offset := group[l%half]>>(l/half*4)&15, group[half+l]
			for i := 2 * g * groupSteps; i < 2*(g+1)*groupSteps; i++ {
				w := *at[[4]uint8](a.panel, i/2*layout.StepBytes+4*l)
				for d := range digits {
					x := *at[[4]int8](a.x, r*a.xStride+4*(digits*i+d))
					for j := range 4 {
						sums[d] += int32(w[j]>>(i%2*4)&15*step+offset) * int32(x[j])
					}
				}
			}
		}
		return rules.join(sums[:digits]) * (*at[float32](a.scale, 4*l) * entry.Scale)
	}
}

// u4Rules are the variants of 4-bit weights.
type u4Rules struct {
	zeros   bool
	scale32 bool
	levels  bool // of e2m1, scales apart
	tiered  bool // of levels: scales are e4m3, and outputs have one that comes behind
	digits  int  // of x
}

func (u u4Rules) scaleBytes() int {
	if u.scale32 {
		return 4
	}
	return 2
}

func (u u4Rules) sum(a *linearArgs, r, l, s int) float32 {
	var acc float32
	first := s * a.steps
	for g := first; g < first+a.segmentSteps(s); g++ {
		if u.tiered {
			acc = u.addTiered(acc, a, r, l, g)
			continue
		}
		acc = u.addGroup(acc, a, r, l, g, s == a.segments-1 && g == first+a.lastSteps-1)
	}
	return acc
}

// addGroup adds group g's exact integer sums, scaled, to acc.
func (u u4Rules) addGroup(acc float32, a *linearArgs, r, l, g int, last bool) float32 {
	groupBytes := a.groupSteps * layout.StepBytes
	if !u.levels {
		groupBytes += layout.Lanes * u.scaleBytes()
	}
	steps := a.groupSteps
	if last {
		steps = a.lastGroupSteps
	}
	entry := at[layout.Entry](a.entry, r*a.xStride+g*layout.EntryBytes)
	sums := entry.Bias
	if u.zeros {
		zero := int32(*at[uint8](a.zeros, g*layout.Lanes+l))
		sums = [2]int32{zero * int32(entry.NegSums[0]), zero * int32(entry.NegSums[1])}
	}
	if u.levels {
		sums = [2]int32{}
	}
	for i := range steps {
		w := *at[[4]uint8](a.panel, g*groupBytes+i*layout.StepBytes+4*l)
		for half := range 2 { // low nibbles, high nibbles
			for d := range u.digits {
				x := *at[[4]int8](a.x, r*a.xStride+4*((2*(g*a.groupSteps+i)+half)*u.digits+d))
				for j := range 4 {
					sums[d] += u.number(w[j]>>(4*half)&15) * int32(x[j])
				}
			}
		}
	}
	if u.levels {
		half := math.Float32frombits(uint32(*at[uint8](a.zeros, g*layout.Lanes+l)) << 23)
		return fma32(joinDigits(sums[:u.digits])*entry.Scale, half, acc)
	}
	at := g*groupBytes + steps*layout.StepBytes
	return fma32(joinDigits(sums[:u.digits])*entry.Scale, u.scale(a.panel, at, l), acc)
}

// addTiered does so for levels whose scales are e4m3, in pairs of groups.
func (u u4Rules) addTiered(acc float32, a *linearArgs, r, l, g int) float32 {
	pair := unsafe.Add(a.panel, g/2*2*(a.groupSteps*layout.StepBytes+layout.Lanes))
	entry := at[layout.Entry](a.entry, r*a.xStride+g*layout.EntryBytes)
	k := 8 * a.groupSteps
	var sums [2]int32
	for i := range k {
		level := layout.Level(uint8(openNibble(pair, l, g%2*k+i)))
		for d := range u.digits {
			sums[d] += level * int32(*at[int8](a.x, r*a.xStride+((g*k+i)/4*u.digits+d)*4+i%4))
		}
	}
	part := *at[uint8](pair, 2*a.groupSteps*layout.StepBytes+g%2*layout.Lanes+l)
	return fma32(joinDigits(sums[:u.digits])*entry.Scale, layout.PartScale(part), acc)
}

// number is what a code stands for, zero points aside.
func (u u4Rules) number(code uint8) int32 {
	if u.levels {
		return layout.Level(code)
	}
	return int32(code)
}

func (u u4Rules) scale(panel unsafe.Pointer, offset, lane int) float32 {
	if u.scale32 {
		return *at[float32](panel, offset+4*lane)
	}
	return dtype.F16ToF32(*at[uint16](panel, offset+2*lane))
}
