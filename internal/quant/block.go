package quant

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// Block holds the codes of some rows of a weight. Its slices are reused from one Quantize to the next.
type Block struct {
	Rows, Cols int
	Codes      []uint8   // [Rows, Cols], one code a byte; int8: value+128, int4: 0..15, fp8: e4m3
	Scales     []float32 // [Rows, Groups]; [Rows] where groups have steps; [Rows, Groups, 2] with minimums, or where groups are split; [Rows, Groups+1] with those of rows
	Zeros      []uint8   // [Rows, Groups]; nil unless the format stores zero points, offsets or where groups are split
	Steps      []uint8   // [Rows, Groups]; nil unless the format has steps

	Index []uint16 // [Rows, Cols], the group of each column; nil unless the format is ordered

	low, high []float32 // of each group of a row, where that is needed: scratch

	first  int     // the first row's number in the weight
	limits *Limits // of formats whose rows share scales
}

// Resize makes room for the codes of rows of cols elements.
func (b *Block) Resize(f *Format, rows, cols int) {
	groups := rows * f.Groups(cols)
	b.Rows, b.Cols = rows, cols
	b.Codes = slices.Grow(b.Codes[:0], rows*cols)[:rows*cols]
	b.Scales = slices.Grow(b.Scales[:0], rows*f.scales(cols))[:rows*f.scales(cols)]
	if f.super != nil {
		groups = rows * f.subgroups(cols)
	}
	b.Index = b.Index[:0]
	if f.Ordered() {
		b.Index = slices.Grow(b.Index, rows*cols)[:rows*cols]
	}
	b.Zeros, b.Steps = groupBytes(b.Zeros, groups, f.ZeroBits), groupBytes(b.Steps, groups, f.StepBits)
}

// groupBytes makes room for a byte of each group, where a format has bits of it.
func groupBytes(s []uint8, groups, bits int) []uint8 {
	if bits == 0 {
		return nil
	}
	return slices.Grow(s[:0], groups)[:groups]
}

// SetRows puts the rows of another block of the same format and length of rows at row at.
func (b *Block) SetRows(at int, rows *Block) {
	copy(b.Codes[at*b.Cols:], rows.Codes)
	groups := len(b.Scales) / b.Rows
	copy(b.Scales[at*groups:], rows.Scales)
	copy(b.Zeros[at*(len(b.Zeros)/b.Rows):], rows.Zeros)
	copy(b.Steps[at*(len(b.Steps)/b.Rows):], rows.Steps)
	copy(b.Index[at*(len(b.Index)/b.Rows):], rows.Index)
}

// SetRow makes b the row at of a block of format f.
func (b *Block) SetRow(f *Format, rows *Block, at int) {
	b.Resize(f, 1, rows.Cols)
	copy(b.Codes, rows.Codes[at*rows.Cols:])
	copy(b.Scales, rows.Scales[at*len(b.Scales):])
	copy(b.Zeros, rows.Zeros[at*len(b.Zeros):])
	copy(b.Steps, rows.Steps[at*len(b.Steps):])
	copy(b.Index, rows.Index[at*len(b.Index):])
}

// SetZero makes n rows from row at on zero.
func (b *Block) SetZero(f *Format, at, n int) {
	groups := len(b.Scales) / b.Rows
	fill(b.Codes[at*b.Cols:(at+n)*b.Cols], f.zero)
	clear(b.Scales[at*groups : (at+n)*groups])
	zeros, steps := len(b.Zeros)/b.Rows, len(b.Steps)/b.Rows
	clear(b.Zeros[at*zeros : (at+n)*zeros])
	clear(b.Steps[at*steps : (at+n)*steps])
	index := len(b.Index) / b.Rows
	clear(b.Index[at*index : (at+n)*index])
}

// Quantize fills b with the codes of x, rows of cols elements. Each row is quantized on its own; where rows share scales, x is the whole weight.
func (f *Format) Quantize(b *Block, x []float32, cols int) error {
	if err := f.checkRows(x, cols); err != nil {
		return err
	}
	limits := f.NewLimits(len(x)/cols, cols)
	if err := limits.Add(x, 0); err != nil {
		return err
	}
	return f.QuantizeRows(b, x, cols, 0, limits)
}

// QuantizeRows does so for the rows of a weight from first on, with the limits of all its rows; these are nil for formats whose rows have scales
// of their own.
func (f *Format) QuantizeRows(b *Block, x []float32, cols, first int, limits *Limits) error {
	if err := f.checkRows(x, cols); err != nil {
		return err
	}
	b.Resize(f, len(x)/cols, cols)
	b.first, b.limits = first, limits
	for r := range b.Rows {
		if err := f.quantize(f, b, r, x[r*cols:(r+1)*cols]); err != nil {
			return fmt.Errorf("row %d: %w", r, err)
		}
	}
	return nil
}

