package emu

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// FuzzRun decodes and runs whatever text comes: it may fail, it may not panic, hang or take much memory.
func FuzzRun(f *testing.F) {
	for _, pattern := range []string{"testdata/*.ptx", vectorDir + "/ptx/*.ptx"} {
		files, _ := filepath.Glob(pattern)
		for _, name := range files {
			if text, err := os.ReadFile(name); err == nil {
				f.Add(string(text))
			}
		}
	}
	strict, _ := filepath.Glob("testdata/strict/*.ptx")
	for _, name := range strict {
		if text, err := os.ReadFile(name); err == nil {
			f.Add(kernelText("sm_90a", string(text)))
		}
	}
	for _, c := range opsTable {
		f.Add(kernelText("sm_90a", c.body))
	}
	f.Fuzz(func(t *testing.T, text string) {
		mod, err := Load(text)
		if err != nil {
			return
		}
		for _, name := range mod.Kernels() {
			k, err := mod.Kernel(name)
			if err != nil {
				continue
			}
			runFuzzed(k)
		}
	})
}

func runFuzzed(k *Kernel) {
	mem := NewMemory()
	b, _ := mem.Alloc("argument", 4096)
	var args []uint64
	for _, size := range k.Params() {
		args = append(args, b.Addr())
		for i := 8; i < size; i += 8 {
			args = append(args, 1)
		}
	}
	cfg := Config{Grid: [3]uint32{2, 1, 1}, Block: [3]uint32{40, 1, 1}, Shared: 256, Args: args}
	if r := k.prog.limits.ReqThreads; r[0] > 0 && r[0] <= 160 {
		cfg.Block[0] = uint32(r[0])
	}
	_, _ = k.Launch(context.Background(), mem, cfg, Options{Workers: 1, Races: true, Counts: true, Steps: 20000, Resident: 2})
}
