//go:build !kit

package cuda_test

import (
	"fmt"
	"testing"

	"llmc/engine"
)

// TestAssembleWide assembles the products of sm90, of each format: those of few outputs, and those whose CTAs share a multiprocessor.
func TestAssembleWide(t *testing.T) {
	for i, format := range []string{"bf16", "f16", "int8", "int8-w8a8", "fp8", "fp8-block", "int4-g32", "int4-g128", "int4-g32-zp"} {
		for j, n := range []int{128, 8500} {
			t.Run(fmt.Sprintf("%s/%d", format, n), func(t *testing.T) {
				t.Parallel()
				const k = 96
				weights := fractions{map[string]int{"x": n * k, "w": n * k, "up": n * k, "bias": n, "bias_up": n}}
				plan := compile(t, wideProduct(t, n, k, n == 128), weights, "sm90", format, n)
				text, err := plan.Section(engine.KindPTX, "sm90")
				check(t, err)
				t.Logf("%s, %d outputs: %v", format, n, assembled(t, i+j, string(text), "sm_90a"))
			})
		}
	}
}
