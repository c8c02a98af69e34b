//go:build cuda

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/cmd/llmc/gpubench"
	"llmc/internal/clitest"
	"llmc/runtime/device/cuda/emulated"
)

func init() {
	if err := emulated.FromEnvironment("sm90", 13000); err != nil {
		panic(err)
	}
}

// withTorch is a python3 that answers as one whose torch takes ten microseconds for everything.
const withTorch = `#!/bin/sh
[ "$2" = "import torch" ] && exit
echo '{"version":"9.9","cuda":"13.0"}'
i=0
while [ $i -lt 34 ]; do echo "{\"case\":$i,\"us\":10}"; i=$((i+1)); done
echo '{"case":34,"error":"no such product"}'
`

// measureOn runs gpubench on an emulated driver with faults.
func measureOn(t *testing.T, faults, plans string) (r gpubench.Result, dir, stderr string) {
	t.Helper()
	t.Setenv(emulated.Environment, faults)
	dir = t.TempDir()
	python := filepath.Join(dir, "python3")
	if err := os.WriteFile(python, []byte(withTorch), 0o700); err != nil {
		t.Fatal(err)
	}
	result := clitest.Run(t, "", "gpubench", "--plans", plans, "--out", dir, "--tokenizer", "../../testdata/demo", "--python", python, "--copy", "256K", "--json")
	if result.Exit != 0 {
		t.Fatalf("exit %d: %s", result.Exit, result.Stderr)
	}
	result.JSON(t, &r)
	return r, dir, result.Stderr
}

// TestGPUBench wants every kind of figure from tiny models on an emulated GPU, in the file too.
func TestGPUBench(t *testing.T) {
	r, dir, said := measureOn(t, "{}", "tiny:int4,fp8")
	files, err := filepath.Glob(filepath.Join(dir, "emulated-sm90-*.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	kept, err := gpubench.Read(files[0])
	if err != nil || len(kept.Sections) != 4 || len(kept.Goals) != len(r.Goals) || kept.Device != "emulated sm90" || kept.Capability != 90 || kept.Torch.Version != "9.9" {
		t.Fatalf("%v: %+v", err, kept)
	}
	kinds, compared, told := map[string]int{}, 0, 0
	for _, s := range kept.Sections {
		if s.Error != "" {
			t.Errorf("section %s: %s", s.Name, s.Error)
		}
		for _, row := range s.Rows {
			kinds[row.Kind]++
			if row.OfTorch > 0 {
				compared++
			}
			if row.OfCopy > 0 {
				told++
			}
			if row.Kind == "model" && !(row.DecodeTPS > 0 && row.PrefillTPS > 0 && row.HostMicros > 0) || row.Kind == "product" && !(row.TFlops > 0 && row.GBs > 0) ||
				row.Kind == "attention" && !(row.TFlops > 0 && row.Heads == 4) {
				t.Errorf("%+v", row)
			}
		}
	}
	// Of each of two models and three steps: four products of layers, that of the head, and attention, which there is once more at another context.
	if kinds["copy"] != 1 || kinds["read"] != 1 || kinds["build"] != 2 || kinds["model"] != 4 || kinds["product"] != 2*3*5 || kinds["attention"] != 2*4 || kinds["part"] < 20 || kinds["launch"] < 20 {
		t.Errorf("%v", kinds)
	}
	if compared < 20 || told < 20 {
		t.Errorf("%d rows beside torch, %d beside the copy\n%s", compared, told, said)
	}
	for _, format := range []string{"int4", "fp8"} {
		if page, err := os.ReadFile(filepath.Join(dir, "timeline-tiny-"+format+".html")); err != nil || !strings.Contains(string(page), "cuda.attention") {
			t.Errorf("%s: %v", format, err)
		}
	}
	if text := clitest.Run(t, "", "gpubench", "--show", files[0]).Done(t); !strings.Contains(text, "emulated sm90, capability 9.0, CUDA 13.0") || !strings.Contains(text, "8B fp8 batch 1, share of copy bandwidth") {
		t.Errorf("report:\n%s", text)
	}
}

// TestGPUBenchLarge measures a model of a billion parameters on a GPU whose kernels do nothing: all steps have their sizes and their memory.
func TestGPUBenchLarge(t *testing.T) {
	if os.Getenv("LLMC_LONG") == "" {
		t.Skip("SKIPPED: builds 1.2 GB; set LLMC_LONG")
	}
	r, _, said := measureOn(t, `{"Idle":true}`, "1b:fp8")
	for _, s := range r.Sections {
		if s.Error != "" {
			t.Errorf("%s: %s", s.Name, s.Error)
		}
		for _, row := range s.Rows {
			if row.Note != "" && row.Kind != "build" && row.Kind != "torch product" {
				t.Errorf("%+v", row)
			}
		}
	}
	if len(r.Sections[2].Rows) < 150 {
		t.Errorf("%d rows\n%s", len(r.Sections[2].Rows), said)
	}
}

// TestGPUBenchGoesOn wants what was measured before a device was lost to stay, and the other sections to be measured.
func TestGPUBenchGoesOn(t *testing.T) {
	r, _, _ := measureOn(t, `{"Launch":60,"Failure":700}`, "tiny:bf16 tiny:int8")
	if len(r.Sections) != 4 {
		t.Fatalf("%+v", r)
	}
	for i, s := range r.Sections[2:] {
		if !strings.Contains(s.Error, "CUDA_ERROR_ILLEGAL_ADDRESS (700)") || len(s.Rows) == 0 || s.Rows[0].Kind != "build" {
			t.Errorf("section %d: %+v", 2+i, s)
		}
	}
	if len(r.Sections[0].Rows) != 2 || len(r.Sections[1].Rows) == 0 {
		t.Errorf("%+v", r.Sections[:2])
	}
}

// TestGPUBenchWithoutGPU wants one line that says what is missing.
func TestGPUBenchWithoutGPU(t *testing.T) {
	t.Setenv(emulated.Environment, `{"Start":803}`)
	clitest.Run(t, "", "gpubench", "--out", t.TempDir()).Refused(t, 1, "the NVIDIA driver does not start: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803)")
	clitest.Run(t, "", "gpubench", "--plans", "8b:fp9", "--out", t.TempDir()).Refused(t, 2, `--plans: 8b:fp9: no format "fp9"`)
}
