package compiler

import (
	"math/rand/v2"
	"testing"
)

// TestMixesAreNearTheBest compares with all mixes of a few weights: none that fits loses less than the one chosen by more than the dearest step wins.
func TestMixesAreNearTheBest(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	for range 300 {
		weights := make([][]choice, 1+r.IntN(5))
		least, most, step := 0.0, 0.0, 0.0
		for i := range weights {
			for range 1 + r.IntN(4) {
				weights[i] = append(weights[i], choice{bits: 1 + 9*r.Float64(), loss: r.Float64()})
			}
			hull := lowerHull(weights[i])
			least += weights[i][hull[0]].bits
			most += weights[i][hull[len(hull)-1]].bits
			for k := range hull[1:] {
				step = max(step, weights[i][hull[k]].loss-weights[i][hull[k+1]].loss)
			}
		}
		if _, ok := cheapestMix(weights, least-1e-6); ok {
			t.Fatal("less than the smallest mix is enough")
		}
		budget := least + 1e-9 + (most-least)*r.Float64()
		chosen, ok := cheapestMix(weights, budget)
		bits, loss := sumOf(weights, chosen)
		if !ok || bits > budget {
			t.Fatalf("%v: %g bits of %g, %v", weights, bits, budget, ok)
		}
		index := make([]int, len(weights))
		for next(index, weights) {
			if b, l := sumOf(weights, index); b <= budget && l < loss-step-1e-9 {
				t.Fatalf("%v with %g bits: %v loses %g, %v loses %g, the dearest step wins %g", weights, budget, chosen, loss, index, l, step)
			}
		}
	}
}

func sumOf(weights [][]choice, chosen []int) (bits, loss float64) {
	for i, c := range chosen {
		bits, loss = bits+weights[i][c].bits, loss+weights[i][c].loss
	}
	return bits, loss
}

// next counts through all mixes.
func next(index []int, weights [][]choice) bool {
	for i := range index {
		if index[i]++; index[i] < len(weights[i]) {
			return true
		}
		index[i] = 0
	}
	return false
}

func TestBudgets(t *testing.T) {
	for text, want := range map[string]Budget{"5": {Bits: 5}, "4.75": {Bits: 4.75}, "64MiB": {Bytes: 64 << 20}, "1.5GB": {Bytes: 3 << 29}, "100M": {Bytes: 100 << 20}} {
		if b, err := ParseBudget(text); err != nil || b != want {
			t.Errorf("%q: %+v, %v", text, b, err)
		}
	}
	for _, text := range []string{"x", "-1", "0", "NaN", "100", "Inf", "5 bits", "0MB", "1e300GB"} {
		if b, err := ParseBudget(text); err == nil {
			t.Errorf("%q is taken as %+v", text, b)
		}
	}
}
