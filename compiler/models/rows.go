package models

import (
	"fmt"

	"llmc/compiler/hf"
	"llmc/compiler/stored"
	"llmc/internal/quant"
	"llmc/internal/rotation"
	"llmc/ir"
)

// ReadRows writes rows [lo, hi) of a weight to dst, [hi-lo, cols], as numbers: what its recipe makes of the checkpoint's tensors. Rows of a stack of
// matrices are counted through all of them. rank is the number of the weight's dimensions. It may be called from several goroutines at once.
func ReadRows(c *hf.Checkpoint, recipe *ir.Recipe, dst []float32, rank int, lo, hi int64) error {
	if lo < 0 || hi <= lo || int64(len(dst))%(hi-lo) != 0 {
		return fmt.Errorf("rows %d:%d into %d elements", lo, hi, len(dst))
	}
	cols := int64(len(dst)) / (hi - lo)
	if rows := recipe.Rows(cols); hi > rows {
		return fmt.Errorf("rows %d:%d of %d", lo, hi, rows)
	}
	for run := range recipe.Runs(cols, lo, hi) {
		n := run.Rows * cols
		if err := readRun(c, run, dst[:n], cols, rank == 1); err != nil {
			return err
		}
		dst = dst[n:]
	}
	return nil
}

// ReadCodes fills b with the codes of rows [lo, hi) of a weight whose recipe takes rows of matrices that the checkpoint has in codes of format f, or in
// one that shares them.
func ReadCodes(c *hf.Checkpoint, recipe *ir.Recipe, f *quant.Format, b *quant.Block, cols, lo, hi int64) error {
	if rows := recipe.Rows(cols); lo < 0 || hi < lo || hi > rows {
		return fmt.Errorf("rows %d:%d of %d", lo, hi, rows)
	}
	b.Resize(f, int(hi-lo), int(cols))
	at := 0
	var part quant.Block
	for run := range recipe.Runs(cols, lo, hi) {
		n := int(run.Rows)
		if run.Source.Kind == ir.FromZeros {
			b.SetZero(f, at, n)
			at += n
			continue
		}
		m, err := codesOf(c, run, f)
		if err != nil {
			return err
		}
		if err := m.ReadCodes(&part, run.First, run.First+run.Rows); err != nil {
			return err
		}
		if part.Cols != b.Cols {
			return fmt.Errorf("tensor %q has rows of %d, not of %d", run.Source.Tensor, part.Cols, b.Cols)
		}
		b.SetRows(at, &part)
		at += n
	}
	return nil
}

// codesOf returns the matrix that a run takes rows of as they are.
func codesOf(c *hf.Checkpoint, run ir.Run, f *quant.Format) (*stored.Matrix, error) {
	if run.Source.Kind != ir.FromTensor || run.Source.Transpose || run.Source.Transform != "" {
		return nil, fmt.Errorf("codes of %s cannot be kept", run.Source)
	}
	t := c.Lookup(run.Source.Tensor)
	if t == nil {
		return nil, fmt.Errorf("the checkpoint has no tensor %q", run.Source.Tensor)
	}
	m := stored.Of(t)
	if m == nil || m.Format == nil || !m.Format.SharesCodes(f) {
		return nil, t.Errorf("has no codes of format %s", f.Name)
	}
	return m, nil
}

func readRun(c *hf.Checkpoint, run ir.Run, dst []float32, cols int64, vector bool) error {
	switch run.Source.Kind {
	case ir.FromZeros:
		clear(dst)
		return nil
	case ir.FromValues:
		copy(dst, run.Source.Values[run.First*cols:])
		return nil
	case ir.Rotated:
		return readRotated(c, run, dst, cols, vector)
	}
	tensor, err := sourceTensor(c, run, cols, vector)
	if err != nil {
		return err
	}
	last, left := run.First+run.Rows, run.Source.Left
	switch {
	case !run.Source.Transpose:
		if tensor, err = tensor.View(cols); err == nil {
			err = tensor.ReadRows(dst, run.First, last)
		}
	case run.Source.Total == 0:
		err = tensor.ReadColumns(dst, run.First, last)
	case run.Source.Total != tensor.Rows():
		err = tensor.Errorf("has %d rows instead of %d", tensor.Rows(), run.Source.Total)
	default:
		err = tensor.ReadColumnsOf(dst, run.First, last, left, left+cols)
	}
	if err != nil {
		return err
	}
	return ir.ApplyTransform(dst, run.Source.Transform)
}

// readRotated reads rows of a turned matrix: those asked for where columns stay, else whole blocks of those that turn together.
func readRotated(c *hf.Checkpoint, run ir.Run, dst []float32, cols int64, vector bool) error {
	rows, out := run.Source.Unmixed()
	if out == "" {
		return readTurnedRows(c, rows, dst, cols, run.First, vector)
	}
	matrix, err := rotation.Find(out)
	if err != nil {
		return err
	}
	block := int64(matrix.Block)
	first, end := run.First/block*block, (run.First+run.Rows+block-1)/block*block
	blocks := dst
	if int64(len(dst)) < (end-first)*cols {
		blocks = make([]float32, (end-first)*cols)
	}
	if err := readTurnedRows(c, rows, blocks, cols, first, vector); err != nil {
		return err
	}
	matrix.Columns(blocks, int(cols), 0, int(cols))
	copy(dst, blocks[(run.First-first)*cols:])
	return nil
}

// readTurnedRows reads rows from first on of what the part gives, scaled and turned.
func readTurnedRows(c *hf.Checkpoint, r *ir.Recipe, dst []float32, cols, first int64, vector bool) error {
	rank := 2
	if vector {
		rank = 1
	}
	if err := ReadRows(c, r.Parts[0], dst, rank, first, first+int64(len(dst))/cols); err != nil {
		return err
	}
	if scale := r.Scale(); scale != nil {
		factors := make([]float32, cols)
		if err := ReadRows(c, scale, factors, 1, 0, cols); err != nil {
			return err
		}
		for row := dst; len(row) > 0; row = row[cols:] {
			for i, f := range factors {
				row[i] *= f
			}
		}
	}
	if scale := r.RowScale(); scale != nil {
		for i := range dst {
			dst[i] *= scale.Values[first+int64(i)/cols]
		}
	}
	if r.In == "" {
		return nil
	}
	matrix, err := rotation.Find(r.In)
	if err != nil {
		return err
	}
	matrix.Rows(dst)
	return nil
}

// sourceTensor finds the tensor that a run is of. Import has checked the shapes; random tensors that it has not asked for get the shape that the run
// asks for.
func sourceTensor(c *hf.Checkpoint, run ir.Run, cols int64, vector bool) (*hf.Tensor, error) {
	name := run.Source.Tensor
	if t := c.Lookup(name); t != nil {
		return t, nil
	}
	if c.Random() {
		shape := []int64{run.Source.Start + run.Source.Count, cols}
		if vector {
			shape = shape[:1]
		}
		return c.Tensor(name, shape...)
	}
	return nil, fmt.Errorf("the checkpoint has no tensor %q", name)
}
