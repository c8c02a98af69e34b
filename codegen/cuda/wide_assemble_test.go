package cuda_test

import (
	"testing"

	"llmc/engine"
)

// TestAssembleWide assembles the products of sm90, of each format.
func TestAssembleWide(t *testing.T) {
	for _, format := range wideFormats {
		for _, swiglu := range []bool{false, true} {
			const n, k = 128, 1184
			weights := fractions{map[string]int{"x": n * k, "w": n * k, "up": n * k, "bias": n, "bias_up": n}}
			plan := compile(t, product(t, n, k, swiglu), weights, "sm90", format.name, n)
			text, err := plan.Section(engine.KindPTX, "sm90")
			check(t, err)
			t.Logf("%s swiglu=%v: %v", format.name, swiglu, registers.FindAllString(assembled(t, string(text), "sm_90a"), -1))
		}
	}
}
