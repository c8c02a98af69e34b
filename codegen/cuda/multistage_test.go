package cuda_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"llmc/internal/dtype"
	"llmc/ir/interp"
	"llmc/runtime/device/emu"
)

// manyCores leave products with small tiles; with one they have large ones as soon as these are half full.
const manyCores = 1000

var multistageFormats = []struct {
	name    string
	peak    int
	inputs  bool // are codes too
	targets []string
}{
	{"bf16", 0, false, []string{"sm80", "sm89"}}, {"f16", 0, false, []string{"sm80"}}, {"int8", 127, false, []string{"sm89"}},
	{"int4-g32", -8, false, []string{"sm80", "sm89"}}, {"int4-g64", -8, false, []string{"sm80"}}, {"int4-g128", -8, false, []string{"sm89"}},
	{"fp8", 448, true, []string{"sm80", "sm89"}}, {"fp8-block", 448, true, []string{"sm80", "sm89"}}, {"int8-w8a8", 127, true, []string{"sm80", "sm89"}},
}

// TestMultistageExact multiplies whole numbers in steps of many tokens, in every format and shape of a CTA: tiles and panels that are not full, parts of K
// that are empty or uneven, rows with padding, and more and fewer chunks than stages. Copies land when they must, or at random.
func TestMultistageExact(t *testing.T) {
	sizes := []struct{ n, k, tokens, cores int }{
		{70, 160, 33, manyCores}, {33, 1184, 70, 1}, {130, 96, 131, 1}, {150, 608, 64, manyCores}, {16, 64, 129, manyCores}, {200, 576, 65, 1},
	}
	for i, format := range multistageFormats {
		for j, target := range format.targets {
			for l, size := range sizes {
				if !thorough() && (i+2*j+l)%5 != 0 {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/%v", format.name, target, size), func(t *testing.T) {
					n, k := size.n, size.k
					weights := integers{shapes: map[string]int{"x": n * k, "w": n * k, "bias": n}, peak: format.peak, inputs: format.inputs}
					m := wideProduct(t, n, k, false)
					plan := compileOn(t, m, weights, ofCores(t, target, size.cores), format.name, n)
					ids := sequence(size.tokens, n)
					compare(t, m, weights, ids, runOn(t, emu.Options{Races: true, Seed: uint64(i+l) % 2}, plan, n, ids, len(ids)), 0)
				})
			}
		}
	}
}

// TestMultistageShapes wants tiles that grow with the step: the largest step of each entry, and the tokens of its tile.
func TestMultistageShapes(t *testing.T) {
	const k = 64
	for _, c := range []struct {
		format, target string
		n, cores       int
		want           string
	}{
		{"bf16", "sm80", 70, 1, "32:16 64:64 0:128"}, {"bf16", "sm80", 70, manyCores, "32:16 65536:64 0:128"},
		{"bf16", "sm80", 4096, 108, "32:16 128:64 0:128"}, {"bf16", "sm80", 8192, 108, "32:16 64:64 0:128"},
		{"int8-w8a8", "sm89", 4096, 142, "32:16 256:64 0:128"},
		{"int4-g32", "sm80", 70, 1, "32:16 0:64"}, {"int4-g32", "sm80", 4096, 108, "32:16 64:64 0:64"}, {"fp8-block", "sm80", 8192, 108, "32:16 0:64"},
	} {
		weights := integers{shapes: map[string]int{"x": c.n * k, "w": c.n * k, "bias": c.n}}
		plan := compileOn(t, wideProduct(t, c.n, k, false), weights, ofCores(t, c.target, c.cores), c.format, c.n)
		program, err := plan.Program("step", c.target)
		check(t, err)
		var got []string
		for _, l := range program.Launches {
			for _, code := range l.Code {
				tokens := code.Grid[0].Per
				if code.Threads == 256 && code.Shared == 0 {
					tokens = code.Grid[1].Per // linear has outputs first
				}
				if l.Kernel == "cuda.linear" {
					got = append(got, fmt.Sprintf("%d:%d", code.Limit.Max, tokens))
				}
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s on %s with %d outputs and %d cores: %v, want %s", c.format, c.target, c.n, c.cores, got, c.want)
		}
	}
}

// TestMultistageSameBits wants the bits of steps of few tokens in steps of many, whatever the shape of the CTA.
func TestMultistageSameBits(t *testing.T) {
	const n, k, tokens = 70, 608, 70
	formats := []string{"bf16", "int8", "fp8", "f16", "int4-g32-zp", "fp8-block", "int8-w8a8", "int4-g128", "int4-g64-zp", "int4-g32", "int4-g128-zp", "int4-g64"}
	for i, format := range formats {
		for j, target := range []string{"sm80", "sm89"} {
			if !thorough() && (i+j)%4 != 0 {
				continue
			}
			t.Run(format+"/"+target, func(t *testing.T) {
				swiglu := i%2 != 0
				weights := fractions{map[string]int{"x": n * k, "w": n * k, "up": n * k, "bias": n, "bias_up": n}}
				var few [][]float32
				for _, cores := range []int{1, manyCores} {
					m := wideProduct(t, n, k, swiglu)
					plan := compileOn(t, m, weights, ofCores(t, target, cores), format, n)
					if few == nil {
						few = runOn(t, emu.Options{}, plan, n, sequence(tokens, n), 16)
						compare(t, m, weights, sequence(tokens, n), few, 1e-5)
					}
					for r, row := range runOn(t, emu.Options{}, plan, n, sequence(tokens, n), tokens) {
						if !slices.Equal(row, few[r]) {
							t.Fatalf("%d cores: token %d differs from that of steps of 16", cores, r)
						}
					}
				}
			})
		}
	}
}

// TestMultistageModel wants a prompt's logits to have the same bits in steps of 30 tokens, and in one, as in steps of 16, on wgmma too: products that turn keys, add residuals and
// leave norms to their readers.
func TestMultistageModel(t *testing.T) {
	const vocab, tokens = 80, 70
	const config = `{"model_type":"llama","hidden_size":96,"intermediate_size":72,"num_attention_heads":3,"num_key_value_heads":1,"head_dim":32,"vocab_size":80`
	for i, format := range []string{"bf16", "int4-g32", "int8-w8a8", "fp8"} {
		for j, target := range gpuTargets {
			if !thorough() && i != []int{0, 3, 0}[j] {
				continue
			}
			t.Run(format+"/"+target, func(t *testing.T) {
				m := importConfig(t, config, dtype.BF16)
				weights, err := interp.NewRandomWeights(m, 5)
				check(t, err)
				plan := compileOn(t, m, weights, ofCores(t, target, []int{1, manyCores}[(i+j)%2]), format, vocab)
				wantKernels(t, plan, target, "cuda.linear_rope_kv")
				ids := sequence(tokens, vocab)
				few := runOn(t, emu.Options{}, plan, vocab, ids, 16)
				for _, n := range []int{30, tokens} {
					for r, row := range runOn(t, emu.Options{Races: true, Seed: 1}, plan, vocab, ids, n) {
						if !slices.Equal(row, few[r]) {
							t.Fatalf("token %d of steps of %d differs from that of steps of 16", r, n)
						}
					}
				}
			})
		}
	}
}
