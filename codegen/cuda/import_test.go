package cuda_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"llmc/compiler/hf"
	"llmc/compiler/models"
	"llmc/internal/dtype"
	"llmc/ir"
)

// importConfig makes a model of a configuration that says everything but what all have.
func importConfig(t *testing.T, config string, kv dtype.Type) *ir.Module {
	t.Helper()
	return importLayers(t, config, kv, 2)
}

func importLayers(t *testing.T, config string, kv dtype.Type, layers int) *ir.Module {
	t.Helper()
	dir := t.TempDir()
	config += fmt.Sprintf(`,"num_hidden_layers":%d,"rms_norm_eps":1e-05,"max_position_embeddings":4096}`, layers)
	check(t, os.WriteFile(filepath.Join(dir, hf.ConfigFile), []byte(config), 0o644))
	c, err := hf.OpenRandom(dir, 1)
	check(t, err)
	m, err := models.Import(c, models.Options{KV: kv})
	check(t, err)
	return m.Module
}
