package kernel

import (
	"math"
	"unsafe"

	"llmc/internal/dtype"
)

// The kinds of KV cache that attention reads.
const (
	kvF32 = iota
	kvBF16
	kvF16
	kvE4M3
	kvI8
	kvI16
	kvKinds
)

// SplitLength is the number of positions whose softmax is taken at once. Splits start at multiples of it, whoever asks.
const SplitLength = 256

const (
	panelPositions = 16 // positions that lie side by side in K
	valueWide      = 64 // channels that a wide value kernel covers; a narrow one covers 16
	maxValueTile   = 6  // query rows of a value kernel at most
)

// scoreArgs: scores of a tile of query rows against panels of 16 positions each.
type scoreArgs struct {
	q         unsafe.Pointer // [rows], 4 bytes for each step of a panel
	qStride   int
	panels    *scorePanel
	count     int            // panels; a kernel counts them down
	out       unsafe.Pointer // [rows][16*count] f32
	outStride int
	lines     int            // 64 bytes of a panel each: one step of 16 lanes, or two or four, by the size of a lane
	entry     unsafe.Pointer // of i8: row 0's layout.Entry; others are qStride apart
	ahead     int            // distance from what is read to memory that will be wanted next, which is prefetched
}

// scorePanel is the keys of 16 positions of a head.
type scorePanel struct {
	k      unsafe.Pointer // [steps][16] lanes
	scales unsafe.Pointer // [16] f16, of codes: scores are multiplied with them
	// For others than score kernels: the values of the panel's positions, their scales, and the keys that will be wanted after them.
	v, valueScales, ahead unsafe.Pointer
}

// valueArgs: weighted sums of values, added to out.
type valueArgs struct {
	p         unsafe.Pointer // weights, [rows][4 bytes for each step of all runs]
	pStride   int
	runs      *valueRun
	count     int            // runs
	vStride   int            // bytes of a step
	out       unsafe.Pointer // [rows][channels] f32
	outStride int
}

// valueRun is a stretch of values that lie in one page.
type valueRun struct {
	v     unsafe.Pointer // first step
	steps int
	ahead unsafe.Pointer // memory that will be wanted next, prefetched as far as the run is long
}

type (
	scoreFunc func(a *scoreArgs)
	valueFunc func(a *valueArgs)
	storeFunc func(dst unsafe.Pointer, x *float32, n int)
	// A convertFunc stores n numbers, multiplied with inverse where they become codes.
	convertFunc func(dst unsafe.Pointer, x *float32, n int, inverse float32)
)

// attendKernels are the micro-kernels for one kind of cache.
type attendKernels struct {
	// scoreTile and valueTile are the most rows of a kernel: score[r] takes r rows.
	scoreTile, valueTile int
	// valueColumns is how many bytes of a row of sums a value kernel has registers for, of integers.
	valueColumns int

	score  [maxTile + 1]scoreFunc
	narrow [maxValueTile + 1]valueFunc        // 16 channels
	wide   [maxValueTile + 1]valueFunc        // valueWide channels
	values [maxValueTile + 1]integerValueFunc // all channels, of integers, which have no others
	// softmax, nil where there is weigh, turns scores [lo, hi) of a split into weights: p[i] = exp(fma(s[i], scale, -most)), most being the largest s[i] times scale, scale above 0.
	// It sums what it stores in 16 lanes by position and folds them. It stores zeros around [lo, hi), up to multiples of 16, and may overwrite s.
	softmax func(p unsafe.Pointer, s *float32, lo, hi int, scale float32) (most, sum float32)
	// weigh is softmax for weights that become words: it multiplies them with by, in place, and returns the largest product and what products add up to
	// as well. Of i16.
	weigh func(s, by *float32, lo, hi int, scale float32) (most, sum, largest, total float32)
	// storeKey stores a key at its lane of a panel. Where channels come in pairs, an odd last one is paired with zero. Of f32 and bf16.
	storeKey storeFunc
	// storeValue stores a value at an even (0) and an odd (1) position. Where positions come in pairs, the even one zeroes the odd one.
	storeValue [2]storeFunc
	// convert turns the numbers of a key or a value into elements that are not paired. Of f16 and codes.
	convert convertFunc
	// widen makes f32 of n scales. Of codes.
	widen func(dst *float32, scales unsafe.Pointer, n int)
}

// foldKernels combine the parts of attention rows.
type foldKernels struct {
	fold  func(acc, part *float32, n int, a, b float32) // acc = acc*a + part*b, the product with b rounded first
	scale func(dst, x *float32, n int, a float32)       // dst = x*a
	shift func(dst, x *float32, n int, a float32)       // dst = x - a
}

// dotFunc adds the products of one step of a query row or of weights, a, with one lane of keys or values, b.
type dotFunc func(acc float32, a, b unsafe.Pointer) float32

// widenedDot multiplies f32 with lanes of less than 4 bytes, after level has made f32 of them.
func widenedDot[T uint8 | uint16](level func(T) float32) dotFunc {
	return func(acc float32, a, b unsafe.Pointer) float32 { return fma32(*(*float32)(a), level(*(*T)(b)), acc) }
}

