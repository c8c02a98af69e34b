package stored

import (
	"fmt"
	"math"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// grid is a matrix of integers: (code - zero) * scale, with a scale and a zero point for each group of inputs of a row. Groups and codes are
// those of the file; columns are in the order in which groups are contiguous.
type grid struct {
	rows, cols int64
	bits       int
	group      int64   // inputs that share a scale, from the first on
	order      []int32 // file column of each column; nil: the same
	groupOf    []int32 // group of each column where that is not its number divided by group; nil: it is
	zero       int32   // zero point of all groups where zeros is nil

	found  survey                                  // of scales and zero points
	unpack func(dst []uint8, lo, hi int64) error   // [hi-lo, cols] in columns of the file
	scales func(dst []float32, lo, hi int64) error // [hi-lo, groups]
	zeros  func(dst []int32, lo, hi int64) error   // [hi-lo, groups]; nil: zero
}

func (g *grid) groups() int64 { return ceilDiv(g.cols, g.group) }

// groupAt returns the group of a column.
func (g *grid) groupAt(k int64) int64 {
	if g.groupOf != nil {
		return int64(g.groupOf[k])
	}
	return k / g.group
}

// read brings codes in order, scales and zero points of rows [lo, hi).
func (g *grid) read(lo, hi int64) (codes []uint8, scales []float32, zeros []int32, err error) {
	n := hi - lo
	codes, scales, zeros = make([]uint8, n*g.cols), make([]float32, n*g.groups()), make([]int32, n*g.groups())
	if err := g.unpack(codes, lo, hi); err != nil {
		return nil, nil, nil, err
	}
	if g.order != nil {
		row := make([]uint8, g.cols)
		for at := int64(0); at < int64(len(codes)); at += g.cols {
			copy(row, codes[at:at+g.cols])
			for k, from := range g.order {
				codes[at+int64(k)] = row[from]
			}
		}
	}
	if err := g.scales(scales, lo, hi); err != nil {
		return nil, nil, nil, err
	}
	return codes, scales, zeros, g.readZeros(zeros, lo, hi)
}

func (g *grid) readZeros(dst []int32, lo, hi int64) error {
	if g.zeros != nil {
		return g.zeros(dst, lo, hi)
	}
	for i := range dst {
		dst[i] = g.zero
	}
	return nil
}

func (g *grid) values(dst []float32, lo int64) error {
	n := int64(len(dst)) / g.cols
	codes, scales, zeros, err := g.read(lo, lo+n)
	if err != nil {
		return err
	}
	groups := g.groups()
	for r := range n {
		for k := range g.cols {
			at, i := r*g.cols+k, r*groups+g.groupAt(k)
			dst[at] = float32(int32(codes[at])-zeros[i]) * scales[i]
		}
	}
	return nil
}

// codes repeats scales where the file's groups are longer than the format's.
func (g *grid) codes(b *quant.Block, f *quant.Format, lo int64) error {
	codes, scales, zeros, err := g.read(lo, lo+int64(b.Rows))
	if err != nil {
		return err
	}
	copy(b.Codes, codes)
	have, want := g.groups(), int64(f.Groups(int(g.cols)))
	for i := range b.Scales {
		r, n := int64(i)/want, int64(i)%want
		from := r*have + g.groupAt(n*int64(f.Group))
		b.Scales[i] = scales[from]
		if b.Zeros != nil {
			b.Zeros[i] = uint8(zeros[from])
		}
	}
	return nil
}

// survey is what scales and zero points of a grid turn out to be.
type survey struct {
	half        bool    // every scale is a number of f16
	limit       float32 // the largest magnitude of a scale
	least, most int32
}

// surveyRows is how many rows are looked at together.
const surveyRows = 512

// look reads all scales and zero points once. Those that are not finite are an error, about tensor t.
func (g *grid) look(t *hf.Tensor) (survey, error) {
	s := survey{half: true, least: math.MaxInt32, most: math.MinInt32}
	for lo := int64(0); lo < g.rows; lo += surveyRows {
		hi := min(g.rows, lo+surveyRows)
		scales, zeros := make([]float32, (hi-lo)*g.groups()), make([]int32, (hi-lo)*g.groups())
		if err := g.scales(scales, lo, hi); err != nil {
			return s, err
		}
		if err := g.readZeros(zeros, lo, hi); err != nil {
			return s, err
		}
		for i, v := range scales {
			if err := finite(t, v, lo+int64(i)/g.groups()); err != nil {
				return s, err
			}
			s.half = s.half && dtype.F16ToF32(dtype.F32ToF16(v)) == v
			s.limit = max(s.limit, v, -v)
			s.least, s.most = min(s.least, zeros[i]), max(s.most, zeros[i])
		}
	}
	return s, nil
}

// finite refuses scales that are no numbers.
func finite(t *hf.Tensor, scale float32, row int64) error {
	if math.IsNaN(float64(scale)) || math.IsInf(float64(scale), 0) {
		return t.Errorf("the scale of output %d is %v; the checkpoint is damaged", row, scale)
	}
	return nil
}

// format returns the project's format that has these codes and scales, nil if there is none.
func (g *grid) format(s survey) *quant.Format {
	name := ""
	switch groups := g.groups(); {
	case g.groupOf != nil:
	case g.bits == 8 && groups == 1 && s.least == 128 && s.most == 128:
		name = "int8"
	case g.bits == 4 && s.half && s.least >= 0 && s.most <= 15:
		if group := g.kernelGroup(); group > 0 {
			name = fmt.Sprintf("int4-g%d", group)
			if s.least != 8 || s.most != 8 {
				name += "-zp"
			}
		}
	}
	f, err := quant.Find(name)
	if err != nil {
		return nil
	}
	return f
}

// kernelGroup is the longest group of kernels that the file's consist of, 0 if there is none.
func (g *grid) kernelGroup() int64 {
	for _, n := range []int64{128, 64, 32} {
		if g.group >= g.cols || g.group%n == 0 {
			return n
		}
	}
	return 0
}

// finish looks at the grid and puts it in place of its parts. scales is what messages about scales name.
func (g *grid) finish(l *linear, method string, scales *hf.Tensor) error {
	s, err := g.look(scales)
	if err != nil {
		return err
	}
	g.found = s
	m := &Matrix{Method: method, Format: g.format(s), Plain: dtype.F32, Order: g.order, cols: g.cols, source: g}
	if m.Format == nil {
		m.Digits, m.Order = newDigits(method, g, s), nil
		m.setOrdered(g)
	}
	put(l.c, l.name+"weight", g.rows, m, l.parts...)
	return nil
}
