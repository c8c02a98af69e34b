package stored

import (
	"strings"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// attachBitsAndBytes reads what the library bitsandbytes stores. With 8 bits (Dettmers et al. 2022) a linear is
//
//	weight [N, K] i8, SCB [N] the largest magnitude of an output, which is 127 steps
//
// The columns that the library multiplies in more bits when it runs are not marked in the file; all have codes. With 4 bits (QLoRA, Dettmers et al.
// 2023) see table.go.
func attachBitsAndBytes(c *hf.Checkpoint, f *hf.Fields) error {
	four, eight := f.BoolOr("load_in_4bit", false), f.BoolOr("load_in_8bit", false)
	if four == eight {
		f.Fail("load_in_4bit", "%v and load_in_8bit %v do not say which; supported is one of them", four, eight)
	}
	if kind := f.TextOr("bnb_4bit_quant_type", "fp4"); four && kind != "nf4" && kind != "fp4" {
		f.Fail("bnb_4bit_quant_type", "%.40q is not read; supported are nf4, fp4", kind)
	}
	if err := f.Err(); err != nil {
		return err
	}
	if four {
		return linears(c, "weight", func(l *linear) error { return l.attachTable() })
	}
	return linears(c, "weight", func(l *linear) error {
		if l.first.DType != dtype.I8 {
			return nil
		}
		return l.attachSCB()
	})
}

func (l *linear) attachSCB() error {
	rows, cols, ok := l.matrix()
	if !ok {
		return l.err
	}
	most := l.part("SCB", floats, []int64{rows})
	order := l.optional("weight_format")
	l.check(order, octets, []int64{})
	if l.err != nil {
		return l.err
	}
	if order != nil {
		var kind [1]byte
		if err := order.ReadRaw(kind[:], 0, 1); err != nil {
			return err
		}
		if kind[0] != 0 {
			return order.Errorf("weights in the order of one kernel (%d) are not read; supported is 0, rows", kind[0])
		}
	}
	g := &grid{rows: rows, cols: cols, bits: 8, group: cols, zero: 128}
	g.unpack = func(dst []uint8, lo, hi int64) error { return unpackSigned(dst, l.first, lo, hi) }
	g.scales = func(dst []float32, lo, hi int64) error {
		err := most.ReadRows(dst, lo, hi)
		for i := range dst {
			dst[i] /= 127
		}
		return err
	}
	return g.finish(l, "bitsandbytes", most)
}

// unpackSigned reads signed bytes as codes with 128 added.
func unpackSigned(dst []uint8, t *hf.Tensor, lo, hi int64) error {
	err := t.ReadRaw(dst, lo, hi)
	for i := range dst {
		dst[i] ^= 128
	}
	return err
}

// table is a matrix of 4-bit indices into 16 levels, with a scale for each block of consecutive elements of all rows. The scales may be codes
// themselves: nested.
type table struct {
	weight *hf.Tensor
	cols   int64
	levels [16]float32
	block  int64
	absmax *hf.Tensor

	nested       *hf.Tensor // scales of the codes that absmax are; nil: absmax are numbers
	nestedLevels []float32
	nestedBlock  int64
	offset       float32
}

// quantState is the JSON text that comes with a weight.
func (l *linear) quantState() (*hf.Fields, string, error) {
	const prefix = "weight.quant_state.bitsandbytes__"
	for _, kind := range []string{"nf4", "fp4"} {
		t := l.optional(prefix + kind)
		if t == nil {
			continue
		}
		l.check(t, octets, []int64{t.Elements()})
		if l.err == nil && t.Elements() > maxState {
			l.err = t.Errorf("takes %d bytes, at most %d", t.Elements(), maxState)
		}
		if l.err != nil {
			return nil, "", l.err
		}
		text := make([]byte, t.Elements())
		if err := t.ReadRaw(text, 0, t.Elements()); err != nil {
			return nil, "", err
		}
		state, err := hf.ParseObject(t.File()+": tensor "+t.Name, text)
		if err != nil {
			return nil, "", err
		}
		return state.Fields(), kind, nil
	}
	return nil, "", nil
}

const maxState = 1 << 16

// attachTable reads, for a linear of N outputs and K inputs with a quant_state,
//
//	weight [N*K/2, 1] bytes of two indices, the first in the upper half; its element type may be any
//	weight.quant_map [16] the levels
//	weight.absmax [blocks] scales of blocks; nested, codes into weight.nested_quant_map [256] times weight.nested_absmax, plus an offset
func (l *linear) attachTable() error {
	state, kind, err := l.quantState()
	if err != nil || state == nil {
		return err
	}
	if q := state.TextOr("quant_type", kind); q != kind {
		state.Fail("quant_type", "%.20q is not the %s of the tensor's name", q, kind)
	}
	shape := state.Floats("shape", 1, maxSide)
	if state.Err() == nil && len(shape) != 2 {
		state.Fail("shape", "must have two sizes")
	}
	t := &table{weight: l.first, block: state.Int("blocksize", 1, maxSide), nestedBlock: state.IntOr("nested_blocksize", 0, 1, maxSide)}
	t.offset = float32(state.FloatOr("nested_offset", 0, -1e30, 1e30))
	if err := state.Err(); err != nil {
		return err
	}
	rows, cols := int64(shape[0]), int64(shape[1])
	t.cols = cols
	if l.first.Bytes() != ceilDiv(rows*cols, 2) {
		return l.first.Errorf("has %d bytes; 4 bits of shape [%d, %d] take %d", l.first.Bytes(), rows, cols, ceilDiv(rows*cols, 2))
	}
	if err := t.scales(l, ceilDiv(rows*cols, t.block)); err != nil {
		return err
	}
	m := &Matrix{Method: "bitsandbytes", Format: t.format(kind), Plain: dtype.F32, cols: cols, source: t}
	put(l.c, strings.TrimSuffix(l.name, ".")+".weight", rows, m, l.parts...)
	return nil
}

// format returns the format that has these codes and scales, nil where blocks are shorter than those of the library, or levels are not the usual ones. Blocks run over all rows:
// in how many columns side by side no block ends is told by what divides both its length and that of a row.
func (t *table) format(kind string) *quant.Format {
	name := kind
	switch side := gcd(t.cols, t.block); {
	case side%64 == 0:
	case side%splitGroup == 0:
		name += "-g32"
	case t.block >= splitGroup:
		name += "-split"
	default:
		return nil
	}
	f, err := quant.Find(name)
	if err != nil || !f.HasLevels(&t.levels) {
		return nil
	}
	return f
}

// splitGroup is the length of groups of columns in which at most one block ends.
const splitGroup = 32

func gcd(a, b int64) int64 {
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

// scales reads the levels and checks the scales of so many blocks.
func (t *table) scales(l *linear, blocks int64) error {
	levels := l.part("weight.quant_map", floats, []int64{16})
	if t.nestedBlock == 0 {
		t.absmax = l.part("weight.absmax", floats, []int64{blocks})
	} else {
		t.absmax = l.part("weight.absmax", octets, []int64{blocks})
		t.nested = l.part("weight.nested_absmax", floats, []int64{ceilDiv(blocks, t.nestedBlock)})
		nestedLevels := l.part("weight.nested_quant_map", floats, []int64{256})
		if l.err != nil {
			return l.err
		}
		t.nestedLevels = make([]float32, 256)
		if err := nestedLevels.ReadRows(t.nestedLevels, 0, 256); err != nil {
			return err
		}
	}
	if l.err != nil {
		return l.err
	}
	if err := levels.ReadRows(t.levels[:], 0, 16); err != nil {
		return err
	}
	for _, v := range t.levels {
		if err := finite(levels, v, 0); err != nil {
			return err
		}
	}
	const step = 1 << 16
	for lo := int64(0); lo < blocks; lo += step {
		part := make([]float32, min(blocks, lo+step)-lo)
		if err := t.readScales(part, lo); err != nil {
			return err
		}
		for i, v := range part {
			if err := finite(t.absmax, v, (lo+int64(i))*t.block/t.cols); err != nil {
				return err
			}
		}
	}
	return nil
}

// readScales reads the scales of blocks from lo on.
func (t *table) readScales(dst []float32, lo int64) error {
	hi := lo + int64(len(dst))
	if t.nested == nil {
		return t.absmax.ReadRows(dst, lo, hi)
	}
	codes := make([]byte, len(dst))
	if err := t.absmax.ReadRaw(codes, lo, hi); err != nil {
		return err
	}
	first := lo / t.nestedBlock
	outer := make([]float32, ceilDiv(hi, t.nestedBlock)-first)
	if err := t.nested.ReadRows(outer, first, first+int64(len(outer))); err != nil {
		return err
	}
	for i, c := range codes {
		dst[i] = float32(t.nestedLevels[c]*outer[(lo+int64(i))/t.nestedBlock-first]) + t.offset
	}
	return nil
}

func (t *table) values(dst []float32, lo int64) error {
	from, to := lo*t.cols, lo*t.cols+int64(len(dst))
	first := from / t.block
	scales := make([]float32, ceilDiv(to, t.block)-first)
	if err := t.readScales(scales, first); err != nil {
		return err
	}
	indices := make([]uint8, len(dst))
	if err := t.readIndices(indices, from); err != nil {
		return err
	}
	for i, c := range indices {
		dst[i] = t.levels[c] * scales[(from+int64(i))/t.block-first]
	}
	return nil
}

// readIndices reads the indices of elements from on.
func (t *table) readIndices(dst []uint8, from int64) error {
	raw, err := readSpan(t.weight, from/2, ceilDiv(from+int64(len(dst)), 2))
	if err != nil {
		return err
	}
	for i := range dst {
		e := from + int64(i)
		b := raw[e/2-from/2]
		if e%2 == 0 {
			b >>= 4
		}
		dst[i] = b & 15
	}
	return nil
}

// codes gives each of the format's groups the scale of the block that its first column is in, and of the block that its last one is in where groups are split.
func (t *table) codes(b *quant.Block, f *quant.Format, lo int64) error {
	if err := t.readIndices(b.Codes, lo*t.cols); err != nil {
		return err
	}
	first := lo * t.cols / t.block
	scales := make([]float32, ceilDiv((lo+int64(b.Rows))*t.cols, t.block)-first)
	if err := t.readScales(scales, first); err != nil {
		return err
	}
	groups, size := int64(f.Groups(b.Cols)), int64(f.Group)
	for i := range int64(b.Rows) * groups {
		from := i % groups * size
		last := min(from+size, t.cols) - 1
		from, last = from+(lo+i/groups)*t.cols, last+(lo+i/groups)*t.cols
		scale := scales[from/t.block-first]
		if b.Zeros == nil {
			b.Scales[i] = scale
			continue
		}
		b.Scales[2*i], b.Scales[2*i+1], b.Zeros[i] = scale, scales[last/t.block-first], uint8(min(t.block-from%t.block, size))
	}
	return nil
}

// readSpan reads bytes [lo, hi) of a tensor of any element type.
func readSpan(t *hf.Tensor, lo, hi int64) ([]byte, error) {
	size := t.Cols() * int64(t.DType.Size())
	if size < 1 {
		return nil, t.Errorf("holds %.20s, which is not read", t.Stored)
	}
	first := lo / size
	raw := make([]byte, (ceilDiv(hi, size)-first)*size)
	if err := t.ReadRaw(raw, first, ceilDiv(hi, size)); err != nil {
		return nil, err
	}
	return raw[lo-first*size:], nil
}
