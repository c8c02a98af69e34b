package gguf

import (
	"fmt"

	"llmc/internal/dtype"
)

// tensorType is how a tensor's elements lie in a file: in blocks of a row, each of so many bytes.
type tensorType struct {
	id     uint32 // of enum ggml_type
	name   string
	block  int64 // elements
	bytes  int64 // of a block
	number dtype.Type
	// decode writes the numbers of whole blocks to dst; nil for types that are not read.
	decode func(dst []float32, src []byte)
	// format is the one of package quant whose codes and scales the blocks are, and codes takes these out of whole blocks; "" and nil where there is none.
	format string
	codes  func(r *codedRow, src []byte)
	// digits takes a block apart into two digits of 4 bits, whose products kernels add up that have none of the format; nil where there are none.
	digits func(d *digits, src []byte)
	// scaled is decode for types whose matrices have a scale beside them; nil for others.
	scaled func(dst []float32, src []byte, of float32)
}

// tensorTypes are the types that have a meaning in weights. number is the least type of plain numbers that holds every element exactly. The names
// without a decoder are known so that messages can name them.
var tensorTypes = []tensorType{
	{id: 0, name: "F32", block: 1, bytes: 4, number: dtype.F32},
	{id: 1, name: "F16", block: 1, bytes: 2, number: dtype.F16},
	{id: 30, name: "BF16", block: 1, bytes: 2, number: dtype.BF16},
	{id: 28, name: "F64", block: 1, bytes: 8, number: dtype.F64},
	{2, "Q4_0", 32, 18, dtype.F32, decodeQ4_0, "int4-g32", codesQ4_0, nil, nil},
	{3, "Q4_1", 32, 20, dtype.F32, decodeQ4_1, "q4_1", codesQ4_1, digitsQ4_1, nil},
	{6, "Q5_0", 32, 22, dtype.F32, decodeQ5_0, "q5_0", codesQ5_0, digitsQ5_0, nil},
	{7, "Q5_1", 32, 24, dtype.F32, decodeQ5_1, "q5_1", codesQ5_1, nil, nil},
	{8, "Q8_0", 32, 34, dtype.F32, decodeQ8_0, "int8-g32-order", codesQ8_0, digitsQ8_0, nil},
	{id: 10, name: "Q2_K", block: 256, bytes: 84, number: dtype.F32, decode: decodeQ2K, format: "q2_k", codes: codesQ2K},
	{id: 11, name: "Q3_K", block: 256, bytes: 110, number: dtype.F32, decode: decodeQ3K, format: "q3_k", codes: codesQ3K},
	{id: 12, name: "Q4_K", block: 256, bytes: 144, number: dtype.F32, decode: decodeQ4K, format: "q4_k", codes: codesQ4K},
	{id: 13, name: "Q5_K", block: 256, bytes: 176, number: dtype.F32, decode: decodeQ5K, format: "q5_k", codes: codesQ5K},
	{id: 14, name: "Q6_K", block: 256, bytes: 210, number: dtype.F32, decode: decodeQ6K, format: "q6_k", codes: codesQ6K},
	{20, "IQ4_NL", 32, 18, dtype.F32, decodeIQ4NL, "iq4_nl", codesIQ4NL, digitsIQ4NL, nil},
	{39, "MXFP4", 32, 17, dtype.F32, decodeMXFP4, "mxfp4", codesMXFP4, nil, nil},
	{40, "NVFP4", nvBlock, nvBytes, dtype.F32, decodePlainNVFP4, "nvfp4", codesNVFP4, nil, decodeNVFP4},
	{id: 9, name: "Q8_1"}, {id: 15, name: "Q8_K"},
	{id: 16, name: "IQ2_XXS"}, {id: 17, name: "IQ2_XS"}, {id: 18, name: "IQ3_XXS"}, {id: 19, name: "IQ1_S"}, {id: 21, name: "IQ3_S"},
	{id: 22, name: "IQ2_S"}, {id: 23, name: "IQ4_XS"}, {id: 29, name: "IQ1_M"}, {id: 34, name: "TQ1_0"}, {id: 35, name: "TQ2_0"},
	{id: 24, name: "I8"}, {id: 25, name: "I16"}, {id: 26, name: "I32"}, {id: 27, name: "I64"},
}

// findType returns the type of an id, which must be one that is read.
func findType(id uint32) (*tensorType, error) {
	for i := range tensorTypes {
		t := &tensorTypes[i]
		switch {
		case t.id != id:
		case t.block == 0:
			return nil, fmt.Errorf("has type %s, which is not read; requantize it to one of %s", t.name, readTypes())
		default:
			return t, nil
		}
	}
	return nil, fmt.Errorf("has type %d, which is not known; known are %s", id, readTypes())
}

func readTypes() string {
	names := ""
	for _, t := range tensorTypes {
		if t.block > 0 {
			names += ", " + t.name
		}
	}
	return names[2:]
}
