package compiler_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"llmc/compiler"
	"llmc/engine"
)

// TestIDsOutsideTheVocabulary builds small models whose files still name the special tokens of a larger relative.
func TestIDsOutsideTheVocabulary(t *testing.T) {
	const demo = "../testdata/checkpoints/llama-yarn"
	dir, seed := t.TempDir(), uint64(1)
	config, err := os.ReadFile(filepath.Join(demo, "config.json"))
	check(t, err)
	text := strings.Replace(string(config), `"bos_token_id": 1`, `"bos_token_id": 128000`, 1)
	check(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "generation_config.json"), []byte(`{"eos_token_id":[128001,3,-1]}`), 0o600))
	out := filepath.Join(dir, "x.plan")
	_, err = compiler.Build(t.Context(), compiler.Options{Model: dir, Out: out, Random: &seed})
	check(t, err)
	plan, err := engine.Open(out)
	check(t, err)
	defer plan.Close()
	if info := plan.Info(); info.BOS != -1 || !slices.Equal(info.EOS, []int32{3}) {
		t.Errorf("bos %d, eos %v", info.BOS, info.EOS)
	}
}
