package stored

import (
	"slices"

	"llmc/compiler/hf"
)

// gptqConfig is what quantization_config says of GPTQ (Frantar et al. 2022), in the layout of AutoGPTQ and GPTQModel.
type gptqConfig struct {
	bits  int64
	group int64 // -1: all inputs
	first int32 // what is added to a stored zero point: 1 in the first version of the layout
}

// attachGPTQ reads, for a linear of K inputs and N outputs with P = 32/bits codes in a word, lowest bits first:
//
//	qweight [K/P, N] words of P inputs of one output
//	qzeros [G, N/P] words of P outputs; the first version stores zero points less one
//	scales [G, N]
//	g_idx [K] the group of each input; without it, groups follow one another
func attachGPTQ(c *hf.Checkpoint, f *hf.Fields) error {
	q := gptqConfig{bits: f.Int("bits", 1, 32), group: f.IntOr("group_size", 128, -1, maxSide)}
	if q.bits != 4 && q.bits != 8 {
		f.Fail("bits", "%d is not read; supported are 4, 8", q.bits)
	}
	if q.group == 0 {
		f.Fail("group_size", "must be -1 or positive")
	}
	switch version := f.TextOr("checkpoint_format", "gptq"); version {
	case "gptq", "":
		q.first = 1
	case "gptq_v2":
	default:
		f.Fail("checkpoint_format", "%.40q is not read; supported are gptq, gptq_v2", version)
	}
	if f.BoolOr("is_marlin_format", false) {
		f.Fail("is_marlin_format", "weights in the order of one kernel are not read; supported is false")
	}
	if overrides := f.Object("dynamic"); overrides != nil && len(overrides.Keys()) > 0 {
		f.Fail("dynamic", "settings for single modules are not read; supported is one setting for all")
	}
	if err := f.Err(); err != nil {
		return err
	}
	return linears(c, "qweight", q.attach)
}

func (q *gptqConfig) attach(l *linear) error {
	packed, rows, ok := l.matrix()
	if !ok {
		return l.err
	}
	l.check(l.first, words, l.first.Shape)
	per := 32 / q.bits
	g := &grid{rows: rows, cols: packed * per, bits: int(q.bits), group: q.group}
	if g.group < 0 || g.group > g.cols {
		g.group = g.cols
	}
	if l.err == nil && rows%per != 0 {
		return l.first.Errorf("has %d outputs, which are not words of %d", rows, per)
	}
	scales := l.part("scales", floats, []int64{g.groups(), rows})
	zeros := l.part("qzeros", words, []int64{g.groups(), rows / per})
	index := l.optional("g_idx")
	l.check(index, words, []int64{g.cols})
	if l.err != nil {
		return l.err
	}
	if index != nil {
		if err := g.setOrder(index); err != nil {
			return err
		}
	}
	g.unpack = func(dst []uint8, lo, hi int64) error { return unpackDown(dst, l.first, lo, hi, g.bits) }
	g.scales = func(dst []float32, lo, hi int64) error { return scalesAcross(dst, scales, lo, hi) }
	g.zeros = func(dst []int32, lo, hi int64) error { return q.readZeros(dst, zeros, lo, hi) }
	return g.finish(l, "gptq", scales)
}

// readZeros reads the zero points of outputs [lo, hi), [hi-lo, groups].
func (q *gptqConfig) readZeros(dst []int32, t *hf.Tensor, lo, hi int64) error {
	return zerosAcross(dst, t, lo, hi, 32/q.bits, func(word uint32, i int64) int32 {
		return int32(word>>(i*q.bits)&(1<<q.bits-1)) + q.first
	})
}

// setOrder sorts columns by group, so that each group's are beside each other, in the order of the file.
func (g *grid) setOrder(index *hf.Tensor) error {
	groupOf := make([]int32, g.cols)
	raw, err := readWords(index, 0, g.cols, 0, 1)
	if err != nil {
		return err
	}
	for k, v := range raw {
		groupOf[k] = int32(v)
		if int64(v) >= g.groups() {
			return index.Errorf("input %d is in group %d of %d", k, int32(v), g.groups())
		}
	}
	g.order = make([]int32, g.cols)
	for k := range g.order {
		g.order[k] = int32(k)
	}
	slices.SortStableFunc(g.order, func(a, b int32) int { return int(groupOf[a] - groupOf[b]) })
	regular, sorted := true, slices.IsSorted(groupOf)
	for k, from := range g.order {
		regular = regular && int64(groupOf[from]) == int64(k)/g.group
	}
	if !regular { // groups of other sizes: no kernel has such, so columns may stay where they are
		g.order, g.groupOf = nil, groupOf
	} else if sorted {
		g.order = nil
	}
	return nil
}

// unpackDown reads codes of outputs [lo, hi) of a tensor [inputs/P, outputs], whose words hold P inputs.
func unpackDown(dst []uint8, t *hf.Tensor, lo, hi int64, bits int) error {
	packed, width := t.Rows(), hi-lo
	raw := make([]byte, packed*width*4)
	if err := t.ReadBlock(raw, 0, packed, lo, hi); err != nil {
		return err
	}
	per := int64(32 / bits)
	cols := packed * per
	for w := range packed {
		for r := range width {
			word := raw[(w*width+r)*4:][:4]
			at := dst[r*cols+w*per:][:per]
			if bits == 8 {
				copy(at, word)
				continue
			}
			for i, b := range word {
				at[2*i], at[2*i+1] = b&15, b>>4
			}
		}
	}
	return nil
}

// scalesAcross reads the scales of outputs [lo, hi) of a tensor [groups, outputs].
func scalesAcross(dst []float32, t *hf.Tensor, lo, hi int64) error {
	across := make([]float32, len(dst))
	if err := readFloats(across, t, 0, t.Rows(), lo, hi); err != nil {
		return err
	}
	transpose(dst, across, t.Rows(), hi-lo)
	return nil
}

// zerosAcross reads zero points of outputs [lo, hi) of a tensor [groups, outputs/per] of words; at picks number i of a word.
func zerosAcross(dst []int32, t *hf.Tensor, lo, hi, per int64, at func(word uint32, i int64) int32) error {
	left, right := lo/per, ceilDiv(hi, per)
	raw, err := readWords(t, 0, t.Rows(), left, right)
	if err != nil {
		return err
	}
	groups, width := t.Rows(), right-left
	for g := range groups {
		for r := lo; r < hi; r++ {
			dst[(r-lo)*groups+g] = at(raw[g*width+r/per-left], r%per)
		}
	}
	return nil
}
