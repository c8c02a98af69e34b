package cuda_test

import (
	"fmt"
	"slices"
	"testing"

	"llmc/engine"
	"llmc/internal/dtype"
	"llmc/ir"
	"llmc/runtime/device/emu"
)

// residual is a product, the residual sum behind it, a norm, and what reads the two: everything that products take over.
func residual(t *testing.T, n, k int) *ir.Module {
	t.Helper()
	b := ir.NewBuilder("residual")
	step := b.Step()
	x := b.Gather(b.Weight("x", dtype.BF16, n, k), step.IDs)
	r := b.Gather(b.Weight("r", dtype.BF16, n, n), step.IDs)
	sum := b.Add(r, b.Linear(x, b.Weight("w", dtype.F32, n, k), b.Weight("bias", dtype.F32, n)))
	normed := b.RMSNorm(sum, b.Weight("norm", dtype.F32, n), 1e-5)
	y := b.Linear(normed, b.Weight("back", dtype.F32, n, n), b.Weight("bias_back", dtype.F32, n))
	b.Return(b.SelectRows(b.Add(y, sum), step.Rows))
	m, err := b.Module()
	check(t, err)
	return m
}

// TestSumInProduct compares products that add the residual and leave the norm to their readers with the interpreter's.
func TestSumInProduct(t *testing.T) {
	for _, target := range []string{"sm80", "sm90"} {
		for _, size := range [][3]int{{64, 64, 1}, {192, 96, 9}, {320, 160, 37}, {1088, 64, 70}} {
			t.Run(fmt.Sprintf("%s/%v", target, size), func(t *testing.T) {
				n, k, tokens := size[0], size[1], size[2]
				weights := fractions{map[string]int{"x": n * k, "r": n * n, "w": n * k, "bias": n, "norm": n, "back": n * n, "bias_back": n}}
				m := residual(t, n, k)
				plan := compile(t, m, weights, target, "bf16", n)
				ids := sequence(tokens, n)
				compare(t, m, weights, ids, runOn(t, emu.Options{Races: true, Seed: 1}, plan, n, ids, len(ids)), 1e-2)
				wantKernels(t, plan, target, "cuda.linear_add")
			})
		}
	}
}

// TestSameBitsRaw wants the same bits for a token whatever the number of tokens beside it: products that quantize their inputs themselves, for few
// tokens, give what those give whose inputs were quantized before.
func TestSameBitsRaw(t *testing.T) {
	const n, k, most = 192, 160, 40
	for _, target := range []string{"sm89", "sm90"} {
		for _, format := range []string{"bf16", "fp8", "int8-w8a8", "int4-g32"} {
			t.Run(target+"/"+format, func(t *testing.T) {
				weights := fractions{map[string]int{"x": n * k, "r": n * n, "w": n * k, "bias": n, "norm": n, "back": n * n, "bias_back": n}}
				m := residual(t, n, k)
				plan := compile(t, m, weights, target, format, n)
				longest := runOn(t, emu.Options{}, plan, n, sequence(most, n), most)
				compare(t, m, weights, sequence(most, n), longest, 1e-5)
				for _, tokens := range []int{33, 17, 16, 9, 8, 1} {
					for i, row := range runOn(t, emu.Options{Races: true, Seed: 1}, plan, n, sequence(tokens, n), tokens) {
						if !slices.Equal(row, longest[i]) {
							t.Fatalf("token %d of %d differs from that of %d", i, tokens, most)
						}
					}
				}
			})
		}
	}
}

// wantKernels wants a program to launch a kernel.
func wantKernels(t *testing.T, plan *engine.Plan, target, kernel string) {
	t.Helper()
	program, err := plan.Program("step", target)
	check(t, err)
	for _, l := range program.Launches {
		if l.Kernel == kernel {
			return
		}
	}
	t.Fatalf("no launch of %s", kernel)
}
