package cuda_test

import (
	"fmt"
	"slices"
	"testing"

	"llmc/engine"
	"llmc/runtime/device/emu"
)

// tickets is how many tiles of the plan's product several CTAs may have.
func tickets(t *testing.T, plan *engine.Plan) (most int64) {
	p, err := plan.Program("step", "sm90")
	check(t, err)
	for i := range p.Launches {
		most = max(most, p.Launches[i].Int("tickets", 0))
	}
	return most
}

// TestStreamExact multiplies whole numbers in pieces of tiles, with ranges that tiles divide and others, one row of tiles and several.
func TestStreamExact(t *testing.T) {
	for i, format := range wideFormats {
		for j, c := range []struct{ cores, n, k, tokens int }{{3, 250, 4160, 3}, {2, 330, 2944, 20}, {132, 70, 4160, 17}, {8, 330, 4160, 40}, {8, 200, 2944, 70}} {
			if !thorough() && i > 0 && (i+j)%6 != 0 {
				continue
			}
			if format.inputs {
				c.k = min(c.k, 2560) // products of codes with codes are exact up to 2^24
			}
			t.Run(fmt.Sprintf("%s/%v", format.name, c), func(t *testing.T) {
				weights := integers{shapes: map[string]int{"x": c.n * c.k, "w": c.n * c.k, "bias": c.n}, peak: format.peak, inputs: format.inputs}
				m := wideProduct(t, c.n, c.k, false)
				plan := compileOn(t, m, weights, ofCores(t, "sm90", c.cores), format.name, c.n)
				if tickets(t, plan) == 0 {
					t.Fatal("no tile is cut")
				}
				ids := sequence(c.tokens, c.n)
				compare(t, m, weights, ids, runOn(t, emu.Options{Races: true, Seed: uint64(i)}, plan, c.n, ids, len(ids)), 0)
			})
		}
	}
}

// TestStreamSameBits wants the bits of whole tiles from every card: three of 128 outputs fill a card of 3 multiprocessors, five of 64 one of 5.
func TestStreamSameBits(t *testing.T) {
	const n, k = 130, 2048
	weights := fractions{map[string]int{"x": n * k, "w": n * k, "up": n * k, "bias": n, "bias_up": n}}
	for _, c := range []struct {
		format        string
		tokens, whole int
	}{{"bf16", 67, 3}, {"fp8", 5, 5}} {
		results := func(cores int) [][]float32 {
			plan := compileOn(t, wideProduct(t, n, k, true), weights, ofCores(t, "sm90", cores), c.format, n)
			return runOn(t, emu.Options{}, plan, n, sequence(c.tokens, n), c.tokens)
		}
		whole := results(c.whole)
		for _, cores := range []int{1, 2, 132} {
			if !slices.EqualFunc(results(cores), whole, slices.Equal[[]float32]) {
				t.Fatalf("%s, %d tokens: %d multiprocessors give other bits than %d", c.format, c.tokens, cores, c.whole)
			}
		}
	}
}
