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
	sassLabel       = regexp.MustCompile(`^(\.L_x?_?\d+):`)
	sassInstruction = regexp.MustCompile(`^\s*/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)\s*(.*?)\s*;`)
	sassTarget      = regexp.MustCompile("`\\((\\.L_x?_?\\d+)\\)")
)

// Instruction is one of an entry's machine code. Operands are as nvdisasm prints them.
type Instruction struct {
	Op, Operands string
}

// Loop is a range of instructions, from that behind a label to the branch back to it.
type Loop struct{ First, Last int }

// Code is the machine code of an entry, with its loops in the order of their ends.
type Code struct {
	Instructions []Instruction
	Loops        []Loop
}

// Opcodes tells how often each instruction occurs, with its modifiers.
func (c *Code) Opcodes() map[string]int {
	count := map[string]int{}
	for _, in := range c.Instructions {
		count[in.Op]++
	}
	return count
}

// Of is the code of a loop.
func (c *Code) Of(l Loop) []Instruction { return c.Instructions[l.First : l.Last+1] }

// Disassemble assembles a module and returns the machine code of each entry.
func (d Disassembler) Disassemble(t testing.TB, a Assembler, text string) map[string]*Code {
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
	all := ReadSASS(out.String())
	if want := strings.Count(text, ".entry "); len(all) != want {
		t.Fatalf("nvdisasm: code of %d entries, there are %d", len(all), want)
	}
	return all
}

// ReadSASS reads what nvdisasm prints.
func ReadSASS(text string) map[string]*Code {
	all := map[string]*Code{}
	var code *Code
	var labels map[string]int
	for line := range strings.Lines(text) {
		if m := sassSection.FindStringSubmatch(line); m != nil {
			code, labels = &Code{}, map[string]int{}
			all[m[1]] = code
		}
		if code == nil {
			continue
		}
		if m := sassLabel.FindStringSubmatch(line); m != nil {
			labels[m[1]] = len(code.Instructions)
		} else if m := sassInstruction.FindStringSubmatch(line); m != nil {
			if to := sassTarget.FindStringSubmatch(m[2]); to != nil && strings.HasPrefix(m[1], "BRA") {
				if first, back := labels[to[1]]; back && first < len(code.Instructions) {
					code.Loops = append(code.Loops, Loop{first, len(code.Instructions)})
				}
			}
			code.Instructions = append(code.Instructions, Instruction{m[1], m[2]})
		}
	}
	return all
}
