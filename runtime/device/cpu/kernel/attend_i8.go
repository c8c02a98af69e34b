package kernel

import (
	"unsafe"

	"llmc/engine/layout"
	"llmc/internal/dtype"
)

// A cache of i8 is multiplied as integers, whose sums are exact in whatever order: queries, and softmax weights times the scales of values, have
// two digits with one scale for each row (of a split, for weights). Positions that a row does not see have digits of zero, so that nobody cares
// what their slots hold.

// digitsI8 is the number of digits of queries and weights.
const digitsI8 = 2

// digitStride is the distance of the digits of the weights of two rows.
const digitStride = SplitLength*digitsI8 + entryBytes

// entryBytes is the room for a row's entry behind its digits: rows stay aligned.
const entryBytes = layout.Align

// valueI8Args: values of whole panels of positions, weighted by rows of digits.
type valueI8Args struct {
	p         unsafe.Pointer // [rows], 8 bytes for each four positions
	pStride   int
	entry     unsafe.Pointer // of row 0; others are pStride apart
	panels    *scorePanel
	count     int            // panels
	vStride   int            // bytes of four positions
	out       unsafe.Pointer // [rows][width/4] f32
	outStride int
	width     int // bytes of a row of sums
}

type valueI8Func func(a *valueI8Args)

// quadSums adds the products of four unsigned codes with four numbers of each digit.
func quadSums(sums *[digitsI8]int32, codes [4]uint8, digits [digitsI8][4]int8) {
	for d := range sums {
		for j, code := range codes {
			sums[d] += int32(code) * int32(digits[d][j])
		}
	}
}

func refScoreI8(rows int) scoreFunc {
	return func(a *scoreArgs) {
		for r := range rows {
			entry := at[layout.Entry](a.entry, r*a.qStride)
			for i := range a.count * panelPositions {
				p := unsafe.Slice(a.panels, a.count)[i/panelPositions]
				sums := entry.Bias
				for d := range a.lines {
					quadSums(&sums, *at[[4]uint8](p.k, 4*(d*panelPositions+i%panelPositions)), *at[[digitsI8][4]int8](a.q, r*a.qStride+8*d))
				}
				scale := dtype.F16ToF32(*at[uint16](p.scales, scaleBytes*(i%panelPositions)))
				*at[float32](a.out, r*a.outStride+4*i) = joinDigits(sums[:]) * (scale * entry.Scale)
			}
		}
	}
}

func refValueI8(rows int) valueI8Func {
	return func(a *valueI8Args) {
		const quads = panelPositions / 4
		for r := range rows {
			entry := at[layout.Entry](a.entry, r*a.pStride)
			for c := range a.width / 4 {
				sums := entry.Bias
				for i, p := range unsafe.Slice(a.panels, a.count) {
					for j := range quads {
						quadSums(&sums, *at[[4]uint8](p.v, j*a.vStride+4*c), *at[[digitsI8][4]int8](a.p, r*a.pStride+8*(i*quads+j)))
					}
				}
				*at[float32](a.out, r*a.outStride+4*c) = joinDigits(sums[:]) * entry.Scale
			}
		}
	}
}

// digitRow stores the digits of a row x, and zeros up to whole vectors, with their entry at entryAt.
func (s *Set) digitRow(row []byte, x []float32, entryAt int) {
	scale, inverse := quantizer(s.row.maxAbs(&x[0], len(x)))
	first, second := s.row.quantize[digitsI8]((*int8)(unsafe.Pointer(&row[0])), &x[0], len(x), scale, inverse)
	*at[layout.Entry](unsafe.Pointer(&row[0]), entryAt) = layout.Entry{Scale: scale, Bias: [2]int32{-zeroI8 * first, -zeroI8 * second}}
}

// valuesI8 turns the softmax weights of the tile's rows, times the scales of values, into digits, and sums the values.
func (s *Set) valuesI8(sc *attendScratch, t *attendTile, part []float32) {
	const entryAt = SplitLength * digitsI8
	unit := panelPositions
	if t.tiles {
		unit = tileBlockI8
	}
	lo, hi := t.span()
	lo, hi = lo&^(unit-1), (hi+unit-1)&^(unit-1)
	for i := range t.rows {
		from, to := t.visible(i)
		from, to = from&^(panelPositions-1), (to+panelPositions-1)&^(panelPositions-1)
		row := sc.digits[i*digitStride : (i+1)*digitStride]
		clear(row[digitsI8*lo : digitsI8*from])
		clear(row[digitsI8*to : digitsI8*hi])
		s.digitRow(row[digitsI8*from:], sc.scores[i*SplitLength+from:i*SplitLength+to], entryAt-digitsI8*from)
	}
	if t.tiles {
		s.tileValues(sc, t, lo, hi, part)
		return
	}
	size := t.PartFloats()
	k := &s.attend[kvI8]
	for r, n := 0, 0; r < t.rows; r += n {
		n = tileRows(t.rows-r, k.valueTile)
		row := unsafe.Pointer(&sc.digits[r*digitStride])
		sc.valueI8 = valueI8Args{
			p: unsafe.Add(row, digitsI8*lo), pStride: digitStride, entry: unsafe.Add(row, entryAt),
			panels: &sc.panels[lo/panelPositions], count: (hi - lo) / panelPositions, vStride: t.VRowBytes(),
			out: unsafe.Pointer(&part[r*size+partHead]), outStride: 4 * size, width: 4 * t.DimV(),
		}
		k.values[n](&sc.valueI8)
	}
}
