package models

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"llmc/compiler/hf"
)

// Frequencies and attention factors are those of transformers for every type, spelling and combination of keys.
func TestRopeTables(t *testing.T) {
	text, err := os.ReadFile("testdata/rope.json")
	if err != nil {
		t.Fatal(err)
	}
	var rows []struct {
		Config  json.RawMessage `json:"config"`
		Type    string          `json:"type"`
		Factor  float64         `json:"factor"`
		InvFreq [][]float64     `json:"inv_freq"`
	}
	if err := json.Unmarshal(text, &rows); err != nil {
		t.Fatal(err)
	}
	types := map[string]int{}
	for _, row := range rows {
		f := fields(t, string(row.Config))
		dim := f.IntOr("head_dim", f.Int("hidden_size", 1, 4096)/f.Int("num_attention_heads", 1, 64), 1, 4096)
		r := readRope(f, rotary{}, int(dim), f.Int("max_position_embeddings", 1, 1<<20))
		if err := f.Err(); err != nil {
			t.Errorf("%s: %v", row.Config, err)
			continue
		}
		types[r.kind]++
		if r.kind != row.Type || math.Abs(r.factor-row.Factor) > 1e-12 || len(r.invFreq) != len(row.InvFreq) {
			t.Errorf("%s: %s with factor %.15g and %d variants, want %s, %.15g and %d", row.Config, r.kind, r.factor, len(r.invFreq), row.Type, row.Factor, len(row.InvFreq))
			continue
		}
		for v, want := range row.InvFreq {
			compareFrequencies(t, string(row.Config), r.invFreq[v], want)
		}
	}
	for _, k := range ropeTypes {
		if types[k.name] < 3 && k.name != "divided" { // which is of GGUF files alone
			t.Errorf("only %d rows of type %s", types[k.name], k.name)
		}
	}
}

// compareFrequencies allows for the last bits of a power computed in f32.
func compareFrequencies(t *testing.T, config string, got []float32, want []float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d frequencies, want %d", config, len(got), len(want))
		return
	}
	for i, w := range want {
		if math.Abs(float64(got[i])-w) > 6e-7*w {
			t.Errorf("%s: frequency %d is %g, want %g", config, i, got[i], w)
			return
		}
	}
}

func TestRopeErrors(t *testing.T) {
	for config, want := range map[string]string{
		`{"rope_theta":0}`:                                      "config.json: rope_theta: 0 is outside",
		`{"rope_theta":1}`:                                      "config.json: rope_theta: 1 is outside",
		`{"rope_scaling":{"type":"linear"}}`:                    "config.json: rope_scaling.factor: is missing",
		`{"rope_scaling":{"type":"linear","factor":0}}`:         "config.json: rope_scaling.factor: 0 is outside",
		`{"rope_scaling":{"type":"linear","factor":"2"}}`:       "config.json: rope_scaling.factor: must be a finite number",
		`{"rope_scaling":{"type":"su","factor":2}}`:             `config.json: rope_scaling.rope_type: "su" is not supported; supported are default, linear`,
		`{"rope_scaling":{"type":7}}`:                           "config.json: rope_scaling.type: must be a string",
		`{"rope_scaling":"yarn"}`:                               "config.json: rope_scaling: must be an object",
		`{"rope_scaling":{"type":"linear","factors":2}}`:        `config.json: rope_scaling.factors: is not a known key of rotary embeddings (did you mean "factor"?)`,
		`{"rope_parameters":{"mrope_section":[1,2]}}`:           "config.json: rope_parameters.mrope_section: is not a known key",
		`{"rope_parameters":{"full_attention":{"factor":2}}}`:   "config.json: rope_parameters.full_attention: is not a known key",
		`{"rope_parameters":{"partial_rotary_factor":0.5}}`:     "config.json: rope_parameters.partial_rotary_factor: is not",
		`{"rope_parameters":{"rope_type":"longrope"}}`:          "config.json: rope_parameters.short_factor: has 0 numbers instead of 4",
		`{"rope_parameters":{"rope_type":"llama3","factor":8}}`: "config.json: rope_parameters.low_freq_factor: is missing",
		`{"rope_parameters":{"rope_type":"llama3","factor":8,"low_freq_factor":4,"high_freq_factor":4}}`:        "high_freq_factor: 4 is not above",
		`{"rope_parameters":{"rope_type":"yarn","original_max_position_embeddings":0}}`:                         "original_max_position_embeddings: 0 is outside",
		`{"rope_scaling":{"rope_type":"longrope","short_factor":[1,1,1,0],"long_factor":[1,1,1,1],"factor":2}}`: "short_factor[3]: 0 is outside",
	} {
		f := fields(t, config)
		readRope(f, rotary{}, 8, 1024)
		wantError(t, f.Err(), want)
	}
}

func fields(t testing.TB, text string) *hf.Fields {
	t.Helper()
	o, err := hf.ParseObject(hf.ConfigFile, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o.Fields()
}
