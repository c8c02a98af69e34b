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
}

// tensorTypes are the types that have a meaning in weights. number is the least type of plain numbers that holds every element exactly. The names
// without a decoder are known so that messages can name them.
var tensorTypes = []tensorType{
	{id: 0, name: "F32", block: 1, bytes: 4, number: dtype.F32},
	{id: 1, name: "F16", block: 1, bytes: 2, number: dtype.F16},
	{id: 30, name: "BF16", block: 1, bytes: 2, number: dtype.BF16},
	{id: 28, name: "F64", block: 1, bytes: 8, number: dtype.F64},
	{2, "Q4_0", 32, 18, dtype.F32, decodeQ4_0},
	{3, "Q4_1", 32, 20, dtype.F32, decodeQ4_1},
	{6, "Q5_0", 32, 22, dtype.F32, decodeQ5_0},
	{7, "Q5_1", 32, 24, dtype.F32, decodeQ5_1},
	{8, "Q8_0", 32, 34, dtype.F32, decodeQ8_0},
	{10, "Q2_K", 256, 84, dtype.F32, decodeQ2K},
	{11, "Q3_K", 256, 110, dtype.F32, decodeQ3K},
	{12, "Q4_K", 256, 144, dtype.F32, decodeQ4K},
	{13, "Q5_K", 256, 176, dtype.F32, decodeQ5K},
	{14, "Q6_K", 256, 210, dtype.F32, decodeQ6K},
	{20, "IQ4_NL", 32, 18, dtype.F32, decodeIQ4NL},
	{id: 9, name: "Q8_1"}, {id: 15, name: "Q8_K"},
	{id: 16, name: "IQ2_XXS"}, {id: 17, name: "IQ2_XS"}, {id: 18, name: "IQ3_XXS"}, {id: 19, name: "IQ1_S"}, {id: 21, name: "IQ3_S"},
	{id: 22, name: "IQ2_S"}, {id: 23, name: "IQ4_XS"}, {id: 29, name: "IQ1_M"}, {id: 34, name: "TQ1_0"}, {id: 35, name: "TQ2_0"},
	{id: 39, name: "MXFP4"}, {id: 40, name: "NVFP4"},
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
