package quant

import (
	"fmt"

	"llmc/internal/dtype"
)

// openCodes is how groups of codes become numbers in formats of checkpoints alone: a level of a table times the group's scale, or the
// code less the middle one, times the scale, plus the group's minimum, which follows the scale in a Block's Scales.
type openCodes struct {
	bits     float64      // of a code, and its share of what says its group
	levels   *[16]float32 // nil: codes are whole numbers
	middle   int32
	minimums bool
	split    bool // groups have two scales, and in a Block's Zeros the first column of the second one
	ordered  bool // the group of each column is in a Block's Index; codes have zero points
}

// tableFormats are the types of 4 bits of bitsandbytes (QLoRA, Dettmers et al. 2023): a level times the largest magnitude of a block.
var (
	tableFormats = append(tableFormat("nf4", "bitsandbytes' normal floats", 7, &dtype.NF4), tableFormat("fp4", "bitsandbytes' floating point", 0, &dtype.FP4)...)
	// q51Format is Q5_1 of GGUF files (llama.cpp, ggml-quants).
	q51Format = Format{
		Name: "q5_1", Doc: "5 bits of GGUF files, a scale and a minimum per 32 inputs; inputs f32; CPUs only",
		Type: "q5m.g32", DType: dtype.U8, Group: 32, ScaleBits: 16, opened: &openCodes{bits: 5, minimums: true}, bound: exactBound,
	}
	// q41Format, q50Format and iq4Format are Q4_1, Q5_0 and IQ4_NL likewise.
	q41Format = Format{
		Name: "q4_1", Doc: "4 bits of GGUF files, a scale and a minimum per 32 inputs; inputs 16 bits, a scale per 32; CPUs only",
		Type: "q4m.g32", DType: dtype.U4, Group: 32, ScaleBits: 16, Activation: "q16g", opened: &openCodes{bits: 4, minimums: true}, bound: exactBound,
	}
	q50Format = Format{
		Name: "q5_0", Doc: "5 bits of GGUF files, a scale per 32 inputs; inputs 16 bits, a scale per 32; CPUs only",
		Type: "q5.g32", DType: dtype.U8, Group: 32, ScaleBits: 16, Activation: "q16g", zero: 16, opened: &openCodes{bits: 5, middle: 16}, bound: exactBound,
	}
	iq4Format = Format{
		Name: "iq4_nl", Doc: "4 bits of GGUF files that stand for 16 levels, a scale per 32 inputs; inputs 16 bits, a scale per 32; CPUs only",
		Type: "iq4.g32", DType: dtype.U4, Group: 32, ScaleBits: 16, Activation: "q16g", zero: 8, opened: &openCodes{bits: 4, levels: &dtype.IQ4NL}, bound: exactBound,
	}
)

// orderedFormat is int4 or int8 with zero points, whose groups are any columns, of whatever number up to one for group of them: act-order (GPTQ, Frantar et al. 2022) of matrices
// that no input can be sorted for, and groups of other sizes than kernels have.
func orderedFormat(codes dtype.Type, group int) Format {
	bits := codes.Bits()
	return Format{
		Name: fmt.Sprintf("int%d-g%d-order", bits, group), Doc: fmt.Sprintf("%d bits, scales and zero points of groups of %d inputs anywhere in a row; inputs f32; CPUs only", bits, group),
		Type: fmt.Sprintf("int%do.g%d", bits, group), DType: codes, Group: group, ScaleBits: 16, ZeroBits: 8,
		opened: &openCodes{bits: float64(bits) + 0.5, ordered: true}, bound: exactBound,
	}
}

// tableFormat is levels with scales of 64 or 32 columns side by side, or with two scales in 32 columns, for blocks that go on from one row to the next.
func tableFormat(name, doc string, zero uint8, levels *[16]float32) []Format {
	f := Format{
		Name: name, Doc: "4 bits of " + doc + ", a scale in f32 per 64 inputs; inputs f32; CPUs only", Type: name + ".g64", DType: dtype.U4, Group: 64, ScaleBits: 32, zero: zero,
		opened: &openCodes{bits: 4, levels: levels}, bound: exactBound,
	}
	short, split := f, f
	short.Name, short.Doc, short.Type, short.Group = name+"-g32", "4 bits of "+doc+", a scale in f32 per 32 inputs; inputs f32; CPUs only", name+".g32", 32
	split.Name, split.Doc, split.Type, split.Group = name+"-split", "4 bits of "+doc+", up to two scales in f32 per 32 inputs; inputs f32; CPUs only", name+"s.g32", 32
	split.ZeroBits, split.opened = 8, &openCodes{bits: 4, levels: levels, split: true}
	return []Format{f, short, split}
}

// Ordered tells whether columns of the format say which group they are in.
func (f *Format) Ordered() bool { return f.opened != nil && f.opened.ordered }

// HasLevels tells whether codes of the format stand for these levels.
func (f *Format) HasLevels(levels *[16]float32) bool {
	return f.opened != nil && f.opened.levels != nil && *f.opened.levels == *levels
}

// exactBound is that of formats that nothing is rounded to.
func exactBound(int) (rms, most float64) { return 0, 0 }

// openNumbers writes the numbers of all rows, products and sums rounded one by one, as the checkpoints' own software does.
func (f *Format) openNumbers(dst []float32, b *Block) {
	o, groups := f.opened, f.Groups(b.Cols)
	if o.ordered {
		for i, code := range b.Codes {
			g := i/b.Cols*groups + int(b.Index[i])
			dst[i] = float32(int32(code)-int32(b.Zeros[g])) * b.Scales[g]
		}
		return
	}
	for i := range b.Rows * groups {
		r, g := i/groups, i%groups
		lo, hi := r*b.Cols+g*f.Group, r*b.Cols+min(b.Cols, (g+1)*f.Group)
		for k, code := range b.Codes[lo:hi] {
			if o.levels != nil {
				scale := i
				if o.split {
					scale *= 2
					if k >= int(b.Zeros[i]) {
						scale++
					}
				}
				dst[lo+k] = o.levels[code&15] * b.Scales[scale]
				continue
			}
			if !o.minimums {
				dst[lo+k] = float32(int32(code)-o.middle) * b.Scales[i]
				continue
			}
			dst[lo+k] = float32(float32(code)*b.Scales[2*i]) + b.Scales[2*i+1]
		}
	}
}
