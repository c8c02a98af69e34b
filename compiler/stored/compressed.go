package stored

import (
	"encoding/binary"
	"strings"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
)

// attachCompressed reads what llm-compressor writes (the library compressed-tensors). A linear of N outputs and K inputs is one of
//
//	weight [N, K] i8 or e4m3
//	weight_packed [N, K/P] words of P = 32/bits codes, lowest bits first, with half their range added; weight_shape [2] has N and K
//
// with weight_scale [N, G], or of one element, or of 128x128 blocks; weight_zero_point where not symmetric: [N, G] i8, or [N/P, G] words of P outputs;
// weight_g_idx [K] the group of each input. One of e2m1 is
//
//	weight_packed [N, K/2] bytes of two codes; weight_scale [N, K/16] e4m3 and weight_global_scale f32, by which numbers are divided, or weight_scale [N, K/32] exponents of two
//
// Scales of inputs, of outputs and of the KV cache are left out: a product quantizes inputs by what they
// are, or not at all, and the cache has the format that --kv-dtype says.
func attachCompressed(c *hf.Checkpoint, f *hf.Fields) error {
	schemes := readSchemes(f)
	if sparse := f.Object("sparsity_config"); sparse != nil {
		if format := sparse.TextOr("format", "dense"); format != "dense" {
			sparse.Fail("format", "%.40q is not read; supported is dense", format)
		}
	}
	if turned := f.Object("transform_config"); turned != nil && len(turned.Keys()) > 0 {
		f.Fail("transform_config", "models that are turned when they run are not read; supported is none")
	}
	if err := f.Err(); err != nil {
		return err
	}
	for _, suffix := range []string{"weight", "weight_packed"} {
		err := linears(c, suffix, func(l *linear) error {
			kind := l.first.DType
			if suffix == "weight" && kind != dtype.I8 && kind != dtype.F8E4M3 {
				return nil
			}
			s := schemeOf(schemes, strings.TrimSuffix(l.name, "."))
			if s == nil {
				return l.first.Errorf("holds codes, but no target of %s.config_groups of config.json is this module", ConfigKey)
			}
			return s.attach(l, suffix)
		})
		if err != nil {
			return err
		}
	}
	dropCacheScales(c)
	return nil
}

func (s *scheme) attach(l *linear, suffix string) error {
	for _, part := range []string{"input_scale", "input_zero_point", "input_global_scale"} {
		l.optional(part)
	}
	switch {
	case s.float && s.bits == 4 && suffix != "weight_packed":
		return l.first.Errorf("holds numbers of 8 bits, but its group of %s.config_groups says 4", ConfigKey)
	case s.format == "nvfp4-pack-quantized":
		return l.attachNVFP4("compressed-tensors", "weight_global_scale", true)
	case s.format == "mxfp4-pack-quantized":
		return l.attachMXLinear("compressed-tensors")
	}
	if s.float {
		l.check(l.first, e4m3, l.first.Shape)
		side := int64(0)
		if s.strategy == "block" {
			side = blockSide
		}
		if l.err != nil {
			return l.err
		}
		return l.attachE4M3("compressed-tensors", "weight_scale", side)
	}
	g, err := s.grid(l, suffix)
	if err != nil {
		return err
	}
	scales, err := s.scales(l, g)
	if err != nil {
		return err
	}
	if index := l.optional("weight_g_idx"); index != nil && s.actOrder {
		l.check(index, words, []int64{g.cols})
		if l.err != nil {
			return l.err
		}
		if err := g.setOrder(index); err != nil {
			return err
		}
	}
	return g.finish(l, "compressed-tensors", scales)
}

// grid finds the codes.
func (s *scheme) grid(l *linear, suffix string) (*grid, error) {
	rows, cols, ok := l.matrix()
	if !ok {
		return nil, l.err
	}
	g := &grid{rows: rows, cols: cols, bits: int(s.bits), zero: 1 << (s.bits - 1)}
	if suffix == "weight" {
		if s.bits != 8 {
			return nil, l.first.Errorf("holds codes of %d bits in bytes, which is not read; supported are 8 bits, or format pack-quantized", s.bits)
		}
		l.check(l.first, bytes8, l.first.Shape)
		g.unpack = func(dst []uint8, lo, hi int64) error { return unpackSigned(dst, l.first, lo, hi) }
	} else {
		l.check(l.first, words, l.first.Shape)
		if err := g.setShape(l); err != nil {
			return nil, err
		}
		g.unpack = func(dst []uint8, lo, hi int64) error { return unpackAcross(dst, l.first, lo, hi, g.cols, g.bits) }
	}
	g.group = g.cols
	if s.strategy == "group" {
		g.group = min(g.cols, s.group)
	}
	return g, l.err
}

