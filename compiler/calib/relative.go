package calib

import (
	"llmc/internal/dense"
	"llmc/internal/quant"
)

// RoundingLoss is what rows, [any, cols], lose of their products with an input when each number becomes the nearest code of a format; where input is nil, of themselves.
func RoundingLoss(f *quant.Format, input *Input, rows []float32, cols int) (Loss, error) {
	var block quant.Block
	if err := f.Quantize(&block, rows, cols); err != nil {
		return Loss{}, err
	}
	back := make([]float32, len(rows))
	f.Dequantize(back, &block)
	n := len(rows) / cols
	errors, products := dense.Matrix{Data: make([]float32, len(rows)), Stride: n}, dense.Matrix{Data: make([]float32, len(rows)), Stride: n}
	weights := dense.Matrix{Data: make([]float32, len(rows)), Stride: n}
	var plain Loss
	for i, w := range rows {
		at, e := i%cols*n+i/cols, back[i]-w
		errors.Data[at], weights.Data[at] = e, w
		plain.Add(Loss{float64(e) * float64(e), float64(w) * float64(w)})
	}
	if input == nil {
		return plain, nil
	}
	return Loss{input.loss(errors, products), input.loss(weights, products)}, nil
}
