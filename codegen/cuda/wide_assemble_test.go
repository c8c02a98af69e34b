package cuda_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"llmc/engine"
)

// TestAssembleWide wants every assembler to take the entries of sm90, of each format, without spills, a stack, or wgmma that waits
// for the one before it, which assemblers report as information C75xx only.
func TestAssembleWide(t *testing.T) {
	paths := filepath.SplitList(os.Getenv("LLMC_PTXAS"))
	if len(paths) == 0 {
		paths, _ = filepath.Glob("../../.tools/ptxas*/bin/ptxas")
	}
	if len(paths) == 0 {
		t.Skip("SKIPPED: no ptxas: set LLMC_PTXAS=path[:path...] or run make ptxas-check")
	}
	bad := regexp.MustCompile(`(?m)^.*(C75\d\d|warning|error|[1-9]\d* bytes (stack|spill)).*$`)
	used := regexp.MustCompile(`entry function '(\w+)'|Used (\d+) registers`)
	for _, format := range wideFormats {
		for _, swiglu := range []bool{false, true} {
			const n, k = 128, 1184
			weights := fractions{map[string]int{"x": n * k, "w": n * k, "up": n * k, "bias": n, "bias_up": n}}
			plan := compile(t, product(t, n, k, swiglu), weights, "sm90", format.name, n)
			text, err := plan.Section(engine.KindPTX, "sm90")
			check(t, err)
			file := filepath.Join(t.TempDir(), "module.ptx")
			check(t, os.WriteFile(file, text, 0o644))
			for _, path := range paths {
				out, err := exec.Command(path, "-v", "-arch=sm_90a", "-o", os.DevNull, file).CombinedOutput()
				if err != nil {
					t.Fatalf("%s: %v\n%.2000s", path, err, out)
				}
				var registers []string
				for _, m := range used.FindAllStringSubmatch(string(out), -1) {
					registers = append(registers, m[1]+m[2])
				}
				t.Logf("%s swiglu=%v: %s", format.name, swiglu, strings.Join(registers, " "))
				for _, line := range bad.FindAllString(string(out), -1) {
					t.Error(fmt.Sprintf("%s: %s", path, line))
				}
			}
		}
	}
}
