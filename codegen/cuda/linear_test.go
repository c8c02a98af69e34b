package cuda_test

import (
	"fmt"
	"testing"

	"llmc/internal/dtype"
	"llmc/ir"
)

// integers are tensors of small whole numbers, so that every sum is exact. With peak, each run of 32 numbers has a number of that
// size, which fixes the scales of formats of codes at one; the inputs have it too where they become codes.
type integers struct {
	shapes map[string]int
	peak   int
	inputs bool
}

// Tensor implements interp.Weights.
func (w integers) Tensor(name string) ([]float32, error) {
	data := make([]float32, w.shapes[name])
	state := uint32(len(name)*7919 + len(data))
	for i := range data {
		state = state*1664525 + 1013904223
		data[i] = float32(int(state>>16)%7 - 3)
		if w.peak != 0 && (name != "x" || w.inputs) && i%32 == 5 {
			data[i] = float32(w.peak)
		}
	}
	return data, nil
}

// exactFormats are formats of weights, and the targets whose kernels differ.
var exactFormats = []struct {
	name    string
	peak    int
	inputs  bool // are codes too
	targets []string
}{
	{"bf16", 0, false, []string{"sm80"}}, {"f16", 0, false, []string{"sm80"}}, {"int8", 127, false, []string{"sm80"}}, {"fp8", 448, true, []string{"sm80", "sm89", "sm90"}},
	{"fp8-tensor", 448, true, []string{"sm80", "sm89"}}, {"fp8-block", 448, true, []string{"sm80", "sm89", "sm90"}},
	{"int8-w8a8", 127, true, []string{"sm80", "sm90"}},
	{"int4-g32", -8, false, []string{"sm80"}}, {"int4-g64", -8, false, []string{"sm80"}}, {"int4-g128", -8, false, []string{"sm80"}},
}

// TestLinearExact multiplies whole numbers in every format and over sizes that fill no tile: each result is exact.
func TestLinearExact(t *testing.T) {
	for _, format := range exactFormats {
		for _, size := range [][3]int{{16, 64, 1}, {70, 160, 3}, {33, 576, 17}, {130, 200, 40}} {
			for _, target := range format.targets {
				t.Run(fmt.Sprintf("%s/%s/%v", format.name, target, size), func(t *testing.T) {
					n, k, tokens := size[0], size[1], size[2]
					k = (k + 31) / 32 * 32 // whole runs
					weights := integers{map[string]int{"x": max(n, tokens) * k, "w": n * k, "bias": n}, format.peak, format.inputs}
					m := product(t, n, k, max(n, tokens), true)
					plan := compile(t, m, weights, target, format.name, n)
					ids := upTo(tokens)
					compare(t, m, weights, ids, run(t, plan, n, ids), 0)
				})
			}
		}
	}
}

// product is y = x[ids] * w^T (+ bias) for a table x.
func product(t *testing.T, n, k, rows int, bias bool) *ir.Module {
	t.Helper()
	b := ir.NewBuilder("product")
	step := b.Step()
	x := b.Gather(b.Weight("x", dtype.BF16, rows, k), step.IDs)
	var added *ir.Value
	if bias {
		added = b.Weight("bias", dtype.F32, n)
	}
	b.Return(b.SelectRows(b.Linear(x, b.Weight("w", dtype.F32, n, k), added), step.Rows))
	m, err := b.Module()
	check(t, err)
	return m
}

func upTo(n int) []int32 {
	ids := make([]int32, n)
	for i := range ids {
		ids[i] = int32(i)
	}
	return ids
}
