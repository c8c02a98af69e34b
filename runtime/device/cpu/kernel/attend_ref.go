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
	q         unsafe.Pointer // [rows][steps*4 bytes]
	qStride   int
	k         unsafe.Pointer // panels, [steps][16][4 bytes] each, contiguous
	panels    int
	out       unsafe.Pointer // [rows][16*panels] f32
	outStride int
	steps     int
	ahead     unsafe.Pointer // memory that will be wanted next, prefetched as far as the panels are long
}

// valueArgs: weighted sums of values, added to out.
type valueArgs struct {
	p         unsafe.Pointer // weights, [rows][4 bytes for each step of all runs]
	pStride   int
	runs      *valueRun
	count     int            // runs
	vStride   int            // bytes of a step: 4 for each channel of a head
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
)

// attendKernels are the micro-kernels for one kind of cache.
type attendKernels struct {
	// scoreTile and valueTile are the most rows of a kernel: score[r] takes r rows.
	scoreTile, valueTile int

	score  [maxTile + 1]scoreFunc
	narrow [maxValueTile + 1]valueFunc // 16 channels
	wide   [maxValueTile + 1]valueFunc // valueWide channels
	// softmax turns scores [lo, hi) of a split into weights: p[i] = exp(fma(s[i], scale, -most)), most being the largest s[i] times scale, scale above 0.
	// It sums what it stores in 16 lanes by position and folds them. It stores zeros around [lo, hi), up to multiples of 16, and may overwrite s.
	softmax func(p unsafe.Pointer, s *float32, lo, hi int, scale float32) (most, sum float32)
	// storeKey stores a key at its lane of a panel. Where channels come in pairs, an odd last one is paired with zero.
	storeKey storeFunc
	// storeValue stores a value at an even (0) and an odd (1) position. Where positions come in pairs, the even one zeroes the odd one.
	storeValue [2]storeFunc
}

// foldKernels combine the parts of attention rows.
type foldKernels struct {
	fold  func(acc, part *float32, n int, a, b float32) // acc = acc*a + part*b, the product with b rounded first
	scale func(dst, x *float32, n int, a float32)       // dst = x*a
}

func attendReference(rules bf16Rules) (kinds [kvKinds]attendKernels) {
	dots := [kvKinds]func(acc float32, a, b unsafe.Pointer) float32{
		kvF32: func(acc float32, a, b unsafe.Pointer) float32 { return fma32(*(*float32)(a), *(*float32)(b), acc) },
		kvBF16: func(acc float32, a, b unsafe.Pointer) float32 {
			return rules.dot(acc, *(*[2]uint16)(a), *(*[2]uint16)(b))
		},
	}
	for kind := range kinds {
		k := &kinds[kind]
		k.scoreTile, k.valueTile = maxTile, maxValueTile
		for rows := 1; rows <= maxTile; rows++ {
			k.score[rows] = refScore(rows, dots[kind])
		}
		for rows := 1; rows <= maxValueTile; rows++ {
			k.narrow[rows] = refValue(rows, panelPositions, dots[kind])
			k.wide[rows] = refValue(rows, valueWide, dots[kind])
		}
	}
	kinds[kvF32].storeKey, kinds[kvF32].storeValue = storeKeyF32, [2]storeFunc{storeValueF32, storeValueF32}
	kinds[kvBF16].storeKey, kinds[kvBF16].storeValue = rules.storeKey, [2]storeFunc{rules.storeEven, rules.storeOdd}
	kinds[kvF32].softmax = refSoftmax(4, func(p unsafe.Pointer, v float32) float32 {
		*(*float32)(p) = v
		return v
	})
	kinds[kvBF16].softmax = refSoftmax(2, func(p unsafe.Pointer, v float32) float32 {
		h := rules.round(v)
		*(*uint16)(p) = h
		return dtype.BF16ToF32(h)
	})
	return kinds
}

func refScore(rows int, dot func(acc float32, a, b unsafe.Pointer) float32) func(a *scoreArgs) {
	return func(a *scoreArgs) {
		for r := range rows {
			for i := range a.panels * panelPositions {
				panel := unsafe.Add(a.k, i/panelPositions*a.steps*panelPositions*4)
				var acc float32
				for d := range a.steps {
					acc = dot(acc, unsafe.Add(a.q, r*a.qStride+4*d), unsafe.Add(panel, (d*panelPositions+i%panelPositions)*4))
				}
				*at[float32](a.out, r*a.outStride+4*i) = acc
			}
		}
	}
}

func refValue(rows, channels int, dot func(acc float32, a, b unsafe.Pointer) float32) func(a *valueArgs) {
	return func(a *valueArgs) {
		for r := range rows {
			for c := range channels {
				out, p := at[float32](a.out, r*a.outStride+4*c), unsafe.Add(a.p, r*a.pStride)
				for _, run := range unsafe.Slice(a.runs, a.count) {
					for i := range run.steps {
						*out = dot(*out, p, unsafe.Add(run.v, i*a.vStride+4*c))
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
	}
}
