package cuda_test

import (
	"regexp"
	"testing"

	"llmc/codegen/cuda"
	"llmc/engine"
)

// TestErrorsTellWhere wants what is wrong in a kernel to be reported with its place, though kernels are written without noting places.
func TestErrorsTellWhere(t *testing.T) {
	gpu := gpuTarget(t, "sm80")
	gpu.PTX.SM = 75 // which has none of the instructions
	coder := cuda.NewCoder(gpu)
	coder.Auxiliary(&engine.Program{Caches: make([]engine.Cache, 1)})
	_, err := coder.Text()
	if err == nil || !regexp.MustCompile(`ld\.param.*\(pages\.go:\d+\)`).MatchString(err.Error()) {
		t.Fatalf("got %v, wanted a line of pages.go", err)
	}
}
