// Package quant owns the formats of quantized numbers: for each, one file with how numbers become codes, what codes stand
// for, and how far apart the two may be.
//
// A code c in a group with scale s and zero point z stands for (c-z)*s; a code of 8-bit floating point for its number times s. Weights are quantized in blocks of rows, each row on
// its own, so that neither the size of the blocks nor the number of threads changes a result. All arithmetic is f32 without fused
// multiply-add (products are rounded by explicit conversions), so that no host changes one either.
//
// The package does not know how codes are packed for a kernel (engine/layout does), nor which weights to quantize.
package quant

import (
	"fmt"
	"strings"

	"llmc/internal/dtype"
)

// Format is one way to store the weights of linear layers.
type Format struct {
	Name string // as --quant takes it
	Doc  string
	// Type is how types of the IR spell it after the colon: "int8", "int4.g32"; "" for plain numbers.
	Type string
	// DType is the element type: of the numbers, or of the codes.
	DType dtype.Type
	// Group is how many elements of a row share a scale; 0: the whole row, or no scale at all.
	Group int
	// Rows is how many rows share a scale, from row 0 of the weight on: AllRows for one scale of the weight. 0: each has its own.
	Rows int
	// ScaleBits and ZeroBits are the sizes of the scale and of the zero point of a group of one row, which may be a share of what is stored; 0: none.
	ScaleBits, ZeroBits int
	// StepBits is the size of a group's step where rows have one scale and groups have whole steps and offsets (in place of zero points) in it; 0: none.
	StepBits int
	// Activation is the form of the inputs that its products of codes take: "q16t", "q16g", "q8g", "s8t", "e4m3t", "e4m3g"; "" where inputs are numbers.
	Activation string
	// Rotate tells that inputs have so few bits that the model is to be turned, so that they have no outliers.
	Rotate bool

	super    *superblock   // of K-quants, whose codes come from checkpoints alone
	opened   *openCodes    // of codes that kernels make numbers of, which come from checkpoints alone too
	tiered   bool          // scales of groups are e4m3, and a row has one of f32 that they are multiplied with: behind them in a Block's Scales
	zero     uint8         // zero point of formats that do not store one
	levels   *[256]float32 // what codes stand for at scale one; nil: integers, less the zero point
	quantize func(f *Format, b *Block, row int, x []float32) error
	// nearest is the code nearest to x on the line of levels; nil where codes are not chosen one by one.
	nearest func(x, inverse, start float32) uint8
	// fit chooses the levels of a group, or of a row where Group is 0; nil where codes are not chosen one by one. e is the element of largest magnitude.
	fit func(f *Format, b *Block, row, group int, x, weight []float32, e float32) (Levels, error)
	// near is the scale of a group next to one that the format stores; nil: that of f16.
	near func(l Levels, scale float32) float32
	// bound returns the largest root mean square error of a group, and the largest error of one element of a group of size
	// elements, as parts of the group's largest magnitude.
	bound func(size int) (rms, most float64)
}

// Formats lists every format of weights.
var Formats = []Format{
	{Name: "f32", Doc: "single precision", DType: dtype.F32},
	{Name: "bf16", Doc: "8 bits of mantissa", DType: dtype.BF16},
	{Name: "f16", Doc: "11 bits of mantissa, up to 65504; inputs the same; GPUs only", DType: dtype.F16},
	int8Format, int8BothFormat, fp8Format, fp8TensorFormat, fp8BlockFormat,
	int4NestedFormat(), int4Format(32), int4Format(64), int4Format(128),
	int4ZeroFormat(32), int4ZeroFormat(64), int4ZeroFormat(128),
	mxfp4Format, nvfp4Format,
	int4NestedBothFormat(), oneDigit(int4Format(32)), oneDigit(int4Format(64)), oneDigit(int4Format(128)),
	oneDigit(int4ZeroFormat(32)), oneDigit(int4ZeroFormat(64)), oneDigit(int4ZeroFormat(128)),
}

// AllRows is the Rows of formats with one scale for a whole weight.
const AllRows = 1 << 30

// Aliases are short names of formats: the first that a target takes, the last where nothing is known of targets.
var Aliases = []Alias{
	{"int4", []string{"int4-nested", "int4-g32"}},
	{"int4-zp", []string{"int4-g32-zp"}},
	{"int4-a8", []string{"int4-nested-a8"}},
	{"int4-zp-a8", []string{"int4-g32-zp-a8"}},
}

// Alias is a short name of the best of some formats.
type Alias struct {
	Name    string
	Formats []string
}

// Find returns the format that --quant calls name.
func Find(name string) (*Format, error) { return FindFor(name, func(*Format) bool { return false }) }

