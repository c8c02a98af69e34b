package layout

import (
	"fmt"

	"llmc/internal/quant"
)

// EntryBytes is the size of one Entry in memory.
const EntryBytes = 16

// RestSteps is how many steps of the second digit make one of the first.
const RestSteps = quant.RestSteps

// Entry is what a kernel needs to know of a part of a quantized activation row: a group (q8g, q16g) or a segment (q8t, q16t).
// Arrays are by digit; of one-digit formats the second element is 0.
type Entry struct {
	Scale   float32  // value = (first code + second code/RestSteps) * Scale; the t formats repeat the row's scale in each entry
	Bias    [2]int32 // -zero * sum of the codes, zero being 8 (g) or 128 (t): where the accumulators start
	NegSums [2]int16 // -sum of the codes, for zero points; g formats only, where it fits
}

// ActivationFormat is one form of the input of a linear.
type ActivationFormat struct {
	Name         string
	ElementBytes int   // of one digit
	Digits       int   // 2: a second code holds what the first leaves over
	Zero         int32 // of the weights that it meets: Entry.Bias = -Zero * sum; 0: no entries
	GroupScales  bool  // each entry has a scale of its own, else the row has one
	Scales       bool  // scales in f32 follow the codes, the row's or one for each group: there are no entries that hold them
	Maxima       bool  // the largest magnitude of every MaximaColumns numbers follows the numbers
}

// MaximaColumns is how many columns have one largest magnitude.
const MaximaColumns = 8

// ActivationFormats lists every form.
//
//	f32   [K] f32, not padded
//	bf16  [Kp] bf16
//	f16   [Kp] f16
//	f32m  [K] f32, then the largest magnitude of every eight of them, [K/8] f32; K is a multiple of 8
//	q8t   [Kp] i8 in [-127, 127], then one Entry per segment; one scale per row
//	q8g   [Kp] i8 in [-127, 127], then one Entry per group, with a scale of its own
//	q16t, q16g   [Kp/4][2][4] i8, four codes of the first digit before four of the second, then entries as in q8t and q8g
//	e4m3t        [Kp] e4m3, then the row's scale, f32
//	e4m3g        [Kp] e4m3, then the scale of each group, f32
//	s8t          [Kp] i8 in [-127, 127], then the row's scale, f32
//
// Integer weights are multiplied with q16: 8 bits for an input lose more of a model than 8 bits for a weight do, because inputs have
// outliers, and a product with the second digit costs a step that waits for memory nothing. GPUs multiply weights of e4m3 with
// e4m3t or e4m3g, and signed weights of 8 bits, which need no sums of codes, with s8t.
//
// Kp is K rounded up to 64, padding is zero.
var ActivationFormats = []ActivationFormat{
	{Name: "f32", ElementBytes: 4, Digits: 1},
	{Name: "bf16", ElementBytes: 2, Digits: 1},
	{Name: "f16", ElementBytes: 2, Digits: 1},
	{Name: "f32m", ElementBytes: 4, Digits: 1, Maxima: true},
	{Name: "q8t", ElementBytes: 1, Digits: 1, Zero: u8Zero},
	{Name: "q8g", ElementBytes: 1, Digits: 1, Zero: u4Zero, GroupScales: true},
	{Name: "q16t", ElementBytes: 1, Digits: 2, Zero: u8Zero},
	{Name: "q16g", ElementBytes: 1, Digits: 2, Zero: u4Zero, GroupScales: true},
	{Name: "e4m3t", ElementBytes: 1, Digits: 1, Scales: true},
	{Name: "e4m3g", ElementBytes: 1, Digits: 1, GroupScales: true, Scales: true},
	{Name: "s8t", ElementBytes: 1, Digits: 1, Scales: true},
}

// Activation describes the rows of a linear's input.
type Activation struct {
	*ActivationFormat
	K     int
	Group int // k per Entry or scale: the weight's group (q8g, e4m3g) or segment (q8t)
}

