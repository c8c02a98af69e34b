package compiler_test

import (
	"path/filepath"
	"strings"
	"testing"

	"llmc/compiler"
)

// unsupported are the families that there are recorded outputs of and no way to build. Whoever adds one takes its line away.
var unsupported = map[string]string{
	"deepseek_v3": "latent attention", "gpt_oss": "attention sinks in a mixture of experts", "llama4_text": "chunked attention in a mixture of experts",
	"mamba": "a state space", "mixtral": "a mixture of experts", "qwen3_moe": "a mixture of experts",
}

// Every recorded decoder is of a family that the goldens hold to what transformers computes, or is refused in one line that names its type.
func TestEveryFamilyBuildsOrIsNamed(t *testing.T) {
	supported := map[string]bool{}
	for _, g := range checkpoints(t) {
		supported[g.dir] = true
	}
	seen := map[string]bool{}
	for _, dir := range goldenDirs(t) {
		family := modelType(t, dir)
		if family == "" || supported[dir] {
			continue
		}
		seen[family] = true
		_, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Out: filepath.Join(t.TempDir(), "engine.plan")})
		switch {
		case unsupported[family] == "":
			t.Errorf("%s is of family %s, which is neither supported nor known to be not", filepath.Base(dir), family)
		case err == nil:
			t.Errorf("%s builds: family %s is supported", filepath.Base(dir), family)
		case !strings.Contains(err.Error(), `model_type: "`+family+`" is not supported`) || strings.Contains(err.Error(), "\n"):
			t.Errorf("%s: %v", filepath.Base(dir), err)
		}
	}
	for family, why := range unsupported {
		if !seen[family] {
			t.Errorf("no checkpoint is of family %s (%s)", family, why)
		}
	}
}
