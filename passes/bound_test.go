package passes

import (
	"math"

	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/ir/interp"
)

func batchOf(rows int) *interp.Batch {
	return &interp.Batch{IDs: make([]int32, rows)}
}

// productBound is the largest error of x.w when both are stored as the format wants: sum |x| dw + |w| dx + dx dw.
func productBound(f *quant.Format, x, w []float32) float64 {
	dx, dw := errors(x, inputError(f)), errors(w, weightError(f))
	bound := 1e-5
	for i := range x {
		bound += math.Abs(float64(x[i]))*dw[i] + math.Abs(float64(w[i]))*dx[i] + dx[i]*dw[i]
	}
	return bound
}

// numberError tells how far the numbers of one group may be off.
type numberError struct {
	group int // 0: all of the row
	most  func(group []float32, v float32) float64
}

func errors(row []float32, e numberError) []float64 {
	out := make([]float64, len(row))
	for i, v := range row {
		lo, hi := 0, len(row)
		if e.group > 0 {
			lo = i / e.group * e.group
			hi = min(hi, lo+e.group)
		}
		out[i] = e.most(row[lo:hi], v)
	}
	return out
}

func amax(group []float32) float32 {
	most := float32(0)
	for _, v := range group {
		most = max(most, float32(math.Abs(float64(v))))
	}
	return most
}

// halfStep of bf16: 8 bits of mantissa.
func bf16Error(_ []float32, v float32) float64 { return math.Abs(float64(v)) / 256 }

func weightError(f *quant.Format) numberError {
	switch {
	case f.DType == dtype.F32:
		return numberError{0, func([]float32, float32) float64 { return 0 }}
	case f.Plain():
		return numberError{0, bf16Error}
	}
	return numberError{f.Group, func(group []float32, _ float32) float64 {
		_, most := f.ErrorBound(amax(group), len(group))
		return float64(most)
	}}
}

func inputError(f *quant.Format) numberError {
	if f.Plain() {
		return weightError(f)
	}
	if f.DType == dtype.F8E4M3 {
		return weightError(f) // inputs are quantized as weights are
	}
	return numberError{f.Group, func(group []float32, _ float32) float64 { return float64(amax(group)) / 254 * 1.001 }} // of one digit or two
}
