package kernel

import (
	"math"
	"unsafe"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// Caches of i8 and i16 are multiplied as integers, whose sums are exact in whatever order: queries, and softmax weights times the scales of values,
// become integers with one scale for each row (of a split, for weights), of i8 two digits, of i16 words. Positions that a row does not see have
// weights of zero, so that nobody cares what their slots hold.

// digitsI8 is the number of digits of queries and weights.
const digitsI8 = 2

// integerBytes is the size of a query's or a weight's number, digits or word.
const integerBytes = 2

// integerStride is the distance of the weights of two rows.
const integerStride = SplitLength*integerBytes + entryBytes

// mostWordSum is how large the magnitudes of a row of words may be together, 13 bits less than a sum can hold, less what rounding adds: half a unit for
// each of up to 4,096 numbers, and what the sum in f32 was short of.
const mostWordSum = 1<<18 - 1<<11 - 1<<8

// mostWord is the largest word.
const mostWord = math.MaxInt16

// entryBytes is the room for a row's entry behind its digits: rows stay aligned.
const entryBytes = layout.Align

// integerValueArgs: values of whole panels of positions, weighted by rows of digits.
type integerValueArgs struct {
	p         unsafe.Pointer // [rows], 2 bytes for each position
	pStride   int
	entry     unsafe.Pointer // of row 0; others are pStride apart
	panels    *scorePanel
	count     int            // panels
	vStride   int            // bytes of the positions that share a lane
	out       unsafe.Pointer // [rows][width/4] f32
	outStride int
	column    int // bytes of a row of sums before those that are wanted
	width     int // and where they end
	// Of words, on AVX2: what kernels of one panel after the other ask for ahead, from aheadSkip bytes into the first panel's on, one page after the other.
	ahead      *scorePanel
	aheadSkip  int
	aheadBytes int // of a panel
}

type integerValueFunc func(a *integerValueArgs)

// quadSums adds the products of four unsigned codes with four numbers of each digit.
func quadSums(sums [digitsI8]int32, codes [4]uint8, digits [digitsI8][4]int8) [digitsI8]int32 {
	for d := range sums {
		for j, code := range codes {
			sums[d] += int32(code) * int32(digits[d][j])
		}
	}
	return sums
}

// pairSum adds the products of two codes with two numbers.
func pairSum(sum int32, codes, numbers [2]int16) int32 {
	return sum + int32(codes[0])*int32(numbers[0]) + int32(codes[1])*int32(numbers[1])
}

// integerRules are how the reference multiplies a kind: add takes a lane of codes and the numbers that meet it, of numbers bytes.
type integerRules struct {
	digits, numbers int
	add             func(sums [digitsI8]int32, codes, numbers unsafe.Pointer) [digitsI8]int32
}

// integerKinds are the kinds of cache that are multiplied as integers.
var integerKinds = map[int]integerRules{
	kvI8: {digitsI8, 8, func(sums [digitsI8]int32, codes, numbers unsafe.Pointer) [digitsI8]int32 {
		return quadSums(sums, *(*[4]uint8)(codes), *(*[digitsI8][4]int8)(numbers))
	}},
	kvI16: {1, 4, func(sums [digitsI8]int32, codes, numbers unsafe.Pointer) [digitsI8]int32 {
		sums[0] = pairSum(sums[0], *(*[2]int16)(codes), *(*[2]int16)(numbers))
		return sums
	}},
}

func (u integerRules) score(rows int) scoreFunc {
	return func(a *scoreArgs) {
		for r := range rows {
			entry := at[layout.Entry](a.entry, r*a.qStride)
			for i := range a.count * panelPositions {
				p := unsafe.Slice(a.panels, a.count)[i/panelPositions]
				sums := entry.Bias
				for d := range a.lines {
					sums = u.add(sums, unsafe.Add(p.k, 4*(d*panelPositions+i%panelPositions)), unsafe.Add(a.q, r*a.qStride+u.numbers*d))
				}
				scale := dtype.F16ToF32(*at[uint16](p.scales, scaleBytes*(i%panelPositions)))
				*at[float32](a.out, r*a.outStride+4*i) = joinDigits(sums[:u.digits]) * (scale * entry.Scale)
			}
		}
	}
}

func (u integerRules) value(rows int) integerValueFunc {
	lanes := integerBytes * panelPositions / u.numbers // of a channel's 16 positions
	return func(a *integerValueArgs) {
		for r := range rows {
			entry := at[layout.Entry](a.entry, r*a.pStride)
			for c := a.column / 4; c < a.width/4; c++ {
				sums := entry.Bias
				for i, p := range unsafe.Slice(a.panels, a.count) {
					for j := range lanes {
						sums = u.add(sums, unsafe.Add(p.v, j*a.vStride+4*c), unsafe.Add(a.p, r*a.pStride+u.numbers*(i*lanes+j)))
					}
				}
				*at[float32](a.out, r*a.outStride+4*c) = joinDigits(sums[:u.digits]) * entry.Scale
			}
		}
	}
}

// exp2Poly is 2^x on [-1/2, 1/2] with a relative error of 2.6e-6, from a Remez exchange: less than what words lose.
var exp2Poly = [5]float32{0.9999993, 0.6931218, 0.24024744, 0.05591786, 0.009570102}

// exp2Low is where weights that become words are zero.
const exp2Low = -125

// refWeigh is softmax by exp2Poly.
func refWeigh(s, by *float32, lo, hi int, scale float32) (most, sum, largest, total float32) {
	first, end := lo&^(panelPositions-1), (hi+panelPositions-1)&^(panelPositions-1)
	scores, factors := unsafe.Slice(s, end), unsafe.Slice(by, end)
	most = float32(math.Inf(-1))
	for _, v := range scores[lo:hi] {
		most = max(most, v)
	}
	most *= scale
	var sums, totals [panelPositions]float32
	for i := first; i < end; i++ {
		t := fma32(scores[i], float32(scale*log2e), -float32(most*log2e))
		if i < lo || i >= hi || t < exp2Low {
			scores[i] = 0
			continue
		}
		n := float32(math.RoundToEven(float64(t)))
		p := exp2Poly[4]
		for j := 3; j >= 0; j-- {
			p = fma32(p, t-n, exp2Poly[j])
		}
		if n == n {
			p = math.Float32frombits(math.Float32bits(p) + uint32(int32(n))<<23)
		}
		sums[i%panelPositions] += p
		scores[i] = p * factors[i]
		totals[i%panelPositions] += scores[i]
		largest = max(largest, scores[i])
	}
	return most, foldLanes(sums[:]), largest, foldLanes(totals[:])
}

// digitRow stores the digits of a row x, and zeros up to whole vectors, with their entry at entryAt.
func (s *Set) digitRow(row []byte, x []float32, entryAt int) {
	scale, inverse := quantizer(s.row.maxAbs(&x[0], len(x)))
	first, second := s.row.quantize[digitsI8]((*int8)(unsafe.Pointer(&row[0])), &x[0], len(x), scale, inverse)
	*at[layout.Entry](unsafe.Pointer(&row[0]), entryAt) = layout.Entry{Scale: scale, Bias: [2]int32{-zeroI8 * first, -zeroI8 * second}}
}

// wordRange is what a row of numbers that become words is like.
type wordRange struct{ largest, total float32 } // magnitudes

// rangeOf finds the range of a row.
func (s *Set) rangeOf(x []float32) wordRange {
	return wordRange{s.row.maxAbs(&x[0], len(x)), s.row.sumAbs(&x[0], len(x))}
}

// wordRow stores words, of as many bits as their sums of products with any codes allow, as digitRow does digits.
func (s *Set) wordRow(row []byte, x []float32, in wordRange, entryAt int) {
	entry := layout.Entry{}
	inverse := float32(0)
	if !(in.total < leastMaxAbs) {
		inverse = min(mostWord/in.largest, mostWordSum/in.total)
		entry.Scale = wordUnit / inverse
	}
	s.row.toWords((*int16)(unsafe.Pointer(&row[0])), &x[0], len(x), inverse)
	clear(row[integerBytes*len(x) : integerBytes*((len(x)+panelPositions-1)&^(panelPositions-1))])
	*at[layout.Entry](unsafe.Pointer(&row[0]), entryAt) = entry
}

// integerValues turns the softmax weights of the tile's rows, times the scales of values, into integers, and sums the values.
func (s *Set) integerValues(sc *attendScratch, t *attendTile, part []float32) {
	const entryAt = SplitLength * integerBytes
	unit := panelPositions
	if t.tiles {
		unit = tileBlockI8
	}
	lo, hi := t.span()
	lo, hi = lo&^(unit-1), (hi+unit-1)&^(unit-1)
	for i := range t.rows {
		from, to := t.seenPanels(i)
		row := sc.integers[i*integerStride : (i+1)*integerStride]
		clear(row[integerBytes*lo : integerBytes*from])
		clear(row[integerBytes*to : integerBytes*hi])
		weights, at := sc.scores[i*scoreStride+from:i*scoreStride+to], entryAt-integerBytes*from
		if t.kind() == kvI16 {
			s.wordRow(row[integerBytes*from:], weights, sc.words[i], at)
		} else {
			s.digitRow(row[integerBytes*from:], weights, at)
		}
	}
	if t.tiles {
		s.tileValues(sc, t, lo, hi, part)
		return
	}
	size, width := t.PartFloats(), 4*t.DimV()
	k := &s.attend[t.kind()]
	at := width // channels that all rows take in before the next ones
	if t.rows > k.valueTile {
		at = k.valueColumns
	}
	v := &sc.integerValue
	v.pStride, v.vStride, v.outStride = integerStride, t.VRowBytes(), 4*size
	v.aheadBytes = panelPositions / t.Pack() * v.vStride
	v.panels, v.count = &sc.panels[lo/panelPositions], (hi-lo)/panelPositions
	for column := 0; column < width; column += at {
		v.column, v.width = column, min(column+at, width)
		skip := v.aheadBytes / width * column * v.count // what the channels before have asked for
		for r, n := 0, 0; r < t.rows; r += n {
			n = tileRows(t.rows-r, k.valueTile)
			row := unsafe.Pointer(&sc.integers[r*integerStride])
			v.p, v.entry, v.out = unsafe.Add(row, integerBytes*lo), unsafe.Add(row, entryAt), unsafe.Pointer(&part[r*size+partHead])
			v.ahead, v.aheadSkip = &sc.panels[lo/panelPositions+skip/v.aheadBytes], skip%v.aheadBytes
			k.values[n](v)
		}
	}
	for i := lo / panelPositions; i < hi/panelPositions; i++ { // what comes next has been asked for
		sc.panels[i].ahead = sc.panels[i].v
	}
}
