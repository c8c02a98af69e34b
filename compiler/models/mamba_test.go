package models

import (
	"maps"
	"testing"
)

// A state space whose sizes no kernel takes, or that does what the block has no part for, is refused by the key that says so.
func TestStateSpaceRefusals(t *testing.T) {
	base := map[string]any{"model_type": "mamba", "architectures": []string{"MambaForCausalLM"}, "num_attention_heads": nil, "num_key_value_heads": nil,
		"max_position_embeddings": nil, "intermediate_size": 64, "state_size": 4, "num_hidden_layers": 1}
	for key, c := range map[string]struct {
		value any
		want  string
	}{
		"intermediate_size": {72, "intermediate_size: 72 is not a multiple of 16"},
		"conv_kernel":       {1, "conv_kernel"},
		"state_size":        {0, "state_size"},
		"time_step_rank":    {"all", "time_step_rank"},
		"hidden_act":        {"gelu", "hidden_act"},
		"n_groups":          {2, "n_groups"},
	} {
		keys := maps.Clone(base)
		keys[key] = c.value
		_, _, err := importRandom(t, small(t, keys), Options{})
		wantError(t, err, "config.json", c.want)
	}
	m, _, err := importRandom(t, small(t, base), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c := m.Module.Caches[0]; c.Kind != "state" || c.KVHeads != 3+4 || c.Rank != 3 || m.Info.Heads != 0 {
		t.Errorf("%+v of a model of %d heads", c, m.Info.Heads)
	}
}
