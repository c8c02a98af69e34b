package models

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"llmc/compiler/hf"
	"llmc/compiler/stored"
	"llmc/ir"
)

// ignoredKeys of config.json change nothing in the forward pass: names, training, generation defaults (which generation_config.json or
// the tokenizer's files hold too), and how some library stores or runs the model. Keys that begin with an underscore are names or private
// to a library too.
var ignoredKeys = strings.Fields(`
	model_type architectures transformers_version torch_dtype dtype use_cache
	bos_token_id eos_token_id pad_token_id unk_token_id sep_token_id cls_token_id mask_token_id decoder_start_token_id
	forced_bos_token_id forced_eos_token_id tokenizer_class
	attention_dropout hidden_dropout embd_dropout embd_pdrop resid_pdrop resid_dropout attn_pdrop dropout
	initializer_range initializer_factor gradient_checkpointing neftune_noise_alpha
	max_length min_length do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature top_k top_p typical_p
	repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size bad_words_ids num_return_sequences
	exponential_decay_length_penalty suppress_tokens begin_suppress_tokens remove_invalid_values epsilon_cutoff eta_cutoff
	output_hidden_states output_attentions output_scores return_dict return_dict_in_generate torchscript use_bfloat16
	tf_legacy_loss tie_encoder_decoder tie_last_hidden_states chunk_size_feed_forward id2label label2id num_labels problem_type
	finetuning_task prefix task_specific_params pretraining_tp
	use_flash_attn use_flash_attention unsloth_fixed unsloth_processed transformers.js_config is_llama_config
	num_logits_to_keep n_ctx layer_norm_eps layer_norm_epsilon
	model_max_length max_sequence_length max_seq_length max_seq_len seq_length
`)

// ignoredPatterns (path.Match) are families of such keys: ids of tokens, rates and factors of training.
var ignoredPatterns = []string{"*_token_id", "*_token_ids", "*_dropout", "*_dropout_prob", "*_pdrop", "*_loss_coef", "initializer_*", "summary_*"}

// fixedKeys may be present with these values only: they are known to change what some models compute, and these values are
// those at which they do not.
var fixedKeys = map[string][]any{
	"hidden_act":               {"silu", "swish"},
	"hidden_activation":        {"silu", "swish"},
	"activation_function":      {"silu", "swish"},
	"partial_rotary_factor":    {1.0},
	"rotary_pct":               {1.0},
	"embedding_multiplier":     {1.0},
	"residual_multiplier":      {1.0},
	"logits_scaling":           {1.0},
	"logit_scale":              {1.0},
	"lm_head_multiplier":       {1.0},
	"is_decoder":               {true}, // what a causal model is
	"num_nextn_predict_layers": {0.0},
	"position_embedding_type":  {"rope", "rotary"},
	"normalization_type":       {"rmsnorm", "RMSNorm"},
}

// keysRead returns the keys that the family's file and the parts that it uses read.
func (fam *family) keysRead() []string {
	read := slices.Concat(fam.sizes.keys(), []string{"tie_word_embeddings"}, fam.keys)
	if r := fam.rotary; r != nil {
		read = append(read, "rope_scaling", "rope_parameters", "original_max_position_embeddings")
		read = slices.Concat(read, strings.Fields(cmp.Or(r.baseKey, "rope_theta")), strings.Fields(r.partialKey), strings.Fields(r.widthKey))
	}
	return read
}

// checkKeys refuses keys that may change the arithmetic and that are not among those read. Of keys unknown to this program those pass
// that switch nothing on, and those with text for a value: they name or describe.
func checkKeys(f *hf.Fields, fam *family, read, ignore []string) {
	if code := f.Object("auto_map"); code != nil && code.Has("AutoModelForCausalLM") && !slices.Contains(ignore, "auto_map") {
		f.Fail("auto_map", "the model is computed by code of the checkpoint's own, which is never run; build with --ignore-key auto_map if a plain %s model computes the same", fam.modelType)
	}
	read = append(read, stored.ConfigKey, stored.OldConfigKey)
	if f.Present("use_sliding_window") && inert(f.Value("use_sliding_window")) { // as in a Llama that was once a Qwen
		read = append(read, "sliding_window", "max_window_layers")
	}
	for _, key := range f.Keys() {
		if f.Err() != nil {
			return
		}
		value := f.Value(key)
		if inert(value) || strings.HasPrefix(key, "_") || slices.Contains(read, key) || slices.Contains(ignoredKeys, key) ||
			matches(key, ignoredPatterns) || slices.Contains(fam.ignored, key) || slices.Contains(ignore, key) {
			continue
		}
		allowed, fixed := fixedKeys[key]
		_, text := value.(string)
		switch {
		case text && !fixed:
		case fixed && slices.ContainsFunc(allowed, func(a any) bool { return equalJSON(value, a) }):
		case key == "auto_map": // classes that read the config or the tokenizer
		case fixed:
			f.Fail(key, "%s is not supported in a %s model; it must be %v", show(value), fam.modelType, allowed[0])
		default:
			f.Fail(key, "is not a known key of a %s model%s and may change what it computes; if it does not, build with --ignore-key %s", fam.modelType, near(key, read), key)
		}
	}
}

func near(key string, keys []string) string {
	if n := ir.Nearest(key, keys); n != "" {
		return " (did you mean " + strconv.Quote(n) + "?)"
	}
	return ""
}

// inert tells whether a value switches nothing on.
func inert(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case *hf.Object:
		return len(v.Keys()) == 0
	}
	return false
}

// equalJSON compares a value of config.json with a Go value; numbers by value.
func equalJSON(v, want any) bool {
	if number, ok := v.(json.Number); ok {
		x, err := number.Float64()
		return err == nil && x == want
	}
	return v == want
}

// show prints a value of config.json for a message.
func show(v any) string {
	switch v := v.(type) {
	case string:
		return strconv.Quote(v)
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return "the value"
}
