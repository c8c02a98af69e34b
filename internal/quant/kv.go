package quant

import (
	"fmt"
	"math"
	"strings"

	"llmc/internal/dtype"
	"llmc/internal/rotation"
)

// KVFormat is how a KV cache stores one head's key, or value, of a position.
type KVFormat struct {
	Name  string // as --kv-dtype takes it
	DType dtype.Type
	// Turned tells that a row is multiplied with Hadamard matrices before it becomes codes, which leaves few outliers in it (QuaRot's R3, arXiv:2404.00456).
	// Queries, and what weighted values add up to, are multiplied with the same ones, which are their own inverses.
	Turned bool
	// Tries are what the scale that makes the largest code of a row's largest magnitude is multiplied with: the first of those that lose least squares
	// is taken.
	Tries []float32
	Most  float32 // what the largest magnitude becomes; 0: plain numbers, which have no scale
	// code is that of a number in units of the scale.
	code  func(x float32) uint16
	level func(code uint16) float32
}

// KVFormats lists every format. Scales are f16, so that a row's numbers are those that f16 can hold, times a code: matrix units multiply them
// as f16.
var KVFormats = []KVFormat{
	{Name: "f32", DType: dtype.F32},
	{Name: "bf16", DType: dtype.BF16},
	{Name: "f16", DType: dtype.F16},
	{Name: "fp8", DType: dtype.F8E4M3, Most: dtype.E4M3Max, Tries: binade(8), code: kvE4M3, level: func(code uint16) float32 { return dtype.E4M3ToF32(uint8(code)) }},
	{Name: "int8", DType: dtype.I8, Most: int8Most, Tries: []float32{1}, Turned: true, code: kvInt8, level: func(code uint16) float32 { return float32(code) - int8Zero }},
	{Name: "int16", DType: dtype.I16, Most: int16Most, Tries: []float32{1}, code: kvInt16, level: func(code uint16) float32 { return float32(int16(code)) * int16Unit }},
	{Name: "int4", DType: dtype.U4, Most: float32(KVLevels[7]), Tries: []float32{1, 0.95, 0.9, 0.85, 0.8, 0.75}, Turned: true, code: kvInt4, level: kvLevel4},
}

// binade returns n scales, evenly apart, from one on until what they make of the largest magnitude would be half as much.
func binade(n int) []float32 {
	tries := make([]float32, n)
	for i := range tries {
		tries[i] = float32(math.Exp2(float64(i) / float64(n)))
	}
	return tries
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
func (f *KVFormat) Scaled() bool { return f.Most > 0 }

// Block returns the size of the Hadamard matrices that rows of dim channels are multiplied with, side by side; the first rank ones alone may be values, 0:
// all. It is 1 where they are not.
func (f *KVFormat) Block(dim, rank int) int {
	if !f.Turned {
		return 1
	}
	n := dim | rank
	return min(n&-n, maxTurn)
}

// maxTurn is the largest Hadamard matrix of a head: a warp and the vectors of CPUs have the numbers of so many in registers.
const maxTurn = 256

// Keep replaces a row of a head by what the cache keeps of it; of scaled formats. rank is as in Block.
func (f *KVFormat) Keep(row []float32, rank int) {
	var turn *rotation.Rotation
	if block := f.Block(len(row), rank); block > 1 {
		var err error
		if turn, err = rotation.Find(rotation.Plain(int64(block))); err != nil {
			panic("quant: " + err.Error()) // a power of two
		}
		turn.Rows(row)
	}
	codes := make([]uint16, len(row))
	scale := f.Codes(codes, row)
	for i, code := range codes {
		row[i] = f.level(code) * scale
	}
	if turn != nil {
		turn.Rows(row)
	}
}

// Codes fills in a row's codes and returns their scale; of scaled formats. The row has been turned. The scale is a number of f16.
func (f *KVFormat) Codes(codes []uint16, row []float32) (scale float32) {
	scale, inverse := f.Scale(amaxOf(row), func(inverse float32) float32 { return f.loss(row, inverse) })
	for i, v := range row {
		codes[i] = f.code(float32(v * inverse))
	}
	return scale
}

// Scale returns the scale of a row whose largest magnitude is amax, and what its numbers are multiplied with to be in units of it, 0 where it is zero. loss is the
// sum of the squares of what the row loses in these units; it is asked where several scales are tried.
func (f *KVFormat) Scale(amax float32, loss func(inverse float32) float32) (scale, inverse float32) {
	top, least := amax/f.Most, float32(0)
	for i, try := range f.Tries {
		s, by := dtype.F16ToF32(dtype.F32ToF16(float32(top*try))), float32(0)
		if s != 0 {
			by = 1 / s
		}
		if len(f.Tries) == 1 {
			return s, by
		}
		if lost := loss(by) * float32(s*s); i == 0 || lost < least {
			scale, inverse, least = s, by, lost
		}
	}
	return scale, inverse
}

// loss is what Scale asks for.
func (f *KVFormat) loss(row []float32, inverse float32) (sum float32) {
	for _, v := range row {
		x := float32(v * inverse)
		d := f.level(f.code(x)) - x
		sum += float32(d * d)
	}
	return sum
}

// Code is that of a number in units of the scale; of scaled formats.
func (f *KVFormat) Code(x float32) uint16 { return f.code(x) }

// Level is what a code stands for at scale one.
func (f *KVFormat) Level(code uint16) float32 { return f.level(code) }

// amaxOf is the largest magnitude. Magnitudes are compared as integers, so that NaN is the largest.
func amaxOf(row []float32) float32 {
	var amax uint32
	for _, v := range row {
		amax = max(amax, math.Float32bits(v)&^signBit)
	}
	return math.Float32frombits(amax)
}

func kvE4M3(x float32) uint16 { return uint16(dtype.F32ToE4M3(x)) }

// Codes of int8 lie int8Zero higher, so that they are not negative.
const (
	int8Zero = 128
	int8Most = 127
)

func kvInt8(v float32) uint16 {
	x := math.RoundToEven(float64(v))
	if x != x {
		x = 0
	}
	return uint16(int8Zero + int(min(max(x, -int8Zero), int8Most)))
}

// Codes of int16 are signed, in units of int16Unit of the scale, which is a little above the largest magnitude.
const (
	int16Unit = 1.0 / (1 << 13)
	int16Code = 1<<13 - 1
	int16Most = 0.9992
)

func kvInt16(v float32) uint16 {
	x := float64(float32(v * (1 / int16Unit)))
	if !(x > -int16Code) {
		x = -int16Code
	}
	return uint16(int16(math.RoundToEven(min(x, int16Code))))
}

// KVLevels are the magnitudes that codes of int4 stand for, by their lower three bits; the fourth is the sign. They lie about as those that lose least of
// normally distributed numbers do (Max 1960, "Quantizing for minimum distortion"), which turned rows are like; all are whole numbers, for processors, and
// have three significant bits, so that for GPUs one byte is the upper half of their f16.
var KVLevels = [8]int8{1, 3, 5, 7, 10, 12, 16, 20}

// KVBounds are where one magnitude ends and the next one begins.
var KVBounds = [7]float32{2, 4, 6, 8.5, 11, 14, 18}

const kvSign = 8

func kvInt4(x float32) (code uint16) {
	if math.Signbit(float64(x)) {
		code, x = kvSign, -x
	}
	for _, bound := range KVBounds {
		if x > bound {
			code++
		}
	}
	return code
}

func kvLevel4(code uint16) float32 {
	level := float32(KVLevels[code%kvSign])
	if code >= kvSign {
		return -level
	}
	return level
}
