package x86

import (
	"strings"
	"testing"

	"llmc/engine"
	"llmc/ir"
	"llmc/passes"
)

// Ops without a CPU kernel are refused by a message that names the op and what it is of.
func TestOpsWithoutKernelsAreRefused(t *testing.T) {
	row, err := engine.FindTarget("x86-64-v3")
	if err != nil {
		t.Fatal(err)
	}
	target, err := NewTarget(row)
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{
		"scale_rows %x, %b": "%y (scale_rows f32[T,8] f32[T,1])",
	} {
		m, err := ir.Parse("weight %w : f32[8]\nfunc @f(%x: f32[T,8], %b: f32[T,1]) -> (f32[T,8]) {\n  %y = " + body + " : f32[T,8]\n  return %y\n}")
		if err != nil {
			t.Fatal(err)
		}
		_, err = passes.Run(m, passes.Options{Target: target})
		if err == nil || !strings.Contains(err.Error(), "target x86-64-v3 has no kernel for "+want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}
