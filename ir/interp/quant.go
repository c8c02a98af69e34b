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

// quantize gives what the codes of the activation formats stand for. The group of q8t is that of its sums: it has one
// scale for the row.
func (c *call) quantize() error {
	x := c.arg("x")
	format, group := ir.SplitQuant(c.op.Result().Type.Quant)
	if format == "q8t" {
		group = int64(x.Cols)
	} else if format != "q8g" {
		return fmt.Errorf("unknown activation format %q", format)
	}
	y := newTensor(x.Rows, x.Cols)
	codes := make([]int8, group)
	for m := range x.Rows {
		out := y.Row(m)[:0]
		for part := range slices.Chunk(x.Row(m), int(group)) {
			scale, _ := quant.Q8(codes, part)
			for _, code := range codes[:len(part)] {
				out = append(out, float32(code)*scale)
			}
		}
	}
	c.give(y)
	return nil
}
