package cuda_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"llmc/internal/dtype"
)

// assembled wants NVIDIA's assembler to take the text for its targets without spilling registers and without wgmma that waits for
// the one before it (C75xx, which counts as information), and returns what it says.
func assembled(t *testing.T, text, arch string) string {
	t.Helper()
	paths := filepath.SplitList(os.Getenv("LLMC_PTXAS"))
	if len(paths) == 0 {
		paths, _ = filepath.Glob("../../.tools/ptxas*/bin/ptxas")
	}
	if len(paths) == 0 {
		t.Skip("SKIPPED: no ptxas: set LLMC_PTXAS=path[:path...] or run make ptxas-check")
	}
	file := filepath.Join(t.TempDir(), "module.ptx")
	check(t, os.WriteFile(file, []byte(text), 0o644))
	var out bytes.Buffer
	for _, path := range paths {
		cmd := exec.Command(path, "-v", "-arch="+arch, "-o", os.DevNull, file)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v\n%.2000s", path, err, out.String())
		}
	}
	if bad := regexp.MustCompile(`(?m)^.*([1-9]\d* bytes (spill|stack)|C75\d\d|warning).*$`).FindString(out.String()); bad != "" {
		t.Fatal(bad)
	}
	return out.String()
}

// architectures are the assembler's names of targets.
var architectures = map[string]string{"sm80": "sm_80", "sm89": "sm_89", "sm90": "sm_90a"}

var registers = regexp.MustCompile(`Used \d+ registers`)

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
		arch := architectures[target]
		for _, c := range shapes {
			t.Logf("%s attention %v: %v", target, c, registers.FindAllString(assembled(t, newAttention(t, c, target).text, arch), -1))
		}
		for _, c := range ropes {
			s, _, _ := c.single(t)
			s.write(target)
			t.Logf("%s rope_kv %v: %v", target, c, registers.FindAllString(assembled(t, s.text, arch), -1))
		}
	}
}
