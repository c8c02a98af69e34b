package server

import (
	"math"
	"slices"
)

// endpoints is a set of the endpoints that share the table of fields.
type endpoints uint16

const (
	onCompletions endpoints = 1 << iota
	onChat
	onTokenize
	onDetokenize
	onEmbeddings
	onRerank
	onScore
	onGenerate       // of Text Generation Inference
	onGenerateStream // likewise, always streamed
	onTriton         // Triton's generate extension, and inferences of models that generate

	onResponses

	inTGIsWords = onGenerate | onGenerateStream
	choosing    = onCompletions | onChat // with the fields of the OpenAI API
	chatting    = onChat | onResponses   // which have a conversation
	generating  = choosing | inTGIsWords | onTriton | onResponses
	comparing   = onRerank | onScore
	encoding    = onEmbeddings | comparing
	everywhere  = generating | encoding | onTokenize | onDetokenize
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
	{"prompt", onCompletions, readPrompts},
	{"prompt", onTokenize, readPrompts},
	{"inputs", inTGIsWords | onTokenize, readInputs},
	{"parameters", inTGIsWords | onTokenize, readTGIParameters},
	{"messages", onChat | onTokenize, readMessages},
	{"tokens", onDetokenize, tokenIDs(func(r *request) *[]int32 { return &r.tokens }, math.MaxInt32)},
	{"input", onEmbeddings, readEmbedded(readPrompts)},
	{"messages", onEmbeddings, readEmbedded(readEmbeddedMessage)},
	{"prompt_name", onEmbeddings, words(func(r *request) *string { return &r.promptName }, maxNameBytes)},
	{"query", onRerank, readQuery},
	{"documents", onRerank, readDocuments},
	{"text_1", onScore, readQueries},
	{"text_2", onScore, readDocuments},
	{"suffix", onCompletions, refused("the model continues text, it does not fill in")},
	{"echo", onCompletions, flag(func(r *request) *bool { return &r.echo })},
	{"echo", onChat, only("the answer does not repeat the conversation", "false")},
	{"add_special_tokens", generating | onTokenize, readAddSpecial},
	{"encoding_format", onEmbeddings, readEncodingFormat},
	{"dimensions", onEmbeddings, integer(func(r *request) *int { return &r.dimensions }, 1, math.MaxInt32)},
	{"top_n", onRerank, integer(func(r *request) *int { return &r.topN }, 1, math.MaxInt32)},
	{"return_documents", onRerank, flag(func(r *request) *bool { return &r.returnDocuments })},
	{"max_chunks_per_doc", onRerank, refused("documents are cut where they are too long")},
	{"truncate_prompt_tokens", encoding, refused("texts are cut where they are longer than the model takes")},
	{"truncate_prompt_tokens", choosing, refused("shorten the prompt before sending it")},
	{"prompt_embeds", onCompletions, refused("prompts are text or token ids")},

	// The chat template.
	{"tools", onChat | onTokenize, readTools},
	{"tool_choice", onChat, readToolChoice},
	{"parallel_tool_calls", onChat, flag(func(r *request) *bool { return &r.severalCalls })},
	{"functions", onChat, refused("use tools")},
	{"function_call", onChat, only("use tool_choice", `"none"`, `"auto"`)},
	{"documents", onChat, rawArray(func(r *request) *[]byte { return &r.chat.Documents }, maxTools)},
	{"add_generation_prompt", onChat | onTokenize, flag(func(r *request) *bool { return &r.chat.AddGenerationPrompt })},
	{"continue_final_message", onChat | onTokenize, flag(func(r *request) *bool { return &r.continueFinal })},
	{"chat_template_kwargs", onChat | onTokenize, readTemplateKwargs},
	{"chat_template", onChat | onTokenize, refused("the template is part of the model")},
	{"reasoning_effort", onChat, refused("give it in chat_template_kwargs if the model's template reads it")},
	{"include_reasoning", onChat, flag(func(r *request) *bool { return &r.showReasoning })},

	// Sampling.
	{"temperature", choosing, number(func(r *request) *float32 { return &r.base.Sampling.Temperature }, 0, 2)},
	{"top_p", choosing, readTopP},
	{"top_k", choosing, readTopK},
	{"min_p", choosing, number(func(r *request) *float32 { return &r.base.Sampling.MinP }, 0, 1)},
	{"presence_penalty", choosing, number(func(r *request) *float32 { return &r.base.Sampling.PresencePenalty }, -2, 2)},
	{"frequency_penalty", choosing, number(func(r *request) *float32 { return &r.base.Sampling.FrequencyPenalty }, -2, 2)},
	{"repetition_penalty", choosing, positive(func(r *request) *float32 { return &r.base.Sampling.RepetitionPenalty }, 10)},
	{"logit_bias", choosing, readLogitBias},
	{"seed", choosing, readSeed},
	{"allowed_token_ids", choosing, refused("use logit_bias")},
	{"bad_words", choosing, refused("use logit_bias")},
	{"use_beam_search", choosing, flag(func(r *request) *bool { return &r.beams.wanted })},
	{"length_penalty", choosing, readLengthPenalty},
	{"early_stopping", choosing, readEarlyStopping},
	{"structured_outputs", choosing, readStructuredOutputs},
	{"guided_json", choosing, constraint(readSchema)},
	{"guided_regex", choosing, constraint(readRegex)},
	{"guided_choice", choosing, constraint(readChoices)},
	{"guided_grammar", choosing, constraint(readGrammar)},
	{"guided_decoding_backend", choosing, ignored}, // a hint: there is one
	{"guided_whitespace_pattern", choosing, refused("white space is what JSON is usually written with")},
	{"response_format", choosing, readResponseFormat},

	// How many, how long.
	{"n", choosing, integer(func(r *request) *int { return &r.choices }, 1, maxChoices)},
	{"best_of", onCompletions, integer(func(r *request) *int { return &r.bestOf }, 1, maxBestOf)},
	{"max_tokens", choosing, readMaxTokens},
	{"max_completion_tokens", onChat, readMaxTokens},
	{"min_tokens", choosing, integer(func(r *request) *int { return &r.base.MinTokens }, 0, math.MaxInt32)},
	{"stop", choosing, readStop},
	{"stop_token_ids", choosing, tokenIDs(func(r *request) *[]int32 { return &r.base.StopTokens }, maxStopTokens)},
	{"ignore_eos", choosing, flag(func(r *request) *bool { return &r.base.IgnoreEOS })},
	{"include_stop_str_in_output", choosing, only("the stop text is not part of the output", "false")},

	// The answer.
	{"stream", generating, flag(func(r *request) *bool { return &r.stream })},
	{"stream_options", choosing, readStreamOptions},
	{"logprobs", onCompletions, integer(func(r *request) *int { return &r.logprobs }, 0, maxLogprobs)},
	{"logprobs", onChat, flag(func(r *request) *bool { return &r.wantLogprobs })},
	{"top_logprobs", onChat, integer(func(r *request) *int { return &r.topLogprobs }, 0, maxTopLogprobs)},
	{"prompt_logprobs", choosing, refused("use echo with logprobs on /v1/completions")},
	{"skip_special_tokens", choosing, flag(func(r *request) *bool { return &r.base.SkipSpecial })},
	{"spaces_between_special_tokens", choosing, only("special tokens are decoded as they are", "true")},
	{"return_token_ids", choosing, flag(func(r *request) *bool { return &r.returnIDs })},
	{"return_tokens_as_token_ids", choosing, only("use return_token_ids", "false")},
	{"return_token_strs", onTokenize, flag(func(r *request) *bool { return &r.tokenStrings })},
	{"modalities", onChat, only("the model writes text", `["text"]`)},
	{"audio", onChat, refused("the model writes text")},
	{"verbosity", onChat, only("ask for it in the messages", `"medium"`)},
	{"web_search_options", onChat, refused("there is no search here")},
	{"moderation", choosing, refused("there is no moderation here")},

	// Scheduling.
	{"priority", choosing, integer(func(r *request) *int { return &r.base.Priority }, math.MinInt32, math.MaxInt32)},
	{"cache_salt", choosing, words(func(r *request) *string { return &r.base.CacheSalt }, maxNameBytes)},
	{"request_id", choosing, words(func(r *request) *string { return &r.base.ID }, maxNameBytes)},

	// No part in the result: labels, billing, hints.
	{"user", everywhere, ignored},
	{"safety_identifier", everywhere, ignored},
	{"metadata", choosing, ignored},
	{"store", choosing, ignored},
	{"service_tier", choosing, ignored},
	{"prediction", onChat, ignored},
	{"prompt_cache_key", choosing, ignored},
	{"prompt_cache_retention", choosing, ignored},
	{"prompt_cache_options", choosing, ignored},
}

// fieldsOf holds the rows of fields by endpoint and name.
var fieldsOf = indexFields(slices.Concat(fields, responseFields))

func indexFields(rows []field) map[endpoints]map[string]rule {
	index := map[endpoints]map[string]rule{onCompletions: {}, onChat: {}, onTokenize: {}, onDetokenize: {}, onEmbeddings: {}, onRerank: {}, onScore: {}, onGenerate: {}, onGenerateStream: {}, onResponses: {}}
	for on, byName := range index {
		for _, row := range rows {
			if row.on&on != 0 {
				byName[row.name] = row.rule
			}
		}
	}
	return index
}
