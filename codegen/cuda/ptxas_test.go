//go:build !kit

package cuda_test

import (
	"os"
	"slices"
	"testing"

	"llmc/internal/dtype"
	"llmc/internal/ptxas"
)

// assembled wants NVIDIA's assembler to take the text for its target without spilling registers, and returns the registers of each entry. With LLMC_LONG=all
// that is every release, else the one whose turn it is.
func assembled(t *testing.T, turn int, text, arch string) []int {
	t.Helper()
	var registers []int
	assemblers := ptxas.Find(t)
	if !every() {
		assemblers = assemblers[turn%len(assemblers):][:1]
	}
	for _, a := range assemblers {
		for _, u := range a.Assemble(t, text, arch) {
			if u.Spills != 0 || u.Stack != 0 {
				t.Errorf("%s for %s, ptxas %s: spills %d bytes and has a stack of %d", u.Entry, arch, a.Release, u.Spills, u.Stack)
			}
			registers = append(registers, u.Registers)
		}
	}
	return registers
}

// TestAssembleAttention assembles attention and rope_kv for every target; with LLMC_LONG=1 in all shapes, each by one release of ptxas on a target and by another
// on the next.
func TestAssembleAttention(t *testing.T) {
	t.Parallel()
	shapes := append([]shape{
		{heads: 32, kv: 8, dim: 128, q: dtype.F32, y: dtype.BF16}, {heads: 8, kv: 4, dim: 256, q: dtype.F32, y: dtype.BF16, window: 4096, softcap: 50},
		{heads: 9, kv: 3, dim: 64, q: dtype.F32, y: dtype.BF16}, {heads: 8, kv: 4, dim: 192, q: dtype.F32, y: dtype.BF16, window: 4096, softcap: 50},
	}, append(turnedShapes, attentionShapes...)...)
	ropes := append(slices.Clone(ropeCases[8:]), ropeCases...)
	for _, stored := range []dtype.Type{dtype.F16, dtype.I8, dtype.F8E4M3, dtype.U4} {
		for _, c := range slices.Clone(shapes[:4]) {
			c.cache = stored
			shapes = append(shapes, c)
		}
	}
	shapes = slices.Concat(shapes, storedShapes, biasedShapes, relativeShapes, textShapes)
	for _, mode := range []string{"dynamic", "longrope"} {
		c := shapes[0]
		c.rotary = rotary{mode, "half", 128}
		shapes = append([]shape{c}, shapes...)
	}
	latents := latentShapes[len(latentShapes)-6:] // of real sizes
	if os.Getenv("LLMC_LONG") == "" {
		shapes, ropes, latents = shapes[:3], ropes[:3], latents[:1]
	}
	for n, target := range budgetTargets {
		arch := gpuTarget(t, target).PTX.Name
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			for i, c := range shapes {
				t.Logf("attention %v: %v", c, assembled(t, i+n, newAttention(t, c, target).text, arch))
			}
			for i, c := range latents {
				t.Logf("latent attention %v: %v", c, assembled(t, i+n, newLatentAttention(t, c, target).text, arch))
			}
			for i, c := range ropes {
				s, _, _ := c.single(t)
				s.write(target)
				t.Logf("rope_kv %v: %v", c, assembled(t, i+n, s.text, arch))
			}
		})
	}
}
