package plantest

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"llmc/compiler"
	"llmc/engine"
)

// sharedConfig is a model whose heads and columns up to four cards share.
var sharedConfig = map[string]any{
	"model_type": "llama", "architectures": []string{"LlamaForCausalLM"}, "vocab_size": 128, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2,
	"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 16, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": false,
}

// Shared builds a small model that several cards can share, changed as a test wants it (nil takes a key away), with made-up weights, and opens the plan for the time of the test.
func Shared(t testing.TB, options compiler.Options, changes map[string]any) *engine.Plan {
	t.Helper()
	config, seed, dir := maps.Clone(sharedConfig), uint64(4), t.TempDir()
	maps.Copy(config, changes)
	maps.DeleteFunc(config, func(_ string, value any) bool { return value == nil })
	text, err := json.Marshal(config)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	options.Model, options.Out, options.Random, options.Check = dir, filepath.Join(dir, "shared.plan"), &seed, true
	return open(t, options)
}
