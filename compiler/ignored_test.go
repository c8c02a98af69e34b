package compiler_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/engine"
	"llmc/runtime/device/cpu"
)

// TestIgnored builds a checkpoint that is not understood in full, and reads it again to verify the plan.
func TestIgnored(t *testing.T) {
	const source = "../testdata/checkpoints/llama-yarn"
	dir := t.TempDir()
	config, err := os.ReadFile(filepath.Join(source, "config.json"))
	check(t, err)
	text := strings.Replace(string(config), `"num_hidden_layers": 2`, `"num_hidden_layers": 1, "odd_size": 12`, 1)
	check(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600))
	weights, err := os.ReadFile(filepath.Join(source, "model.safetensors"))
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "model.safetensors"), weights, 0o600))

	o := compiler.Options{Model: dir, Out: filepath.Join(dir, "x.plan"), Quant: "f32"}
	refused := func(want string) {
		t.Helper()
		if _, err := compiler.Build(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("%v, want an error with %q", err, want)
		}
	}
	refused("--ignore-key odd_size")
	o.IgnoreKeys = []string{"odd_size"}
	refused("--ignore-tensor")
	o.IgnoreTensors = []string{"model.layers.1.*"}
	_, err = compiler.Build(t.Context(), o)
	check(t, err)

	plan, err := engine.Open(o.Out)
	check(t, err)
	defer plan.Close()
	v := verifiedPlan(t, cpu.Device{}, plan, dir)
	if !v.OK || v.Compared == 0 {
		t.Errorf("%+v", v)
	}
}
