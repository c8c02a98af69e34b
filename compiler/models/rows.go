package models

import (
	"fmt"

	"llmc/compiler/hf"
	"llmc/ir"
)

// ReadRows writes rows [lo, hi) of a weight of an imported module to dst, as numbers: what its recipe makes of the checkpoint's tensors. It may be
// called from several goroutines at once.
func ReadRows(c *hf.Checkpoint, w *ir.Weight, dst []float32, lo, hi int64) error {
	_, cols, _ := w.Type.Matrix()
	if lo < 0 || hi < lo || hi > w.Recipe.Rows(cols) || int64(len(dst)) != (hi-lo)*cols {
		return fmt.Errorf("weight %s: rows %d:%d of %d into %d elements", w.Name, lo, hi, w.Recipe.Rows(cols), len(dst))
	}
	for run := range w.Recipe.Runs(cols, lo, hi) {
		n := run.Rows * cols
		if err := readRun(c, run, dst[:n], cols); err != nil {
			return err
		}
		dst = dst[n:]
	}
	return nil
}

func readRun(c *hf.Checkpoint, run ir.Run, dst []float32, cols int64) error {
	switch run.Source.Kind {
	case ir.FromZeros:
		clear(dst)
		return nil
	case ir.FromValues:
		copy(dst, run.Source.Values[run.First*cols:])
		return nil
	}
	return readTensor(c, run, dst, cols)
}

func readTensor(c *hf.Checkpoint, run ir.Run, dst []float32, cols int64) error {
	r := run.Source
	t := c.Lookup(r.Tensor)
	if t == nil {
		return fmt.Errorf("tensor %q is not in the checkpoint", r.Tensor)
	}
	read, err := rowReader(t, r.Transpose, cols)
	if err != nil {
		return err
	}
	if err := read(dst, run.First, run.First+run.Rows); err != nil {
		return err
	}
	for _, f := range ir.Transforms {
		if f.Name == r.Transform {
			for i, x := range dst {
				dst[i] = f.Apply(x)
			}
		}
	}
	return nil
}

// rowReader returns what reads rows of cols of a tensor as it lies, or columns of it as rows.
func rowReader(t *hf.Tensor, transpose bool, cols int64) (func(dst []float32, lo, hi int64) error, error) {
	if transpose {
		return t.ReadColumns, nil
	}
	view, err := t.View(cols)
	if err != nil {
		return nil, err
	}
	return view.ReadRows, nil
}
