package cuda_test

import (
	"encoding/binary"

	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/quant"
	"llmc/internal/rotation"
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

// kvPut writes a row of a key or a value to a page, at row, with its scale at scale, and makes the row's numbers those that were stored. rank is that of a
// latent row.
func kvPut(t dtype.Type, rank int, numbers []float32, row, scale []byte) {
	f, err := quant.KVOf(t)
	if err != nil {
		panic(err)
	}
	if f.Scaled() {
		turnRow(f, rank, numbers)
		codes := make([]uint16, len(numbers))
		s := f.Codes(codes, numbers)
		for i, code := range codes {
			numbers[i] = f.Level(code) * s
			switch {
			case row == nil:
			case t == dtype.U4:
				layout.PutU4(row, i, code)
			default:
				row[i] = byte(code)
			}
		}
		turnRow(f, rank, numbers)
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

// turnRow multiplies a row with the matrices of its format.
func turnRow(f *quant.KVFormat, rank int, row []float32) {
	if block := f.Block(len(row), rank); block > 1 {
		turn, err := rotation.Find(rotation.Plain(int64(block)))
		if err != nil {
			panic(err)
		}
		turn.Rows(row)
	}
}

// kvCodes are the codes of a row, one in a byte.
func kvCodes(kv layout.PlainKV, row []byte) []byte {
	if kv.DType != dtype.U4 {
		return row[:kv.Dim*kv.DType.Size()]
	}
	codes := make([]byte, kv.Dim)
	for d := range codes {
		codes[d] = byte(layout.U4(row, d))
	}
	return codes
}