func attendReference(rules rounding) (kinds [kvKinds]attendKernels) {
	dots := [kvKinds]dotFunc{
		kvF32: func(acc float32, a, b unsafe.Pointer) float32 { return fma32(*(*float32)(a), *(*float32)(b), acc) },
		kvBF16: func(acc float32, a, b unsafe.Pointer) float32 {
			return rules.dot(acc, *(*[2]uint16)(a), *(*[2]uint16)(b))
		},
		kvF16:  widenedDot(dtype.F16ToF32),
		kvE4M3: widenedDot(levelE4M3),
	}
	for kind := range kinds {
		k := &kinds[kind]
		k.scoreTile, k.valueTile, k.valueColumns = maxTile, maxValueTile, 4*panelPositions
		for rows := 1; rows <= maxTile; rows++ {
			k.score[rows] = refScore(rows, kvLaneBytes[kind], kind == kvE4M3, dots[kind])
			if rules, ok := integerKinds[kind]; ok {
				k.score[rows] = rules.score(rows)
			}
		}
		for rows := 1; rows <= maxValueTile; rows++ {
			if rules, ok := integerKinds[kind]; ok {
				k.values[rows] = rules.value(rows)
				continue
			}
			k.narrow[rows] = refValue(rows, panelPositions, kvLaneBytes[kind], dots[kind])
			k.wide[rows] = refValue(rows, valueWide, kvLaneBytes[kind], dots[kind])
		}
		k.softmax = refSoftmax(4, func(p unsafe.Pointer, v float32) float32 {
			*(*float32)(p) = v
			return v
		})
		k.widen = widenScales
	}
	kinds[kvI16].softmax, kinds[kvI16].weigh = nil, refWeigh
	kinds[kvF32].storeKey, kinds[kvF32].storeValue = storeKeyF32, [2]storeFunc{storeValueF32, storeValueF32}
	kinds[kvBF16].storeKey, kinds[kvBF16].storeValue = rules.storeKey, [2]storeFunc{rules.storeEven, rules.storeOdd}
	kinds[kvBF16].softmax = refSoftmax(2, func(p unsafe.Pointer, v float32) float32 {
		h := rules.round(v)
		*(*uint16)(p) = h
		return dtype.BF16ToF32(h)
	})
	kinds[kvF16].convert, kinds[kvE4M3].convert, kinds[kvI8].convert, kinds[kvI16].convert = convertF16, refCodes(dtype.F8E4M3), refCodes(dtype.I8), convertI16
	return kinds
}

// kvLaneBytes is the size of a lane of each kind.
var kvLaneBytes = [kvKinds]int{kvF32: 4, kvBF16: 4, kvF16: 2, kvE4M3: 1, kvI8: 4, kvI16: 4}

func refScore(rows, lane int, scaled bool, dot dotFunc) func(a *scoreArgs) {
	return func(a *scoreArgs) {
		for r := range rows {
			for i := range a.count * panelPositions {
				p := unsafe.Slice(a.panels, a.count)[i/panelPositions]
				var acc float32
				for d := range a.lines * (4 / lane) {
					acc = dot(acc, unsafe.Add(a.q, r*a.qStride+4*d), unsafe.Add(p.k, (d*panelPositions+i%panelPositions)*lane))
				}
				if scaled {
					acc *= dtype.F16ToF32(*at[uint16](p.scales, 2*(i%panelPositions)))
				}
				*at[float32](a.out, r*a.outStride+4*i) = acc
			}
		}
	}
}

func refValue(rows, channels, lane int, dot dotFunc) func(a *valueArgs) {
	return func(a *valueArgs) {
		for r := range rows {
			for c := range channels {
				out, p := at[float32](a.out, r*a.outStride+4*c), unsafe.Add(a.p, r*a.pStride)
				for _, run := range unsafe.Slice(a.runs, a.count) {
					for i := range run.steps {
						*out = dot(*out, p, unsafe.Add(run.v, i*a.vStride+lane*c))
						p = unsafe.Add(p, 4)
					}
				}
			}
		}
	}
}

func refSoftmax(size int, store func(p unsafe.Pointer, v float32) float32) func(p unsafe.Pointer, s *float32, lo, hi int, scale float32) (most, sum float32) {
	return func(p unsafe.Pointer, s *float32, lo, hi int, scale float32) (most, sum float32) {
		scores := unsafe.Slice(s, hi)
		most = float32(math.Inf(-1))
		for _, v := range scores[lo:] {
			most = max(most, v)
		}
		most *= scale
		var lanes [panelPositions]float32
		for i := lo &^ (panelPositions - 1); i < (hi+panelPositions-1)&^(panelPositions-1); i++ {
			var v float32
			if i >= lo && i < hi {
				v = exp32(fma32(scores[i], scale, -most))
			}
			lanes[i%panelPositions] += store(unsafe.Add(p, i*size), v)
		}
		return most, foldLanes(lanes[:])
	}
}

func foldReference() foldKernels {
	return foldKernels{
		fold: func(acc, part *float32, n int, a, b float32) {
			o := unsafe.Slice(acc, n)
			for i, v := range unsafe.Slice(part, n) {
				o[i] = fma32(o[i], a, float32(v*b))
			}
		},
		scale: func(dst, x *float32, n int, a float32) {
			o := unsafe.Slice(dst, n)
			for i, v := range unsafe.Slice(x, n) {
				o[i] = v * a
			}
		},
		shift: func(dst, x *float32, n int, a float32) {
			o := unsafe.Slice(dst, n)
			for i, v := range unsafe.Slice(x, n) {
				o[i] = v - a
			}
		},
	}
}
