package quant

import (
	"fmt"
	"math"
	"strings"

	"llmc/internal/dtype"
)

// KVFormat is how a KV cache stores one head's key, or value, of a position.
type KVFormat struct {
	Name  string // as --kv-dtype takes it
	DType dtype.Type
	// codes fills in the codes of a row, which stand for number*scale, and returns the scale, which is a number of f16; nil for plain numbers.
	codes func(codes []uint16, row []float32) (scale float32)
	level func(code uint16) float32
}

// KVFormats lists every format. Scales are f16, so that a row's numbers are those that f16 can hold, times a code: matrix units multiply them
// as f16.
var KVFormats = []KVFormat{
	{Name: "f32", DType: dtype.F32},
	{Name: "bf16", DType: dtype.BF16},
	{Name: "f16", DType: dtype.F16},
	{Name: "fp8", DType: dtype.F8E4M3, codes: kvE4M3, level: func(code uint16) float32 { return dtype.E4M3ToF32(uint8(code)) }},
	{Name: "int8", DType: dtype.I8, codes: kvInt8, level: func(code uint16) float32 { return float32(code) - int8Zero }},
	{Name: "int16", DType: dtype.I16, codes: kvInt16, level: func(code uint16) float32 { return float32(int16(code)) * int16Unit }},
}

// FindKV returns the format that --kv-dtype calls name.
func FindKV(name string) (*KVFormat, error) {
	var names []string
	for i := range KVFormats {
		if KVFormats[i].Name == name {
			return &KVFormats[i], nil
		}
		names = append(names, KVFormats[i].Name)
	}
	return nil, fmt.Errorf("unknown format %q of the KV cache; there are %s", name, strings.Join(names, ", "))
}

// KVOf returns the format of a cache of that element type.
func KVOf(t dtype.Type) (*KVFormat, error) {
	for i := range KVFormats {
		if KVFormats[i].DType == t {
			return &KVFormats[i], nil
		}
	}
	return nil, fmt.Errorf("no KV cache of %v is defined", t)
}

// Scaled tells whether a row is codes with a scale of f16, which the whole row must be known for.
func (f *KVFormat) Scaled() bool { return f.codes != nil }

// Codes fills in a row's codes and returns their scale; of scaled formats.
func (f *KVFormat) Codes(codes []uint16, row []float32) (scale float32) { return f.codes(codes, row) }

// Level is what a code stands for at scale one.
func (f *KVFormat) Level(code uint16) float32 { return f.level(code) }

// kvScale is the scale that makes most of the row's largest magnitude, and what numbers are multiplied with to become codes. Magnitudes are
// compared as integers, so that NaN is the largest.
func kvScale(row []float32, most float32) (scale, inverse float32) {
	var amax uint32
	for _, v := range row {
		amax = max(amax, math.Float32bits(v)&^signBit)
	}
	scale = dtype.F16ToF32(dtype.F32ToF16(math.Float32frombits(amax) / most))
	if scale == 0 {
		return 0, 0
	}
	return scale, 1 / scale
}

func kvE4M3(codes []uint16, row []float32) float32 {
	scale, inverse := kvScale(row, dtype.E4M3Max)
	for i, v := range row {
		codes[i] = uint16(dtype.F32ToE4M3(float32(v * inverse)))
	}
	return scale
}

// Codes of int8 lie int8Zero higher, so that they are not negative.
const (
	int8Zero = 128
	int8Most = 127
)

func kvInt8(codes []uint16, row []float32) float32 {
	scale, inverse := kvScale(row, int8Most)
	for i, v := range row {
		x := math.RoundToEven(float64(float32(v * inverse)))
		if x != x {
			x = 0
		}
		codes[i] = uint16(int8Zero + int(min(max(x, -int8Zero), int8Most)))
	}
	return scale
}

// Codes of int16 are signed, in units of int16Unit of the scale, which is a little above the largest magnitude.
const (
	int16Unit = 1.0 / (1 << 13)
	int16Code = 1<<13 - 1
	int16Most = 0.9992
)

func kvInt16(codes []uint16, row []float32) float32 {
	scale, inverse := kvScale(row, int16Most)
	for i, v := range row {
		x := float64(float32(v * (inverse / int16Unit)))
		if !(x > -int16Code) {
			x = -int16Code
		}
		codes[i] = uint16(int16(math.RoundToEven(min(x, int16Code))))
	}
	return scale
}
