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
	"llmc/ir/interp"
	"llmc/passes"
)

// TestAssembleLinear gives NVIDIA's assembler the products of every format for every target, at the sizes of models: nothing spills.
func TestAssembleLinear(t *testing.T) {
	binaries := filepath.SplitList(os.Getenv("LLMC_PTXAS"))
	if len(binaries) == 0 {
		binaries, _ = filepath.Glob("../../.tools/ptxas*/bin/ptxas")
	}
	if len(binaries) == 0 {
		t.Skip("SKIPPED: no ptxas: set LLMC_PTXAS=path[:path...] or run make ptxas-check")
	}
	for _, target := range gpuTargets {
		for _, format := range []string{"bf16", "int8", "fp8", "int4-g32", "int4-g128-zp"} {
			m := network(t, 2048, 576, 1536)
			weights, err := interp.NewRandomWeights(m, 5)
			check(t, err)
			spec, _ := lower(t, m, weights, target, passes.Policy{Linear: format}, 2048)
			file := filepath.Join(t.TempDir(), "module.ptx")
			check(t, os.WriteFile(file, ptxOf(spec), 0o644))
			for _, ptxas := range binaries {
				if old, _ := exec.Command(ptxas, "--version").Output(); strings.Contains(string(old), "release 12.2") && format == "fp8" && target != "sm80" {
					continue // mma.sync of e4m3 came with PTX 8.4
				}
				t.Logf("%s %s: %v", target, format, assembleQuietly(t, ptxas, file, strings.Replace(target, "sm", "sm_", 1)))
			}
		}
	}
}

func ptxOf(spec engine.Spec) []byte {
	for _, s := range spec.Sections {
		if s.Kind == engine.KindPTX {
			return s.Data
		}
	}
	return nil
}

var (
	entryUsage = regexp.MustCompile(`entry function '(\w+)'|Used (\d+) registers`)
	complaint  = regexp.MustCompile(`(?m)^.*([1-9]\d* bytes (spill|stack)|warning|C75\d\d).*$`)
)

// assembleQuietly returns the registers of each entry and fails on spills and warnings.
func assembleQuietly(t *testing.T, ptxas, file, arch string) string {
	t.Helper()
	out, err := exec.Command(ptxas, "-v", "-arch="+arch, "-o", os.DevNull, file).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%.2000s", ptxas, arch, err, out)
	}
	if bad := complaint.Find(out); bad != nil {
		t.Fatalf("%s %s: %s", ptxas, arch, bad)
	}
	var uses []string
	for _, m := range entryUsage.FindAllStringSubmatch(string(out), -1) {
		uses = append(uses, m[1]+m[2])
	}
	return fmt.Sprint(uses)
}
