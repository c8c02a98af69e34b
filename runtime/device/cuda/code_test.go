//go:build cuda

package cuda_test

import (
	"os"
	"path/filepath"
	"testing"

	"llmc/engine"
	"llmc/runtime/device/cuda"
	"llmc/runtime/device/cuda/jit"
)

// TestCodeIsCompiledInParts wants the text to come to the driver in parts, and the driver to know from its start where to keep what it makes of them.
func TestCodeIsCompiledInParts(t *testing.T) {
	d, plan := install(t, "sm80", 12040), build(t, "checkpoints/llama-yarn", "sm80", "bf16")
	dir := t.TempDir()
	t.Setenv(jit.Environment, dir)
	for _, name := range []string{"CUDA_CACHE_DISABLE", "CUDA_CACHE_PATH"} {
		t.Setenv(name, "") // so that it is as before behind the test
		os.Unsetenv(name)
	}
	for _, off := range []bool{false, true} {
		model, err := cuda.Device{}.Load(plan, engine.Settings{MaxSequences: 2, MaxStepTokens: 16, MaxContext: 16, NoCodeCache: off})
		if err != nil {
			t.Fatal(err)
		}
		if err := model.Close(); err != nil {
			t.Error(err)
		}
	}
	if c := d.Counts(); c.Texts != 2*16 || c.Cubins != 0 {
		t.Errorf("%+v", c)
	}
	if path := d.CachePath(); path != filepath.Join(dir, "jit") {
		t.Errorf("the driver keeps code in %q", path)
	}
	returned(t, d)
}
