package ptx

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// assembler is a ptxas binary and the newest PTX version that it reads.
type assembler struct {
	path    string
	version Version
}

// assemblers lists the binaries that LLMC_PTXAS names or that .tools holds.
func assemblers(t *testing.T) []assembler {
	t.Helper()
	paths := filepath.SplitList(os.Getenv("LLMC_PTXAS"))
	if len(paths) == 0 {
		paths, _ = filepath.Glob("../../.tools/ptxas*/bin/ptxas")
	}
	if len(paths) == 0 {
		t.Skip("SKIPPED: no ptxas: set LLMC_PTXAS=path[:path...] or run make ptxas-check")
	}
	var out []assembler
	for _, p := range paths {
		text, err := exec.Command(p, "--version").Output()
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		m := regexp.MustCompile(`release (\d+)\.(\d+)`).FindStringSubmatch(string(text))
		if m == nil {
			t.Fatalf("%s: no release in %q", p, text)
		}
		major, _ := strconv.Atoi(m[1])
		minor, _ := strconv.Atoi(m[2])
		// CUDA 12.x reads PTX 8.x up to 12.5, 13.x reads 9.x; releases from 12.6 on are bounded from below.
		v := Version((major-4)*10 + minor)
		if major == 12 && minor >= 6 {
			v--
		}
		out = append(out, assembler{p, v})
	}
	return out
}

// usage is what ptxas -v says about one kernel.
type usage struct{ registers, spills, stack int }

var (
	usedRegisters = regexp.MustCompile(`Used (\d+) registers`)
	usedMemory    = regexp.MustCompile(`(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads`)
	warning       = regexp.MustCompile(`(?m)^.*(C75\d\d|warning|error).*$`)
)

// assemble runs ptxas and fails on errors and on warnings, among them those about serialized wgmma, which count as
// information only.
func (a assembler) assemble(t *testing.T, text string, target Target) usage {
	t.Helper()
	out := a.run(t, text, target)
	if bad := warning.FindString(out); bad != "" {
		t.Fatalf("%s (PTX %s): %s", a.path, a.version, bad)
	}
	var u usage
	if m := usedRegisters.FindStringSubmatch(out); m != nil {
		u.registers, _ = strconv.Atoi(m[1])
	}
	for _, m := range usedMemory.FindAllStringSubmatch(out, -1) {
		stack, _ := strconv.Atoi(m[1])
		stores, _ := strconv.Atoi(m[2])
		loads, _ := strconv.Atoi(m[3])
		u.stack, u.spills = u.stack+stack, u.spills+stores+loads
	}
	return u
}

// run gives what ptxas prints and fails when it fails.
func (a assembler) run(t *testing.T, text string, target Target) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "module.ptx")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(a.path, "-v", "-arch="+target.Name, "-o", os.DevNull, file)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s (PTX %s): %v\n%s\n%s", a.path, a.version, err, firstLines(out.String(), 20), numbered(text, out.String()))
	}
	return out.String()
}

func firstLines(s string, n int) string {
	lines := strings.SplitN(s, "\n", n+1)
	return strings.Join(lines[:min(n, len(lines))], "\n")
}

// numbered shows the lines of the text that the messages point at.
func numbered(text, messages string) string {
	lines := strings.Split(text, "\n")
	var out []string
	for _, m := range regexp.MustCompile(`line (\d+)`).FindAllStringSubmatch(messages, 10) {
		if n, _ := strconv.Atoi(m[1]); n > 0 && n <= len(lines) {
			out = append(out, fmt.Sprintf("%4d %.200s", n, lines[n-1]))
		}
	}
	return strings.Join(out, "\n")
}
