package cuda_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"llmc/internal/dtype"
	"llmc/internal/ptxas"
)

// assembled wants NVIDIA's assemblers to take the text without spilling registers.
func assembled(t *testing.T, what, text, arch string) {
	t.Helper()
	for _, a := range ptxas.Find(t) {
		for _, u := range a.Assemble(t, text, arch) {
			if u.Spills != 0 || u.Stack != 0 {
				t.Errorf("%s, ptxas %s: spills %d bytes and has a stack of %d", what, a.Release, u.Spills, u.Stack)
			}
			t.Logf("%s, ptxas %s: %d registers", what, a.Release, u.Registers)
		}
	}
}

// TestAssembleAttention assembles attention and rope_kv for every target; with LLMC_LONG=1 in all shapes.
func TestAssembleAttention(t *testing.T) {
	shapes := append([]shape{
		{heads: 32, kv: 8, dim: 128, q: dtype.F32, y: dtype.BF16}, {heads: 8, kv: 4, dim: 256, q: dtype.F32, y: dtype.BF16, window: 4096, softcap: 50},
		{heads: 9, kv: 3, dim: 64, q: dtype.F32, y: dtype.BF16}, {heads: 8, kv: 4, dim: 192, q: dtype.F32, y: dtype.BF16, window: 4096, softcap: 50},
	}, attentionShapes...)
	ropes := ropeCases
	if os.Getenv("LLMC_LONG") == "" {
		shapes, ropes = shapes[:1], ropes[:2]
	}
	for _, target := range []string{"sm80", "sm89", "sm90"} {
		arch := strings.Replace(target, "sm", "sm_", 1)
		for _, c := range shapes {
			assembled(t, fmt.Sprintf("%s attention %v", target, c), newAttention(t, c, target).text, arch)
		}
		for _, c := range ropes {
			s, _, _ := c.single(t)
			s.write(target)
			assembled(t, fmt.Sprintf("%s rope_kv %v", target, c), s.text, arch)
		}
	}
}
