package kernel

import (
	"math"
	"unsafe"

	"llmc/engine/layout"
)

// widen writes the numbers that the codes of row r stand for, len(dst) of them from element k on.
func (x *Rows) widen(dst []float32, r, k int) {
	row := x.Data[r*x.Stride:][:x.Bytes()]
	if x.Zero == 0 { // bf16
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(*at[uint16](unsafe.Pointer(&row[0]), 2*(k+i))) << 16)
		}
		return
	}
	for i := range dst {
		code := float32(int8(row[x.CodeOffset(k+i, 0)]))
		if x.Digits == 2 {
			code += float32(int8(row[x.CodeOffset(k+i, 1)])) / layout.RestSteps
		}
		dst[i] = code * *at[float32](unsafe.Pointer(&row[x.EntryOffset()]), (k+i)/x.Group*layout.EntryBytes)
	}
}
