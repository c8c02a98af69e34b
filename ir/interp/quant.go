package interp

import (
	"fmt"
	"slices"

	"llmc/internal/dtype"
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

// storedInCache replaces the heads of a row by what a cache keeps of them.
func storedInCache(row []float32, cache *ir.Cache) error {
	f, err := quant.KVOf(cache.DType)
	if err != nil {
		return err
	}
	if !f.Scaled() {
		return round(row, cache.DType)
	}
	for head := range slices.Chunk(row, int(cache.Dim)) {
		f.Keep(head, int(cache.Rank))
	}
	return nil
}

// activations replace part of a row by what its codes in an activation format stand for.
var activations = map[string]func(part []float32){
	"q16t":  quant.Q16,
	"q16g":  quant.Q16,
	"q8t":   storeQ8,
	"q8g":   storeQ8,
	"s8t":   storeQ8,
	"e4m3t": storeE4M3,
	"e4m3g": storeE4M3,
}

func storeQ8(part []float32) {
	codes := make([]int8, len(part))
	scale, _ := quant.Q8(codes, part)
	for i, code := range codes {
		part[i] = float32(code) * scale
	}
}

func storeE4M3(part []float32) {
	codes := make([]uint8, len(part))
	scale := quant.E4M3(codes, part)
	for i, code := range codes {
		part[i] = dtype.E4M3ToF32(code) * scale
	}
}

// quantize gives what the codes of the activation formats stand for. Where a group is not one of scales, the row has one scale.
func (c *call) quantize() error {
	x := c.arg("x")
	if c.Exact {
		c.give(x)
		return nil
	}
	format, group := ir.SplitQuant(c.op.Result().Type.Quant)
	f, store := ir.FindActivation(format), activations[format]
	if f == nil || store == nil {
		return fmt.Errorf("unknown activation format %q", format)
	}
	if f.Group != ir.GroupScales {
		group = int64(x.Cols)
	}
	y := newTensor(x.Rows, x.Cols)
	for m := range x.Rows {
		copy(y.Row(m), x.Row(m))
		for part := range slices.Chunk(y.Row(m), int(group)) {
			store(part)
		}
	}
	c.give(y)
	return nil
}
