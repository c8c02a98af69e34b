package emu

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpusInstructions collects the instructions of all test programs, as words and operands.
func corpusInstructions() (names []string, operands []string) {
	var texts []string
	files, _ := filepath.Glob("testdata/*.ptx")
	strict, _ := filepath.Glob("testdata/strict/*.ptx")
	for _, f := range append(files, strict...) {
		if text, err := os.ReadFile(f); err == nil {
			texts = append(texts, string(text))
		}
	}
	for _, c := range opsTable {
		texts = append(texts, c.body)
	}
	for _, c := range floatTable {
		texts = append(texts, c.body)
	}
	for _, text := range texts {
		for _, st := range strings.Split(text, ";") {
			name, args, _ := strings.Cut(strings.TrimSpace(st), " ")
			if name == "" || strings.ContainsAny(name, "/@{}:\n") {
				continue
			}
			names = append(names, name)
			operands = append(operands, strings.Split(args, ", ")...)
		}
	}
	for op := range opcodes {
		names = append(names, op)
	}
	return names, append(operands, "{r1, r2}", "[smem]", "[d0+16]", "p0", "!p0", "r1|p1", "0", "-1", "1.5", "0f3f800000", "_", "%tid.x", "%clock64", "smem", "h1", "f1", "d1", "x", "[r1]", "4294967296")
}

// Instructions put together at random, from words that exist, decode and run without a panic.
func TestRandomInstructions(t *testing.T) {
	names, operands := corpusInstructions()
	rng := rand.New(rand.NewPCG(13, 14))
	ran := 0
	for range 8000 {
		parts := strings.Split(names[rng.IntN(len(names))], ".")
		other := strings.Split(names[rng.IntN(len(names))], ".")
		switch rng.IntN(4) {
		case 0:
			parts = append(parts, other[rng.IntN(len(other))])
		case 1:
			parts = append(parts[:1:1], other[1:]...)
		case 2:
			if i := rng.IntN(len(parts)); i > 0 {
				parts = append(parts[:i:i], parts[i+1:]...)
			}
		}
		args := make([]string, rng.IntN(6))
		for i := range args {
			args[i] = operands[rng.IntN(len(operands))]
		}
		body := fmt.Sprintf("mov.u32 r1, smem; mov.u32 r2, 1; setp.eq.u32 p0, r0, 0; mov.u64 d1, 5;\n%s %s;\n", strings.Join(parts, "."), strings.Join(args, ", "))
		mod, err := Load(kernelText("sm_90a", body))
		if err != nil {
			continue
		}
		if k, err := mod.Kernel("k"); err == nil {
			ran++
			runFuzzed(k)
		}
	}
	if ran < 50 {
		t.Errorf("only %d of the instructions could be decoded", ran)
	}
}
