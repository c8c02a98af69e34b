package ir

import "llmc/internal/dtype"

// WeightFormats are the formats of quantized weights: the code of each element, and whether a scale covers a group of
// columns (its size is part of the name, as in int4.g32) or the row. Package quant tells how many rows share one.
var WeightFormats = []struct {
	Base    string
	Code    dtype.Type
	Grouped bool
}{
	{"int8", dtype.U8, false},
	{"int8a8", dtype.U8, false},
	{"fp8", dtype.F8E4M3, false},
	{"fp8_tensor", dtype.F8E4M3, false},
	{"fp8_block", dtype.F8E4M3, true},
	{"int4", dtype.U4, true},
	{"int4z", dtype.U4, true},
	{"int4n", dtype.U4, true},
	{"int4a8", dtype.U4, true},
	{"int4za8", dtype.U4, true},
	{"int4na8", dtype.U4, true},
	{"mxfp4", dtype.U4, true},
	{"nvfp4", dtype.U4, true},
	{"q2k", dtype.U4, true},
	{"q3k", dtype.U4, true},
	{"q4k", dtype.U4, true},
	{"q5k", dtype.U8, true},
	{"q6k", dtype.U8, true},
	{"nf4", dtype.U4, true},
	{"fp4", dtype.U4, true},
	{"q5m", dtype.U8, true},
	{"q4m", dtype.U4, true},
	{"q5", dtype.U8, true},
	{"iq4", dtype.U4, true},
	{"int4o", dtype.U4, true},
	{"int8o", dtype.U8, true},
	{"nf4s", dtype.U4, true},
	{"fp4s", dtype.U4, true},
}

// ActivationFormats are the formats of quantized inputs: the code of each element, what a group of columns means, and the weights that they are
// multiplied with.
var ActivationFormats = []ActivationFormat{
	{"q16t", dtype.I8, GroupSums, []string{"int8", "int4n"}},
	{"q16g", dtype.I8, GroupScales, []string{"int4", "int4z", "mxfp4", "nvfp4", "q2k", "q3k", "q4k", "q5k", "q6k", "q4m", "q5", "iq4"}},
	{"q8t", dtype.I8, GroupSums, []string{"int8a8", "int4na8"}},
	{"q8g", dtype.I8, GroupScales, []string{"int4a8", "int4za8"}},
	{"s8t", dtype.I8, NoGroups, []string{"int8a8", "int4na8"}},
	{"e4m3t", dtype.F8E4M3, NoGroups, []string{"fp8", "fp8_tensor"}},
	{"e4m3g", dtype.F8E4M3, GroupScales, []string{"fp8_block"}},
	{MaximaFormat, dtype.F32, NoGroups, nil},
}

// MaximaFormat is f32 with the largest magnitude of every eight columns, so that the scale of a row's codes is found without another look at all
// of it.
const MaximaFormat = "f32m"

// ActivationFormat is one format of quantized inputs.
type ActivationFormat struct {
	Base    string
	Code    dtype.Type
	Group   GroupMeaning
	Weights []string // bases of formats
}

// FindActivation returns the row of a format, nil if there is none.
func FindActivation(base string) *ActivationFormat {
	for i := range ActivationFormats {
		if ActivationFormats[i].Base == base {
			return &ActivationFormats[i]
		}
	}
	return nil
}

// GroupMeaning is what a format of inputs keeps for each group of columns.
type GroupMeaning uint8

// Without groups a row has one scale and nothing else. GroupSums: one scale, and sums of codes for each segment of the weight, of which there may
// be one. GroupScales: a scale for each group of the weight.
const (
	NoGroups GroupMeaning = iota
	GroupSums
	GroupScales
)