// FindFor returns the format that --quant calls name on a target that takes some.
func FindFor(name string, takes func(*Format) bool) (*Format, error) {
	for _, a := range Aliases {
		if a.Name != name {
			continue
		}
		for _, name = range a.Formats {
			if f, err := Find(name); err != nil || takes(f) {
				return f, err
			}
		}
	}
	if f := findIn(func(f *Format) bool { return f.Name == name }); f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("unknown format %q; there are %s", name, strings.Join(Names(), ", "))
}

// FindType returns the format that IR types spell as quant.
func FindType(quant string) (*Format, error) {
	if f := findIn(func(f *Format) bool { return f.Type == quant && quant != "" }); f != nil {
		return f, nil
	}
	return nil, fmt.Errorf("unknown quantized type %q", quant)
}

func findIn(fits func(f *Format) bool) *Format {
	for _, list := range [][]Format{Formats, StoredFormats} {
		for i := range list {
			if fits(&list[i]) {
				return &list[i]
			}
		}
	}
	return nil
}

// Names lists what Find takes: formats, then aliases.
func Names() []string {
	var all []string
	for _, f := range Formats {
		all = append(all, f.Name)
	}
	for _, a := range Aliases {
		all = append(all, a.Name)
	}
	return all
}

// Plain tells whether the format holds numbers instead of codes.
func (f *Format) Plain() bool { return f.quantize == nil && !f.Imported() }

// Imported tells whether codes of the format come from checkpoints alone: nothing is rounded to it.
func (f *Format) Imported() bool { return f.super != nil || f.opened != nil }

// SharesCodes tells whether the codes and scales of one format are those of the other, whatever inputs they are multiplied with.
func (f *Format) SharesCodes(other *Format) bool {
	return !f.Plain() && !other.Plain() && f.DType == other.DType && f.Group == other.Group && f.Rows == other.Rows && f.zero == other.zero &&
		f.ScaleBits == other.ScaleBits && f.ZeroBits == other.ZeroBits && f.super == other.super && f.opened == other.opened && f.tiered == other.tiered
}

// Groups returns the number of scales of a row of cols elements; 0 for plain formats. The last group may be short.
func (f *Format) Groups(cols int) int {
	switch {
	case f.Plain():
		return 0
	case f.Group == 0:
		return 1
	}
	return (cols + f.Group - 1) / f.Group
}

// BitsPerWeight returns the bits that an element of a row of cols elements takes, its share of scales and zero points included.
func (f *Format) BitsPerWeight(cols int) float64 {
	if f.super != nil {
		return float64(f.DType.Bits()) + (float64(f.scales(cols)*f.ScaleBits)+float64(f.subgroups(cols)*(f.StepBits+f.ZeroBits)))/float64(cols)
	}
	bits := float64(f.DType.Bits())
	if f.tiered {
		return bits + float64(f.Groups(cols)*f.ScaleBits+rowScaleBits)/float64(cols)
	}
	if f.opened != nil {
		bits = f.opened.bits
	}
	return bits + float64(f.scales(cols)*f.ScaleBits+f.Groups(cols)*(f.StepBits+f.ZeroBits))/float64(cols)
}

// scales returns the number of scales of a row of cols elements.
func (f *Format) scales(cols int) int {
	switch {
	case f.super != nil && f.super.offsets, f.opened != nil && (f.opened.minimums || f.opened.split):
		return 2 * f.Groups(cols)
	case f.super == nil && f.StepBits > 0:
		return 1
	case f.tiered:
		return f.Groups(cols) + 1
	}
	return f.Groups(cols)
}

// Scales returns the number of scales of a row of cols elements of a format whose codes are chosen one by one: of as many columns each as BoundColumns says, but for those of two tiers.
func (f *Format) Scales(cols int) int { return f.scales(cols) }

// NearestScale returns the scale next to x that the format stores.
func (f *Format) NearestScale(x float32) float32 {
	if f.ScaleBits == 16 {
		return dtype.F16ToF32(dtype.F32ToF16(x))
	}
	return x
}

// BoundColumns returns how many of cols columns have one largest magnitude that bounds their errors: those that share a scale.
func (f *Format) BoundColumns(cols int) int {
	if f.Group == 0 || f.StepBits > 0 || f.tiered {
		return cols
	}
	return f.Group
}

// ErrorBound returns how far dequantized numbers may be from the originals among the size elements of BoundColumns whose largest magnitude
// is amax: the root mean square over the group, and the most for one element. Plain formats have no bound here.
func (f *Format) ErrorBound(amax float32, size int) (rms, most float32) {
	if f.Plain() {
		return 0, 0
	}
	r, m := f.bound(size)
	return float32(r*float64(amax) + tiny), float32(m*float64(amax) + tiny)
}

// tiny is what numbers may lose that are too small for their scale: half the smallest f16, times the largest code.
const tiny = 15 * 0x1p-25
