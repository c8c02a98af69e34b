package interp

import (
	"fmt"
	"slices"

	"llmc/internal/quant"
	"llmc/ir"
)

// storedAs replaces rows of cols numbers by what their codes in a weight format stand for.
func storedAs(data []float32, format string, cols int) error {
	f, err := quant.FindType(format)
	if err != nil {
		return err
	}
	var b quant.Block
	if err := f.Quantize(&b, data, cols); err != nil {
		return err
	}
	f.Dequantize(data, &b)
	return nil
}

// quantize gives what the codes of the activation formats stand for. The group of q16t is that of its sums: it has one
// scale for the row.
func (c *call) quantize() error {
	x := c.arg("x")
	format, group := ir.SplitQuant(c.op.Result().Type.Quant)
	if format == "q16t" {
		group = int64(x.Cols)
	} else if format != "q16g" {
		return fmt.Errorf("unknown activation format %q", format)
	}
	y := newTensor(x.Rows, x.Cols)
	for m := range x.Rows {
		copy(y.Row(m), x.Row(m))
		for part := range slices.Chunk(y.Row(m), int(group)) {
			quant.Q16(part)
		}
	}
	c.give(y)
	return nil
}
