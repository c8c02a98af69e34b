package gpubench

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// shape is a decoder as its configuration states it, with what is measured of it.
type shape struct {
	name                                                              string
	hidden, intermediate, layers, heads, kvHeads, dim, vocab, context int
	tied                                                              bool
	rope                                                              float64 // factor of llama3's scaling; 0: none
	workload
}

// workload is what is measured. Steps of decodes have a token of each sequence, those of prefills the tokens of one.
type workload struct {
	decodes  []decode
	prefills []int
	batches  []batch
	profile  batch // of which timelines are kept
	rounds   float64
}

// decode is a step of one token for each sequence, each of which has context positions.
type decode struct{ sequences, context int }

// batch is a run of a whole model.
type batch struct{ sequences, prompt, gen, repeat int }

// large is what is measured of models that people serve.
var large = workload{
	decodes: []decode{{1, 1024}, {2, 1024}, {4, 1024}, {8, 1024}, {16, 1024}, {32, 1024}, {64, 1024}, {128, 1024}, {256, 1024},
		{1, 8192}, {1, 32768}, {1, 131000}, {8, 8192}, {8, 32768}, {64, 4096}},
	prefills: []int{512, 1024, 2048, 4096, 8192},
	batches:  []batch{{1, 2048, 128, 3}, {8, 512, 64, 3}, {64, 128, 64, 3}, {256, 128, 64, 2}},
	profile:  batch{sequences: 8, prompt: 512, gen: 16},
	rounds:   20e-3,
}

// shapes are the models. The last one is for trying this out.
var shapes = []shape{
	{name: "8b", hidden: 4096, intermediate: 14336, layers: 32, heads: 32, kvHeads: 8, dim: 128, vocab: 128256, context: 131072, rope: 8, workload: large},            // Llama 3.1
	{name: "1b", hidden: 2048, intermediate: 8192, layers: 16, heads: 32, kvHeads: 8, dim: 64, vocab: 128256, context: 131072, rope: 32, tied: true, workload: large}, // Llama 3.2
	{name: "tiny", hidden: 64, intermediate: 96, layers: 2, heads: 4, kvHeads: 2, dim: 16, vocab: 1024, context: 512, workload: workload{
		decodes: []decode{{1, 16}, {2, 40}, {1, 90}}, prefills: []int{20}, batches: []batch{{1, 8, 2, 1}, {2, 8, 2, 1}}, profile: batch{sequences: 1, prompt: 4, gen: 1}}},
}

// formats are what weights may have, by what torch multiplies in the same place.
var formats = map[string]string{"bf16": "bf16", "fp8": "fp8", "int4": "bf16", "int8": "bf16"}

// spec is a model in a format.
type spec struct {
	*shape
	format string
}

func (s spec) String() string { return s.name + ":" + s.format }

// presets are lists of plans by name.
var presets = map[string]string{"default": "8b:fp8,bf16,int4 1b:bf16", "all": "8b:fp8,bf16,int4 1b:bf16,fp8,int4", "none": ""}

// parseSpecs reads a list such as "8b:fp8,int4 1b:bf16".
func parseSpecs(text string) ([]spec, error) {
	if preset, ok := presets[strings.TrimSpace(text)]; ok {
		text = preset
	}
	var specs []spec
	for _, word := range strings.Fields(text) {
		name, list, _ := strings.Cut(word, ":")
		var found *shape
		for i := range shapes {
			if shapes[i].name == name {
				found = &shapes[i]
			}
		}
		if found == nil {
			return nil, fmt.Errorf("no model %q: there are 8b, 1b and tiny", name)
		}
		for format := range strings.SplitSeq(list, ",") {
			if formats[format] == "" {
				return nil, fmt.Errorf("%s: no format %q: there are bf16, fp8, int4 and int8", word, format)
			}
			specs = append(specs, spec{found, format})
		}
	}
	return specs, nil
}

// writeModel makes a checkpoint directory without weights: the configuration of the shape beside the tokenizer of another model, which nobody asks.
func (s *shape) writeModel(dir, tokenizer string) error {
	config := map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "torch_dtype": "bfloat16", "hidden_act": "silu", "rms_norm_eps": 1e-5,
		"hidden_size": s.hidden, "intermediate_size": s.intermediate, "num_hidden_layers": s.layers, "num_attention_heads": s.heads, "num_key_value_heads": s.kvHeads,
		"head_dim": s.dim, "vocab_size": s.vocab, "max_position_embeddings": s.context, "tie_word_embeddings": s.tied, "rope_theta": 500000.0,
		"bos_token_id": 0, "eos_token_id": 2, "attention_bias": false, "mlp_bias": false,
	}
	if s.rope > 0 {
		config["rope_scaling"] = map[string]any{"rope_type": "llama3", "factor": s.rope, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
	}
	text, err := json.Marshal(config)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o666); err != nil {
		return err
	}
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		data, err := os.ReadFile(filepath.Join(tokenizer, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			return err
		}
	}
	return nil
}
