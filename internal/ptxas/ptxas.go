// Package ptxas gives tests NVIDIA's assembler, which proves generated PTX without a GPU. It finds the binaries that are installed, runs them
// and reads what they say of each entry. Only tests import it.
package ptxas

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

	"llmc/internal/cubin"
	"llmc/internal/golden"
)

// Assembler is a ptxas binary.
type Assembler struct{ cubin.Assembler }

// Find lists the binaries that LLMC_PTXAS names, in long runs those that .tools holds where it names none, and skips the test where there is none:
// tests that everybody runs take as long whether or not they are installed.
func Find(t testing.TB) []Assembler {
	t.Helper()
	paths := filepath.SplitList(os.Getenv(cubin.Variable))
	if len(paths) == 0 && os.Getenv("LLMC_LONG") != "" {
		paths, _ = filepath.Glob(filepath.Join(golden.Root(t), ".tools", "ptxas*", "bin", "ptxas"))
	}
	if len(paths) == 0 {
		t.Skip("SKIPPED: no ptxas: set LLMC_PTXAS=path[:path...] or run make ptxas-check")
	}
	var out []Assembler
	for _, path := range paths {
		a, err := cubin.Identify(path)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, Assembler{a})
	}
	return out
}

// Run gives what ptxas -v prints and fails when it fails.
func (a Assembler) Run(t testing.TB, text, arch string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "module.ptx")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(a.Path, "-v", "-arch="+arch, "-o", os.DevNull, file)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("ptxas %s: %v\n%s\n%s", a.Release, err, firstLines(out.String(), 20), numbered(text, out.String()))
	}
	return out.String()
}

// Usage is what an entry takes.
type Usage struct {
	Entry            string
	Registers        int // of a thread
	Spills, Stack    int // bytes of a thread
	Shared, Barriers int // of a CTA: declared shared memory in bytes, named barriers
}

var (
	warning  = regexp.MustCompile(`(?m)^.*(C75\d\d|warning|error).*$`)
	compiled = regexp.MustCompile(`Compiling entry function '([^']+)'`)
	counts   = []struct {
		text *regexp.Regexp
		add  func(u *Usage, n int)
	}{
		{regexp.MustCompile(`Used (\d+) registers`), func(u *Usage, n int) { u.Registers = n }},
		{regexp.MustCompile(`(\d+) bytes stack frame`), func(u *Usage, n int) { u.Stack += n }},
		{regexp.MustCompile(`(\d+) bytes spill stores`), func(u *Usage, n int) { u.Spills += n }},
		{regexp.MustCompile(`(\d+) bytes spill loads`), func(u *Usage, n int) { u.Spills += n }},
		{regexp.MustCompile(`(\d+) bytes smem`), func(u *Usage, n int) { u.Shared = n }},
		{regexp.MustCompile(`used (\d+) barriers`), func(u *Usage, n int) { u.Barriers = n }},
	}
)

// Assemble runs ptxas and returns the usage of each entry. It fails on errors and on warnings, among them those about serialized wgmma,
// which count as information only.
func (a Assembler) Assemble(t testing.TB, text, arch string) []Usage {
	t.Helper()
	out := a.Run(t, text, arch)
	if bad := warning.FindString(out); bad != "" {
		t.Fatalf("ptxas %s for %s: %s", a.Release, arch, bad)
	}
	var all []Usage
	starts := compiled.FindAllStringSubmatchIndex(out, -1)
	for i, at := range starts {
		end := len(out)
		if i+1 < len(starts) {
			end = starts[i+1][0]
		}
		u := Usage{Entry: out[at[2]:at[3]]}
		for _, c := range counts {
			for _, m := range c.text.FindAllStringSubmatch(out[at[1]:end], -1) {
				n, _ := strconv.Atoi(m[1])
				c.add(&u, n)
			}
		}
		all = append(all, u)
	}
	if want := strings.Count(text, ".entry "); len(all) != want {
		t.Fatalf("ptxas %s for %s: reports of %d entries, there are %d", a.Release, arch, len(all), want)
	}
	return all
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
