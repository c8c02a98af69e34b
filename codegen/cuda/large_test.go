package cuda_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"llmc/internal/dtype"
	"llmc/runtime/device/emu"
)

// atSize skips what the emulator takes too long for, unless it is asked to be thorough.
func atSize(t *testing.T) {
	t.Helper()
	if hardware != "cuda" && !thorough() {
		t.Skip("SKIPPED: of the size of models that people serve; on a GPU, or with LLMC_LONG")
	}
}

// TestLargeProducts multiplies whole numbers in matrices of a Llama of 8 billion parameters, in steps for every entry, and looks at some results of each
// token: places that 32 bits do not hold, grids of many tiles, and ranges of K on every multiprocessor of the target.
func TestLargeProducts(t *testing.T) {
	atSize(t)
	tokens := []int{1, 8, 16, 30, 64, 128, 700, 2050}
	if hardware != "cuda" {
		tokens = []int{1, 20}
	}
	for _, target := range gpuTargets {
		for _, c := range []struct {
			format string
			peak   int
			inputs bool
			n, k   int
		}{{"bf16", 0, false, 4096, 14336}, {"int4-g64", -8, false, 6144, 4096}, {"int8", 127, false, 4096, 4096}, {"fp8", 448, true, 28672, 2048}, {"int8-w8a8", 127, true, 4096, 2560}} {
			t.Run(fmt.Sprintf("%s/%s/%dx%d", target, c.format, c.n, c.k), func(t *testing.T) {
				weights := integers{shapes: map[string]int{"x": c.n * c.k, "w": c.n * c.k, "bias": c.n}, peak: c.peak, inputs: c.inputs}
				plan := compile(t, wideProduct(t, c.n, c.k, false), weights, target, c.format, c.n)
				x, _ := weights.Tensor("x")
				w, _ := weights.Tensor("w")
				bias, _ := weights.Tensor("bias")
				rng := rand.New(rand.NewPCG(1, 2))
				for _, n := range tokens {
					ids := sequence(n, c.n)
					for r, row := range runOn(t, emu.Options{}, plan, c.n, ids, n) {
						for range 16 {
							o := rng.IntN(c.n)
							want := bias[o]
							for i, v := range x[int(ids[r])*c.k:][:c.k] {
								want += v * w[o*c.k+i]
							}
							if row[o] != want {
								t.Fatalf("token %d of %d, output %d: %v, want %v", r, n, o, row[o], want)
							}
						}
					}
				}
			})
		}
	}
}

// TestLargeAttention attends to thousands of positions with the heads of a Llama of 8 billion parameters, alone and in pieces.
func TestLargeAttention(t *testing.T) {
	atSize(t)
	const length = 9000
	for _, target := range gpuTargets {
		for _, cache := range []dtype.Type{dtype.BF16, dtype.F8E4M3} {
			t.Run(fmt.Sprintf("%s/%v", target, cache), func(t *testing.T) {
				c := shape{heads: 32, kv: 8, dim: 128, q: dtype.F32, y: dtype.F32, cache: cache}
				if hardware != "cuda" {
					c.heads, c.kv = 4, 1
				}
				a := newAttention(t, c, target)
				h, short := newHistory(c, length, 41), newHistory(c, 70, 42)
				chunks := []chunk{{h, length - 1, length}, {short, 60, 70}}
				if hardware == "cuda" {
					chunks = append(chunks, chunk{h, 5000, 5020})
				}
				whole := a.step(16, chunks...)
				compareRows(t, c, whole, chunks)
				a.share = 3
				for r, row := range a.step(32, chunks...) {
					for i := range row {
						if row[i] != whole[r][i] {
							t.Fatalf("row %d differs in pieces", r)
						}
					}
				}
			})
		}
	}
}
