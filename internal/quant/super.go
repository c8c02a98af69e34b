package quant

import "llmc/internal/dtype"

// superblock is how a K-quant (llama.cpp, ggml-quants) stores rows: superblocks of 256 elements have a scale, and one of offsets, in f16; groups of sub
// elements have a whole step, signed, and a whole offset. A code c stands for (scale*step)*(c-zero) - offsetScale*offset.
//
// Of a Block, Scales are [Rows, superblocks], or [Rows, superblocks, 2] with those of offsets; Steps and Zeros, which hold the offsets, [Rows, groups].
type superblock struct {
	sub     int
	offsets bool
	zero    int32
}

// superGroup is the number of elements of a superblock.
const superGroup = 256

// StoredFormats are formats whose codes checkpoints have and nothing is rounded to, so --quant does not take them.
var StoredFormats = append([]Format{
	superFormat("q2_k", "q2k", "2 bits in 4", dtype.U4, superblock{sub: 16, offsets: true}),
	superFormat("q3_k", "q3k", "3 bits in 4", dtype.U4, superblock{sub: 16, zero: 4}),
	superFormat("q4_k", "q4k", "4 bits", dtype.U4, superblock{sub: 32, offsets: true}),
	superFormat("q5_k", "q5k", "5 bits in 8", dtype.U8, superblock{sub: 32, offsets: true}),
	superFormat("q6_k", "q6k", "6 bits in 8", dtype.U8, superblock{sub: 16, zero: 32}),
	q51Format, q41Format, q50Format, iq4Format,
	orderedFormat(dtype.U4, 16), orderedFormat(dtype.U4, 32), orderedFormat(dtype.U4, 64), orderedFormat(dtype.U4, 128),
	orderedFormat(dtype.U8, 16), orderedFormat(dtype.U8, 32), orderedFormat(dtype.U8, 64), orderedFormat(dtype.U8, 128),
}, tableFormats...)

func superFormat(name, base, doc string, codes dtype.Type, s superblock) Format {
	f := Format{
		Name: name, Doc: doc + " of GGUF files, scales of two levels; inputs 16 bits, a scale per 256; CPUs only", Type: base + ".g256", DType: codes, Group: superGroup,
		ScaleBits: 16, StepBits: 8, Activation: "q16g", super: &s,
		bound: func(int) (rms, most float64) { return 0, 0 }, // nothing is rounded
	}
	if s.offsets {
		f.ZeroBits = 8
	}
	return f
}

// subgroups returns the number of groups of a row.
func (f *Format) subgroups(cols int) int { return (cols + f.super.sub - 1) / f.super.sub }

// superNumbers writes the numbers of all rows, products and differences rounded one by one, as the gguf package for Python does.
func (f *Format) superNumbers(dst []float32, b *Block) {
	s, groups, scales := f.super, f.subgroups(b.Cols), f.scales(b.Cols)
	for r := range b.Rows {
		for g := range groups {
			lo, hi := g*s.sub, min(b.Cols, (g+1)*s.sub)
			super := lo / superGroup
			at := r*groups + g
			if s.offsets {
				super *= 2
			}
			scale := b.Scales[r*scales+super] * float32(int8(b.Steps[at]))
			var offset float32
			if s.offsets {
				offset = b.Scales[r*scales+super+1] * float32(b.Zeros[at])
			}
			for k := r*b.Cols + lo; k < r*b.Cols+hi; k++ {
				dst[k] = float32(scale*float32(int32(b.Codes[k])-s.zero)) - offset
			}
		}
	}
}
