package server

import (
	"math"
	"strconv"

	"llmc/engine"
	"llmc/runtime/server/strictjson"
)

// readTopP accepts 0 as "the most likely only", which for the sampler is the smallest number: its own 0 is "off".
func readTopP(r *request, v strictjson.Value) *apiError {
	p := &r.base.Sampling.TopP
	if err := number(func(*request) *float32 { return p }, 0, 1)(r, v); err != nil {
		return err
	}
	*p = max(*p, math.SmallestNonzeroFloat32)
	return nil
}

// readTopK accepts -1, as vLLM writes "off", besides 0.
func readTopK(r *request, v strictjson.Value) *apiError {
	var k int64
	if err := integer(func(*request) *int64 { return &k }, -1, math.MaxInt32)(r, v); err != nil {
		return err
	}
	r.base.Sampling.TopK = int32(max(0, k))
	return nil
}

func readSeed(r *request, v strictjson.Value) *apiError {
	var seed int64
	if err := integer(func(*request) *int64 { return &seed }, math.MinInt64, math.MaxInt64)(r, v); err != nil {
		return err
	}
	r.base.Sampling.Seed, r.seeded = uint64(seed), true
	return nil
}

func readLogitBias(r *request, v strictjson.Value) *apiError {
	members, ok := v.Object()
	if !ok {
		return wrongType(v, "an object of token ids")
	}
	vocab := r.model.Info.Vocab
	bias := make([]engine.TokenBias, 0, len(members))
	for _, m := range members {
		id, err := strconv.Atoi(m.Key)
		if err != nil || id < 0 || id >= vocab || strconv.Itoa(id) != m.Key {
			return invalid("", "invalid_value", "%.32q is not a token id, they go from 0 to %d", m.Key, vocab-1)
		}
		b, ok := m.Value.Float()
		if !ok || math.Abs(b) > maxBias {
			return invalid("", "invalid_value", "the bias of token %d must be a number from -%d to %d", id, maxBias, maxBias)
		}
		bias = append(bias, engine.TokenBias{Token: int32(id), Bias: float32(b)})
	}
	r.base.Sampling.Bias = bias
	return nil
}

func readMaxTokens(r *request, v strictjson.Value) *apiError {
	before := r.maxTokens
	if err := integer(func(r *request) *int { return &r.maxTokens }, 0, math.MaxInt32)(r, v); err != nil {
		return err
	}
	if before != unset && before != r.maxTokens {
		return invalid("", "invalid_value", "max_tokens and max_completion_tokens differ, give one of them")
	}
	return nil
}

func readStop(r *request, v strictjson.Value) *apiError {
	elements, many := v.Array()
	if !many {
		elements = []strictjson.Value{v}
	}
	if len(elements) > maxStops {
		return invalid("", "array_above_max_length", "must have at most %d strings", maxStops)
	}
	stops := make([]string, len(elements))
	for i, e := range elements {
		text, ok := e.Text()
		if !ok {
			return wrongType(e, "a string or an array of strings")
		}
		if text == "" || len(text) > maxStopBytes {
			return invalid("", "invalid_value", "each string must have 1 to %d bytes", maxStopBytes)
		}
		stops[i] = text
	}
	r.base.Stop = stops
	return nil
}

func readAddSpecial(r *request, v strictjson.Value) *apiError {
	r.addSpecial = new(bool)
	return flag(func(r *request) *bool { return r.addSpecial })(r, v)
}

// streamOptions are the keys of stream_options.
var streamOptions = map[string]rule{
	"include_usage":          flag(func(r *request) *bool { return &r.streamUsage }),
	"continuous_usage_stats": flag(func(r *request) *bool { return &r.chunkUsage }),
	"include_obfuscation":    ignored, // padding against traffic analysis; a hint
}

func readStreamOptions(r *request, v strictjson.Value) *apiError {
	members, ok := v.Object()
	if !ok {
		return wrongType(v, "an object")
	}
	r.streamOpts = true
	for _, m := range members {
		apply, known := streamOptions[m.Key]
		if !known {
			return invalid("", "unknown_parameter", "unknown key %.64q", m.Key)
		}
		if m.Value.IsNull() {
			continue
		}
		if err := apply(r, m.Value); err != nil {
			return err.of(m.Key)
		}
	}
	return nil
}

// ownVariables are the variables of a chat template that a request sets by fields of their own, and the arguments of
// transformers' apply_chat_template, which as variables would only pretend to have an effect.
var ownVariables = map[string]bool{
	"messages": true, "tools": true, "documents": true, "add_generation_prompt": true, "continue_final_message": true,
	"conversation": true, "chat_template": true, "tokenize": true, "tokenizer_kwargs": true, "return_dict": true,
	"return_tensors": true, "return_assistant_tokens_mask": true, "padding": true, "truncation": true, "max_length": true,
}

func readTemplateKwargs(r *request, v strictjson.Value) *apiError {
	members, ok := v.Object()
	if !ok {
		return wrongType(v, "an object")
	}
	for _, m := range members {
		if ownVariables[m.Key] {
			return invalid("", "invalid_value", "%.64q can not be overridden", m.Key)
		}
	}
	r.chat.Kwargs = v
	return nil
}
