package stored

import "llmc/compiler/hf"

// awqNibbles says which nibble of a word holds which of its eight outputs: packing puts outputs 0, 2, 4, 6, 1, 3, 5, 7 into nibbles 0 to 7.
var awqNibbles = [8]int{0, 4, 1, 5, 2, 6, 3, 7}

// attachAWQ reads activation-aware quantization (Lin et al. 2023) in AutoAWQ's layout "gemm", for a linear of K inputs and N outputs:
//
//	qweight [K, N/8] words of eight outputs
//	qzeros [G, N/8] likewise
//	scales [G, N]
func attachAWQ(c *hf.Checkpoint, f *hf.Fields) error {
	if bits := f.IntOr("bits", 4, 1, 32); bits != 4 {
		f.Fail("bits", "%d is not read; supported is 4", bits)
	}
	group := f.IntOr("group_size", 128, -1, maxSide)
	if group == 0 {
		f.Fail("group_size", "must be -1 or positive")
	}
	if version := f.TextOr("version", "gemm"); version != "gemm" && version != "GEMM" {
		f.Fail("version", "%.40q is not read; supported is gemm", version)
	}
	if !f.BoolOr("zero_point", true) {
		f.Fail("zero_point", "false is not read; supported is true")
	}
	if err := f.Err(); err != nil {
		return err
	}
	return linears(c, "qweight", func(l *linear) error { return attachAWQLinear(l, group) })
}

func attachAWQLinear(l *linear, group int64) error {
	cols, packed, ok := l.matrix()
	if !ok {
		return l.err
	}
	l.check(l.first, words, l.first.Shape)
	g := &grid{rows: packed * 8, cols: cols, bits: 4, group: group}
	if g.group < 0 || g.group > cols {
		g.group = cols
	}
	scales := l.part("scales", floats, []int64{g.groups(), g.rows})
	zeros := l.part("qzeros", words, []int64{g.groups(), packed})
	if l.err != nil {
		return l.err
	}
	g.unpack = func(dst []uint8, lo, hi int64) error { return unpackAWQ(dst, l.first, lo, hi) }
	g.scales = func(dst []float32, lo, hi int64) error { return scalesAcross(dst, scales, lo, hi) }
	g.zeros = func(dst []int32, lo, hi int64) error {
		return zerosAcross(dst, zeros, lo, hi, 8, func(word uint32, i int64) int32 { return int32(word >> (4 * awqNibbles[i]) & 15) })
	}
	return g.finish(l, "awq", scales)
}

// unpackAWQ reads the codes of outputs [lo, hi).
func unpackAWQ(dst []uint8, t *hf.Tensor, lo, hi int64) error {
	cols, left, right := t.Rows(), lo/8, ceilDiv(hi, 8)
	raw, err := readWords(t, 0, cols, left, right)
	if err != nil {
		return err
	}
	width := right - left
	for r := lo; r < hi; r++ {
		row, at, shift := dst[(r-lo)*cols:][:cols], r/8-left, 4*awqNibbles[r%8]
		for k := range row {
			row[k] = uint8(raw[int64(k)*width+at] >> shift & 15)
		}
	}
	return nil
}