// NewActivation describes rows of k elements in format; group is the k per entry of quantized formats.
func NewActivation(format string, k, group int) (Activation, error) {
	if k < 1 || k > maxK {
		return Activation{}, fmt.Errorf("activation of %d: must be within 1..%d", k, maxK)
	}
	for i := range ActivationFormats {
		f := &ActivationFormats[i]
		if f.Name != format {
			continue
		}
		if f.Zero == 0 && !f.GroupScales {
			group = 0
		} else if group < 1 || group%inputUnit != 0 || group > maxDotK && k > maxDotK {
			return Activation{}, fmt.Errorf("activation %s: group of %d must be a multiple of %d up to %d", format, group, inputUnit, maxDotK)
		}
		return Activation{f, k, group}, nil
	}
	return Activation{}, fmt.Errorf("unknown activation format %q", format)
}

// Input describes the activation that the weight is multiplied with.
func (l Linear) Input() Activation {
	group := l.Group
	if group == 0 {
		group = l.Segment
	}
	a, err := NewActivation(l.Activation, l.K, group)
	if err != nil {
		panic("layout: " + err.Error()) // a Linear made by New always has an input
	}
	return a
}

// KPad returns the elements of a row that are stored, padding included.
func (a Activation) KPad() int {
	if a.ElementBytes == 4 {
		return a.K
	}
	return roundUp(a.K, rowUnit)
}

// Entries returns the number of entries of a row.
func (a Activation) Entries() int {
	if a.Group == 0 || a.Scales {
		return 0
	}
	return ceilDiv(a.K, a.Group)
}

// CodeOffset returns where a digit of element k lies in a row of codes.
func (a Activation) CodeOffset(k, digit int) int {
	const codes = 4 // of one digit side by side: what a step of a weight's lane is multiplied with
	return (k/codes*a.Digits+digit)*codes + k%codes
}

// EntryOffset returns where the entries start in a row.
func (a Activation) EntryOffset() int { return a.KPad() * a.ElementBytes * a.Digits }

// OneDigit returns the form without the second digit; a form with one is its own.
func (a Activation) OneDigit() Activation {
	for i := range ActivationFormats {
		if f := &ActivationFormats[i]; f.Zero == a.Zero && f.ElementBytes == a.ElementBytes && f.Digits == 1 {
			return Activation{f, a.K, a.Group}
		}
	}
	panic("layout: no form of one digit")
}

// inputUnit is what groups of inputs are multiples of: a vector that quantizers write.
const inputUnit = 16

// scaleBytes is the size of the scale of a row.
const scaleBytes = 4

// ScaleOffset returns where the scales of a row lie that has them behind its codes.
func (a Activation) ScaleOffset() int { return a.EntryOffset() }

// Coded tells whether rows are more than their numbers.
func (f *ActivationFormat) Coded() bool { return f.Zero != 0 || f.Scales || f.Maxima }

// MaximaOffset returns where the largest magnitudes of a row lie.
func (a Activation) MaximaOffset() int { return a.EntryOffset() }

// Bytes returns how much of a row is used.
func (a Activation) Bytes() int {
	switch {
	case a.Scales && a.Group > 0:
		return a.ScaleOffset() + scaleBytes*ceilDiv(a.K, a.Group)
	case a.Scales:
		return a.ScaleOffset() + scaleBytes
	case a.Maxima:
		return a.MaximaOffset() + a.KPad()/MaximaColumns*a.ElementBytes
	}
	return a.EntryOffset() + a.Entries()*EntryBytes
}

// RowBytes returns the distance between rows when nothing else decides it. Padded formats use an odd number of cache
// lines: rows that are a power of two apart would compete for the same few lines of the first-level cache.
func (a Activation) RowBytes() int {
	n := a.Bytes()
	if a.ElementBytes == 4 {
		return n
	}
	return (ceilDiv(n, Align) | 1) * Align
}
