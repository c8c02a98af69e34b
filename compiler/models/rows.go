package models

import (
	"fmt"

	"llmc/compiler/hf"
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

func readRun(c *hf.Checkpoint, run ir.Run, dst []float32, cols int64, vector bool) error {
	switch run.Source.Kind {
	case ir.FromZeros:
		clear(dst)
		return nil
	case ir.FromValues:
		copy(dst, run.Source.Values[run.First*cols:])
		return nil
	}
	tensor, err := sourceTensor(c, run, cols, vector)
	if err != nil {
		return err
	}
	read := tensor.ReadColumns
	if !run.Source.Transpose {
		view, err := tensor.View(cols)
		if err != nil {
			return err
		}
		read = view.ReadRows
	}
	if err := read(dst, run.First, run.First+run.Rows); err != nil {
		return err
	}
	return ir.ApplyTransform(dst, run.Source.Transform)
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
