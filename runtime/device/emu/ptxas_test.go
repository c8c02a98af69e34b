package emu

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"llmc/runtime/device/emu/ptxtext"
)

// assemble hands the text of a test kernel to NVIDIA's assembler, where LLMC_PTXAS names it: what the tests run must be PTX.
func assemble(t testing.TB, text string) {
	ptxas := os.Getenv("LLMC_PTXAS")
	if ptxas == "" {
		return
	}
	t.Helper()
	m, err := ptxtext.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kernel.ptx")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(ptxas, "-arch="+m.Target, file, "-o", file+".cubin").CombinedOutput(); err != nil {
		t.Errorf("ptxas: %v\n%s", err, out)
	}
}
