package ptxas

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"llmc/internal/golden"
)

// Disassembler is an nvdisasm binary. It reads what assemblers of other releases made too.
type Disassembler struct{ Path string }

// FindDisassembler gives the binary that LLMC_NVDISASM names or that .tools holds, and skips the test where there is none.
func FindDisassembler(t testing.TB) Disassembler {
	t.Helper()
	path := os.Getenv("LLMC_NVDISASM")
	if path == "" {
		path = filepath.Join(golden.Root(t), ".tools", "nvdisasm", "bin", "nvdisasm")
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("SKIPPED: no nvdisasm: set LLMC_NVDISASM or run make ptxas-check")
	}
	return Disassembler{path}
}

var (
	sassSection     = regexp.MustCompile(`^\s*\.section\s+\.text\.([A-Za-z0-9_$]+)`)
	sassInstruction = regexp.MustCompile(`^\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)`)
)

// Opcodes assembles a module and returns the instructions of each entry with their modifiers, and how often each occurs.
func (d Disassembler) Opcodes(t testing.TB, a Assembler, text string) map[string]map[string]int {
	t.Helper()
	image, _, err := a.Assembler.Assemble(context.Background(), text)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "module.cubin")
	if err := os.WriteFile(file, image, 0o644); err != nil {
		t.Fatal(err)
	}
	var out, messages bytes.Buffer
	cmd := exec.Command(d.Path, file)
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		t.Fatalf("nvdisasm: %v\n%s", err, firstLines(messages.String(), 5))
	}
	all := map[string]map[string]int{}
	var entry map[string]int
	for line := range strings.Lines(out.String()) {
		if m := sassSection.FindStringSubmatch(line); m != nil {
			entry = map[string]int{}
			all[m[1]] = entry
		} else if m := sassInstruction.FindStringSubmatch(line); m != nil && entry != nil {
			entry[m[1]]++
		}
	}
	if want := strings.Count(text, ".entry "); len(all) != want {
		t.Fatalf("nvdisasm: code of %d entries, there are %d", len(all), want)
	}
	return all
}
