package cuda_test

import (
	"fmt"
	"slices"
	"testing"

	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/runtime/device/emu"
)

// wideProduct is y[T,n] = x * w^T + bias, or with swiglu silu(gate) * up. Tokens are rows of x[n,k].
func wideProduct(t *testing.T, n, k int, swiglu bool) *ir.Module {
	t.Helper()
	b := ir.NewBuilder("product")
	step := b.Step()
	x := b.Gather(b.Weight("x", dtype.BF16, n, k), step.IDs)
	y := b.Linear(x, b.Weight("w", dtype.F32, n, k), b.Weight("bias", dtype.F32, n))
	if swiglu {
		y = b.Mul(b.SiLU(y), b.Linear(x, b.Weight("up", dtype.F32, n, k), b.Weight("bias_up", dtype.F32, n)))
	}
	b.Return(b.SelectRows(y, step.Rows))
	m, err := b.Module()
	check(t, err)
	return m
}

// sequence is tokens below n.
func sequence(tokens, n int) []int32 {
	ids := make([]int32, tokens)
	for i := range ids {
		ids[i] = int32(i % n)
	}
	return ids
}

var wideFormats = []struct {
	name   string
	peak   int
	inputs bool // are codes too
}{{"bf16", 0, false}, {"f16", 0, false}, {"int8", 127, false}, {"int4-g32", -8, false}, {"int4-g64", -8, false}, {"int4-g128", -8, false}, {"fp8", 448, true}, {"fp8-block", 448, true}, {"int8-w8a8", 127, true}}

// TestWideExact multiplies whole numbers on wgmma, in every format and shape of a CTA, with copies and products that land when they
// must and with ones that land at random.
func TestWideExact(t *testing.T) {
	for i, format := range wideFormats {
		for j, size := range [][3]int{{16, 64, 1}, {70, 160, 3}, {33, 1184, 17}, {200, 576, 9}, {130, 224, 41}, {70, 96, 131}, {8500, 64, 3}} {
			if !thorough() && i > 0 && (i+j)%2 != 0 {
				continue
			}
			for seed := range uint64(2) {
				if seed == 0 && format.name != "bf16" && format.name != "int4-g32" && format.name != "fp8-block" {
					continue
				}
				t.Run(fmt.Sprintf("%s/%v/%d", format.name, size, seed), func(t *testing.T) {
					n, k, tokens := size[0], size[1], size[2]
					weights := integers{shapes: map[string]int{"x": n * k, "w": n * k, "bias": n}, peak: format.peak, inputs: format.inputs}
					m := wideProduct(t, n, k, false)
					plan := compile(t, m, weights, "sm90", format.name, n)
					ids := sequence(tokens, n)
					compare(t, m, weights, ids, runOn(t, emu.Options{Races: true, Seed: seed}, plan, n, ids, len(ids)), 0)
				})
			}
		}
	}
}

// TestWideZeroPoints multiplies codes with zero points, of groups that stages and parts of K cut, up to the order of sums.
func TestWideZeroPoints(t *testing.T) {
	const n, k = 70, 1376
	weights := fractions{map[string]int{"x": n * k, "w": n * k, "bias": n}}
	for _, format := range []string{"int4-g32-zp", "int4-g64-zp", "int4-g128-zp"} {
		m := wideProduct(t, n, k, false)
		plan := compile(t, m, weights, "sm90", format, n)
		for i, tokens := range []int{1, 13, 70} {
			ids := sequence(tokens, n)
			compare(t, m, weights, ids, runOn(t, emu.Options{Races: true, Seed: uint64(i)}, plan, n, ids, len(ids)), 1e-6)
		}
	}
}

// TestWideSameBits wants the same bits for a token whatever the number of tokens beside it, and so whatever the shape of the CTA.
func TestWideSameBits(t *testing.T) {
	const n, k, most = 96, 608, 200
	for i, c := range []struct {
		format string
		swiglu bool
	}{{"bf16", false}, {"bf16", true}, {"f16", true}, {"int8", true}, {"int4-g32", true}, {"int4-g128", false}, {"fp8", false}, {"fp8", true}, {"fp8-block", false}, {"fp8-block", true}, {"int8-w8a8", false}, {"int8-w8a8", true}} {
		t.Run(fmt.Sprintf("%s/%v", c.format, c.swiglu), func(t *testing.T) {
			weights := fractions{map[string]int{"x": n * k, "w": n * k, "up": n * k, "bias": n, "bias_up": n}}
			plan := compile(t, wideProduct(t, n, k, c.swiglu), weights, "sm90", c.format, n)
			longest := runOn(t, emu.Options{}, plan, n, sequence(most, n), most)
			for j, tokens := range []int{100, 64, 33, 17, 9, 8, 7, 1} {
				if (i+j)%2 != 0 && !everywhere() {
					continue
				}
				for r, row := range runOn(t, emu.Options{}, plan, n, sequence(tokens, n), tokens) {
					if !slices.Equal(row, longest[r]) {
						t.Fatalf("token %d of %d differs from that of %d", r, tokens, most)
					}
				}
			}
		})
	}
}

// fractions are tensors whose sums depend on the order.
type fractions struct{ shapes map[string]int }

// Tensor implements interp.Weights.
func (w fractions) Tensor(name string) ([]float32, error) {
	data := make([]float32, w.shapes[name])
	state := uint32(len(name)*7919 + len(data))
	for i := range data {
		state = state*1664525 + 1013904223
		data[i] = float32(int32(state)) / (1 << 31)
	}
	return data, nil
}