// setShape reads the true number of columns: words are filled up.
func (g *grid) setShape(l *linear) error {
	shape := l.part("weight_shape", []dtype.Type{dtype.I64, dtype.I32}, []int64{2})
	if l.err != nil {
		return l.err
	}
	raw := make([]byte, shape.Bytes())
	if err := shape.ReadRaw(raw, 0, 2); err != nil {
		return err
	}
	size, sides := len(raw)/2, [2]int64{}
	for i := range sides {
		var word [8]byte
		copy(word[:], raw[i*size:(i+1)*size])
		sides[i] = int64(binary.LittleEndian.Uint64(word[:]))
	}
	per := 32 / int64(g.bits)
	if sides[0] != g.rows || sides[1] < 1 || sides[1] > maxSide || ceilDiv(sides[1], per) != g.cols {
		return shape.Errorf("is %v; %s has %d rows of %d words of %d codes", sides, l.first.Name, g.rows, g.cols, per)
	}
	g.cols = sides[1]
	return nil
}

// scales finds scales and zero points.
func (s *scheme) scales(l *linear, g *grid) (*hf.Tensor, error) {
	shape := [][]int64{{g.rows, g.groups()}}
	switch s.strategy {
	case "tensor":
		shape = [][]int64{{1}, {}, {1, 1}}
	case "channel":
		shape = append(shape, []int64{g.rows})
	}
	scales := l.part("weight_scale", floats, shape...)
	zeros := l.optional("weight_zero_point")
	if l.err != nil {
		return nil, l.err
	}
	g.scales = func(dst []float32, lo, hi int64) error {
		if s.strategy == "tensor" {
			return fillFirst(dst, scales)
		}
		return scales.ReadRows(dst, lo, hi)
	}
	if s.symmetric {
		return scales, nil
	}
	return scales, s.zeros(l, g, zeros, shape)
}

func (s *scheme) zeros(l *linear, g *grid, zeros *hf.Tensor, shapes [][]int64) error {
	if zeros == nil {
		l.part("weight_zero_point", bytes8, shapes...) // which says that it is missing
		return l.err
	}
	per := 32 / s.bits
	if zeros.DType == dtype.I32 {
		l.check(zeros, words, []int64{ceilDiv(g.rows, per), g.groups()})
		g.zeros = func(dst []int32, lo, hi int64) error { return zerosDown(dst, zeros, lo, hi, s.bits) }
		return l.err
	}
	l.check(zeros, bytes8, shapes...)
	g.zeros = func(dst []int32, lo, hi int64) error {
		raw := make([]byte, len(dst))
		if s.strategy == "tensor" {
			if err := zeros.ReadRaw(raw[:1], 0, 1); err != nil {
				return err
			}
			for i := range raw {
				raw[i] = raw[0]
			}
		} else if err := zeros.ReadRaw(raw, lo, hi); err != nil {
			return err
		}
		for i, v := range raw {
			dst[i] = int32(int8(v)) + g.zero
		}
		return nil
	}
	return l.err
}

// fillFirst fills dst with the one number of a tensor.
func fillFirst(dst []float32, t *hf.Tensor) error {
	if len(dst) == 0 {
		return nil
	}
	err := t.ReadRows(dst[:1], 0, 1)
	for i := range dst {
		dst[i] = dst[0]
	}
	return err
}

// unpackAcross reads codes of rows [lo, hi) of cols, from words of consecutive inputs.
func unpackAcross(dst []uint8, t *hf.Tensor, lo, hi, cols int64, bits int) error {
	raw, err := readWords(t, lo, hi, 0, t.Cols())
	if err != nil {
		return err
	}
	per, width := int64(32/bits), t.Cols()
	for r := range hi - lo {
		row := dst[r*cols : (r+1)*cols]
		for k := range row {
			word := raw[r*width+int64(k)/per]
			row[k] = uint8(word>>(int64(k)%per*int64(bits))) & (1<<bits - 1)
		}
	}
	return nil
}

// zerosDown reads zero points of rows [lo, hi) of a tensor [rows/P, groups] of words of P rows.
func zerosDown(dst []int32, t *hf.Tensor, lo, hi, bits int64) error {
	per, groups := 32/bits, t.Cols()
	first := lo / per
	raw, err := readWords(t, first, ceilDiv(hi, per), 0, groups)
	if err != nil {
		return err
	}
	for r := lo; r < hi; r++ {
		for g := range groups {
			word := raw[(r/per-first)*groups+g]
			dst[(r-lo)*groups+g] = int32(word >> (r % per * bits) & (1<<bits - 1))
		}
	}
	return nil
}
