package hf

import (
	"encoding/binary"
	"math"
	"slices"

	"llmc/internal/dtype"
)

// mergedRows gives the rows of a weight with an adapter's product added. Each element is the stored number plus the scaled sum over the rank, in
// its order, in f32, whichever rows are asked for. Both narrow matrices are read anew each time, a part of the rank at a time, so memory is that of
// some rows whatever the rank.
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
		// Some whole rows at once, or what there is of one.
		row, col := first/cols, first%cols
		rows, width := int64(1), min(cols-col, int64(len(dst)))
		if col == 0 && width == cols {
			rows = min(blockRows, int64(len(dst))/cols)
		}
		if err := m.add(dst[:rows*width], row, rows, col, width); err != nil {
			return err
		}
		dst, first = dst[rows*width:], first+rows*width
	}
	return nil
}

// Rows, and part of the rank, whose products are added up at a time.
const (
	blockRows = 64
	blockRank = 64
)

// add adds the product to a block of the weight.
func (m *mergedRows) add(dst []float32, row, rows, col, width int64) error {
	rank := m.pair.a.Rows()
	left, right, sum := make([]float32, rows*blockRank), make([]float32, min(rank, blockRank)*width), make([]float32, len(dst))
	for from := int64(0); from < rank; from += blockRank {
		n := min(blockRank, rank-from)
		if err := m.left(left, row, rows, from, n); err != nil {
			return err
		}
		if err := m.right(right, col, width, from, n); err != nil {
			return err
		}
		for i := range rows {
			for r := range n {
				addScaled(sum[i*width:(i+1)*width], right[r*width:(r+1)*width], left[i*n+r])
			}
		}
	}
	addScaled(dst, sum, m.pair.scale)
	return nil
}

// left fills dst [rows, n] with what rows of the weight take of ranks [from, from+n).
func (m *mergedRows) left(dst []float32, row, rows, from, n int64) error {
	if m.transposed {
		return readTransposed(dst, m.pair.a, from, n, row, rows)
	}
	return readBlock(dst, m.pair.b, row, rows, from, n)
}

// right fills dst [n, width] with what columns of the weight take of these ranks.
func (m *mergedRows) right(dst []float32, col, width, from, n int64) error {
	if m.transposed {
		return readTransposed(dst, m.pair.b, col, width, from, n)
	}
	return readBlock(dst, m.pair.a, from, n, col, width)
}

// readBlock fills dst with a block of t.
func readBlock(dst []float32, t *Tensor, row, rows, col, width int64) error {
	for i := range rows {
		if err := t.rows.readRows(t, dst[i*width:(i+1)*width], (row+i)*t.Cols()+col); err != nil {
			return err
		}
	}
	return nil
}

// readTransposed fills dst [width, rows] with the transpose of a block of t.
func readTransposed(dst []float32, t *Tensor, row, rows, col, width int64) error {
	part := make([]float32, width)
	for i := range rows {
		if err := t.rows.readRows(t, part, (row+i)*t.Cols()+col); err != nil {
			return err
		}
		for k, x := range part {
			dst[int64(k)*rows+i] = x
		}
	}
	return nil
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
