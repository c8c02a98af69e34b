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
		`cast %x {dtype="f16"}`: "%y (cast dtype=f16 f32[T,8])",
	} {
		m, err := ir.Parse("func @f(%x: f32[T,8]) -> (f16[T,8]) {\n  %y = " + body + " : f16[T,8]\n  return %y\n}")
		if err != nil {
			t.Fatal(err)
		}
		_, err = passes.Run(m, passes.Options{Target: target})
		if err == nil || !strings.Contains(err.Error(), "target x86-64-v3 has no kernel for "+want) {
			t.Errorf("%s: %v, want %s", body, err, want)
		}
	}
}
