package cuda_test

import (
	"encoding/binary"

	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// stored is the type of the cache.
func (c shape) stored() dtype.Type {
	if c.cache == dtype.Invalid {
		return dtype.BF16
	}
	return c.cache
}

// multiplied is what a number of a key is rounded to when it has turned.
func (c shape) multiplied(x float32) float32 {
	if c.stored() == dtype.BF16 {
		return rounded(x)
	}
	return dtype.F16ToF32(dtype.F32ToF16(x))
}

// kvPut writes a row of a key or a value to a page, at row, with its scale at scale, and makes the row's numbers those that were stored.
func kvPut(t dtype.Type, numbers []float32, row, scale []byte) {
	f, err := quant.KVOf(t)
	if err != nil {
		panic(err)
	}
	if f.Scaled() {
		codes := make([]uint16, len(numbers))
		s := f.Codes(codes, numbers)
		for i, code := range codes {
			numbers[i] = f.Level(code) * s
		}
		for i := range row[:min(len(row), len(codes))] { // there is no row of latent values
			row[i] = byte(codes[i])
		}
		if len(scale) > 0 {
			binary.LittleEndian.PutUint16(scale, dtype.F32ToF16(s))
		}
		return
	}
	for i, x := range numbers {
		bits := bf16(x)
		numbers[i] = widened(bits)
		if t == dtype.F16 {
			bits = dtype.F32ToF16(x)
			numbers[i] = dtype.F16ToF32(bits)
		}
		if row != nil {
			binary.LittleEndian.PutUint16(row[2*i:], bits)
		}
	}
}
