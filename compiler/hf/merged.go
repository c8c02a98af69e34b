package hf

import (
	"encoding/binary"
	"math"
	"slices"

	"llmc/internal/dtype"
)

// mergedRows gives the rows of a weight with an adapter's product added. Each element is the stored number plus the scaled sum over the rank, in
// its order, in f32, whichever rows are asked for. Both narrow matrices are read anew each time, so memory is that of a few rows.
type mergedRows struct {
	base *Tensor
	pair *loraPair
	// transposed tells that the weight is stored [in, out].
	transposed bool
}

// merge returns the weight base with the product added. Where weights may be stored transposed, the shapes have to tell whether this one is.
func (p *loraPair) merge(base *Tensor, maybeTransposed bool) (*Tensor, error) {
	if err := base.CheckFloat(); err != nil {
		return nil, err
	}
	out, in := p.b.Rows(), p.a.Cols()
	straight, turned := slices.Equal(base.Shape, []int64{out, in}), maybeTransposed && slices.Equal(base.Shape, []int64{in, out})
	if straight && turned {
		return nil, p.a.Errorf("adapts a square weight, and %s has fan_in_fan_out: which way it is stored can not be told; merge it with PEFT (merge_and_unload)", AdapterConfigFile)
	}
	if !straight && !turned {
		return nil, p.a.Errorf("has shape %v, and lora_B %v: their product does not fit %q, which has shape %v", p.a.Shape, p.b.Shape, clip(base.Name), base.Shape)
	}
	t := *base
	t.DType, t.Stored = dtype.F32, dtype.F32.String()
	t.rows = &mergedRows{base, p, turned}
	return &t, nil
}

func (m *mergedRows) readRows(_ *Tensor, dst []float32, first int64) error {
	if err := m.base.rows.readRows(m.base, dst, first); err != nil {
		return err
	}
	cols := m.base.Cols()
	for len(dst) > 0 {
		// Whole rows at once, or what there is of one.
		row, col := first/cols, first%cols
		rows, width := int64(1), min(cols-col, int64(len(dst)))
		if col == 0 && width == cols {
			rows = int64(len(dst)) / cols
		}
		if err := m.add(dst[:rows*width], row, rows, col, width); err != nil {
			return err
		}
		dst, first = dst[rows*width:], first+rows*width
	}
	return nil
}

// add adds the product to a block of the weight.
func (m *mergedRows) add(dst []float32, row, rows, col, width int64) error {
	left, right, err := m.factors(row, rows, col, width)
	if err != nil {
		return err
	}
	rank := m.pair.a.Rows()
	sum := make([]float32, width)
	for i := range rows {
		clear(sum)
		for r := range rank {
			addScaled(sum, right[r*width:(r+1)*width], left[i*rank+r])
		}
		addScaled(dst[i*width:(i+1)*width], sum, m.pair.scale)
	}
	return nil
}

// factors returns the parts of the narrow matrices that a block is the product of: left [rows, r] and right [r, width].
func (m *mergedRows) factors(row, rows, col, width int64) (left, right []float32, err error) {
	rank := m.pair.a.Rows()
	left, right = make([]float32, rows*rank), make([]float32, rank*width)
	if !m.transposed {
		if err := m.pair.b.rows.readRows(m.pair.b, left, row*rank); err != nil {
			return nil, nil, err
		}
		for r := range rank {
			if err := m.pair.a.rows.readRows(m.pair.a, right[r*width:(r+1)*width], r*m.pair.a.Cols()+col); err != nil {
				return nil, nil, err
			}
		}
		return left, right, nil
	}
	part := make([]float32, max(rows, width*rank))
	for r := range rank {
		if err := m.pair.a.rows.readRows(m.pair.a, part[:rows], r*m.pair.a.Cols()+row); err != nil {
			return nil, nil, err
		}
		for i, x := range part[:rows] {
			left[int64(i)*rank+r] = x
		}
	}
	if err := m.pair.b.rows.readRows(m.pair.b, part[:width*rank], col*rank); err != nil {
		return nil, nil, err
	}
	for c := range width {
		for r := range rank {
			right[r*width+c] = part[c*rank+r]
		}
	}
	return left, right, nil
}

// addScaled adds x times scale to sum.
func addScaled(sum, x []float32, scale float32) {
	x = x[:len(sum)]
	for i := range sum {
		sum[i] += float32(x[i] * scale)
	}
}

func (m *mergedRows) readBytes(t *Tensor, dst []byte, offset int64) error {
	const size = 4
	rows := make([]float32, len(dst)/size)
	if err := m.readRows(t, rows, offset/size); err != nil {
		return err
	}
	for i, x := range rows {
		binary.LittleEndian.PutUint32(dst[i*size:], math.Float32bits(x))
	}
	return nil
}
