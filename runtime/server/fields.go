package server

import (
	"math"
)

// endpoints is a set of the endpoints that share the table of fields.
type endpoints uint8

const (
	completions endpoints = 1 << iota
	chat
	tokenize
	detokenize

	generating = completions | chat
	everywhere = generating | tokenize | detokenize
)

// Bounds of what one request may ask for. Those of the OpenAI API where it has them.
const (
	maxChoices     = 128
	maxBestOf      = 20
	maxTopLogprobs = 20 // chat
	maxLogprobs    = 5  // completions
	maxStops       = 64
	maxStopBytes   = 1024
	maxStopTokens  = 1024
	maxPrompts     = 2048
	maxSequences   = 2048 // prompts times choices
	maxMessages    = 16384
	maxTools       = 1024
	maxNameBytes   = 512
	maxBias        = 100
)

// A field is what one key of a request's body does.
type field struct {
	name string
	on   endpoints
	rule rule
}

// fields is every key that clients of the OpenAI API, and of vLLM's extensions of it, are known to send. A key that is not here is
// refused: ignoring it could give another result than asked for. null is as if absent.
var fields = []field{
	// What to continue.
	{"model", everywhere, words(func(r *request) *string { return &r.name }, maxNameBytes)},
	{"prompt", completions, readPrompts},
	{"prompt", tokenize, readPrompts},
	{"messages", chat | tokenize, readMessages},
	{"tokens", detokenize, tokenIDs(func(r *request) *[]int32 { return &r.tokens }, math.MaxInt32)},
	{"suffix", completions, refused("the model continues text, it does not fill in")},
	{"echo", completions, flag(func(r *request) *bool { return &r.echo })},
	{"echo", chat, only("the answer does not repeat the conversation", "false")},
	{"add_special_tokens", generating | tokenize, readAddSpecial},
	{"truncate_prompt_tokens", generating, refused("shorten the prompt before sending it")},
	{"prompt_embeds", completions, refused("prompts are text or token ids")},

	// The chat template.
	{"tools", chat | tokenize, rawArray(func(r *request) *[]byte { return &r.chat.Tools }, maxTools)},
	{"tool_choice", chat, readToolChoice},
	{"parallel_tool_calls", chat, only("the number of calls is the model's choice", "true")},
	{"functions", chat, refused("use tools")},
	{"function_call", chat, only("use tool_choice", `"none"`, `"auto"`)},
	{"documents", chat, rawArray(func(r *request) *[]byte { return &r.chat.Documents }, maxTools)},
	{"add_generation_prompt", chat | tokenize, flag(func(r *request) *bool { return &r.chat.AddGenerationPrompt })},
	{"continue_final_message", chat | tokenize, flag(func(r *request) *bool { return &r.continueFinal })},
	{"chat_template_kwargs", chat | tokenize, readTemplateKwargs},
	{"chat_template", chat | tokenize, refused("the template is part of the model")},
	{"reasoning_effort", chat, refused("give it in chat_template_kwargs if the model's template reads it")},
	{"include_reasoning", chat, only("reasoning is part of the content", "true")},

	// Sampling.
	{"temperature", generating, number(func(r *request) *float32 { return &r.base.Sampling.Temperature }, 0, 2)},
	{"top_p", generating, readTopP},
	{"top_k", generating, readTopK},
	{"min_p", generating, number(func(r *request) *float32 { return &r.base.Sampling.MinP }, 0, 1)},
	{"presence_penalty", generating, number(func(r *request) *float32 { return &r.base.Sampling.PresencePenalty }, -2, 2)},
	{"frequency_penalty", generating, number(func(r *request) *float32 { return &r.base.Sampling.FrequencyPenalty }, -2, 2)},
	{"repetition_penalty", generating, positive(func(r *request) *float32 { return &r.base.Sampling.RepetitionPenalty }, 10)},
	{"logit_bias", generating, readLogitBias},
	{"seed", generating, readSeed},
	{"allowed_token_ids", generating, refused("use logit_bias")},
	{"bad_words", generating, refused("use logit_bias")},
	{"use_beam_search", generating, only("tokens are sampled", "false")},
	{"length_penalty", generating, only("it belongs to beam search", "1", "1.0")},
	{"structured_outputs", generating, refused("output is not constrained yet")},
	{"guided_json", generating, refused("output is not constrained yet")},
	{"guided_regex", generating, refused("output is not constrained yet")},
	{"guided_choice", generating, refused("output is not constrained yet")},
	{"guided_grammar", generating, refused("output is not constrained yet")},
	{"response_format", generating, readResponseFormat},

	// How many, how long.
	{"n", generating, integer(func(r *request) *int { return &r.choices }, 1, maxChoices)},
	{"best_of", completions, integer(func(r *request) *int { return &r.bestOf }, 1, maxBestOf)},
	{"max_tokens", generating, readMaxTokens},
	{"max_completion_tokens", chat, readMaxTokens},
	{"min_tokens", generating, integer(func(r *request) *int { return &r.base.MinTokens }, 0, math.MaxInt32)},
	{"stop", generating, readStop},
	{"stop_token_ids", generating, tokenIDs(func(r *request) *[]int32 { return &r.base.StopTokens }, maxStopTokens)},
	{"ignore_eos", generating, flag(func(r *request) *bool { return &r.base.IgnoreEOS })},
	{"include_stop_str_in_output", generating, only("the stop text is not part of the output", "false")},

	// The answer.
	{"stream", generating, flag(func(r *request) *bool { return &r.stream })},
	{"stream_options", generating, readStreamOptions},
	{"logprobs", completions, integer(func(r *request) *int { return &r.logprobs }, 0, maxLogprobs)},
	{"logprobs", chat, flag(func(r *request) *bool { return &r.wantLogprobs })},
	{"top_logprobs", chat, integer(func(r *request) *int { return &r.topLogprobs }, 0, maxTopLogprobs)},
	{"prompt_logprobs", generating, refused("use echo with logprobs on /v1/completions")},
	{"skip_special_tokens", generating, flag(func(r *request) *bool { return &r.base.SkipSpecial })},
	{"spaces_between_special_tokens", generating, only("special tokens are decoded as they are", "true")},
	{"return_token_ids", generating, flag(func(r *request) *bool { return &r.returnIDs })},
	{"return_tokens_as_token_ids", generating, only("use return_token_ids", "false")},
	{"return_token_strs", tokenize, flag(func(r *request) *bool { return &r.tokenStrings })},
	{"modalities", chat, only("the model writes text", `["text"]`)},
	{"audio", chat, refused("the model writes text")},
	{"verbosity", chat, only("ask for it in the messages", `"medium"`)},
	{"web_search_options", chat, refused("there is no search here")},
	{"moderation", generating, refused("there is no moderation here")},

	// Scheduling.
	{"priority", generating, integer(func(r *request) *int { return &r.base.Priority }, math.MinInt32, math.MaxInt32)},
	{"cache_salt", generating, words(func(r *request) *string { return &r.base.CacheSalt }, maxNameBytes)},
	{"request_id", generating, words(func(r *request) *string { return &r.base.ID }, maxNameBytes)},

	// No part in the result: labels, billing, hints.
	{"user", everywhere, ignored},
	{"safety_identifier", everywhere, ignored},
	{"metadata", generating, ignored},
	{"store", generating, ignored},
	{"service_tier", generating, ignored},
	{"prediction", chat, ignored},
	{"prompt_cache_key", generating, ignored},
	{"prompt_cache_retention", generating, ignored},
	{"prompt_cache_options", generating, ignored},
}

// fieldsOf holds the rows of fields by endpoint and name.
var fieldsOf = indexFields(fields)

func indexFields(rows []field) map[endpoints]map[string]rule {
	index := map[endpoints]map[string]rule{completions: {}, chat: {}, tokenize: {}, detokenize: {}}
	for on, byName := range index {
		for _, row := range rows {
			if row.on&on != 0 {
				byName[row.name] = row.rule
			}
		}
	}
	return index
}