func (f *Format) checkRows(x []float32, cols int) error {
	if f.Plain() {
		return fmt.Errorf("format %s has no codes", f.Name)
	}
	if f.Imported() {
		return fmt.Errorf("nothing is rounded to %s: its codes come from checkpoints", f.Name)
	}
	if cols < 1 || len(x)%cols != 0 {
		return fmt.Errorf("%d elements are not rows of %d", len(x), cols)
	}
	return nil
}

// Dequantize writes the numbers that b stands for to dst, [b.Rows, b.Cols].
func (f *Format) Dequantize(dst []float32, b *Block) {
	groups, size := f.Groups(b.Cols), f.groupSize(b.Cols)
	if f.super != nil {
		f.superNumbers(dst, b)
		return
	}
	if f.opened != nil {
		f.openNumbers(dst, b)
		return
	}
	if f.tiered {
		f.tieredNumbers(dst, b)
		return
	}
	if f.StepBits > 0 {
		for r := range b.Rows {
			b.nestedNumbers(dst[r*b.Cols:(r+1)*b.Cols], r)
		}
		return
	}
	for i := range b.Rows * groups {
		zero := f.zero
		if f.ZeroBits > 0 {
			zero = b.Zeros[i]
		}
		r, g := i/groups, i%groups
		lo, hi := r*b.Cols+g*size, r*b.Cols+min(b.Cols, (g+1)*size)
		if f.levels != nil {
			for k, code := range b.Codes[lo:hi] {
				dst[lo+k] = f.levels[code] * b.Scales[i]
			}
			continue
		}
		for k, code := range b.Codes[lo:hi] {
			dst[lo+k] = float32(int32(code)-int32(zero)) * b.Scales[i]
		}
	}
}

func (f *Format) groupSize(cols int) int {
	if f.Group == 0 {
		return cols
	}
	return f.Group
}

// eachGroup calls fit with the index of each group's scale, its numbers and its codes.
func (f *Format) eachGroup(b *Block, row int, x []float32, fit func(i int, x []float32, codes []uint8) error) error {
	groups, size := f.Groups(b.Cols), f.groupSize(b.Cols)
	codes := b.Codes[row*b.Cols : (row+1)*b.Cols]
	for g := range groups {
		lo, hi := g*size, min(b.Cols, (g+1)*size)
		if err := fit(row*groups+g, x[lo:hi], codes[lo:hi]); err != nil {
			return fmt.Errorf("columns %d to %d: %w", lo, hi, err)
		}
	}
	return nil
}

var errNotFinite = errors.New("a weight is infinite or not a number")

// extreme returns the element of largest magnitude, the negative one of several. It compares bits turned left by one, so that
// the sign comes last; infinities and NaNs are then the largest.
func extreme(x []float32) (float32, error) {
	var even, odd uint32
	for len(x) >= 2 {
		even = max(even, bits.RotateLeft32(math.Float32bits(x[0]), 1))
		odd = max(odd, bits.RotateLeft32(math.Float32bits(x[1]), 1))
		x = x[2:]
	}
	for _, v := range x {
		even = max(even, bits.RotateLeft32(math.Float32bits(v), 1))
	}
	most := max(even, odd)
	if most >= infinity<<1 {
		return 0, errNotFinite
	}
	return math.Float32frombits(bits.RotateLeft32(most, -1)), nil
}

// span returns the range of finite numbers. It compares them as integers in the same order, which takes no branches.
func span(x []float32) (low, high float32) {
	first := ordered(math.Float32bits(x[0]))
	low0, low1, high0, high1 := first, first, first, first
	for len(x) >= 2 {
		v := (*[2]float32)(x)
		a, b := ordered(math.Float32bits(v[0])), ordered(math.Float32bits(v[1]))
		low0, low1 = min(low0, a), min(low1, b)
		high0, high1 = max(high0, a), max(high1, b)
		x = x[2:]
	}
	for _, v := range x {
		a := ordered(math.Float32bits(v))
		low0, high0 = min(low0, a), max(high0, a)
	}
	number := func(i int32) float32 { return math.Float32frombits(uint32(ordered(uint32(i)))) }
	return number(min(low0, low1)), number(max(high0, high1))
}

// ordered turns the bits of numbers into integers of the same order, and back.
func ordered(bits uint32) int32 {
	i := int32(bits)
	return i ^ int32(uint32(i>>31)>>1)
}

const (
	signBit  = 1 << 31
	infinity = 0x7f800000
)

func abs(x float32) float32 { return math.Float32frombits(math.Float32bits(x) &^ signBit) }

// roundMagic, added to a number of magnitude below 2^22, rounds it to an integer (to nearest, ties to even), which is then in the
// sum's low bits. Subtracting it gives the integer as a number.
const roundMagic = 3 << 22
