package server

import "math"

// fieldSchema says what a field of the table of fields takes. Rules about more than one field, and grammars, are beyond a schema: they are in descriptions.
type fieldSchema struct {
	name string
	on   endpoints
	says schema
}

var (
	tokenIDsSchema = list(tokenID, 0, 0)
	promptsSchema  = either(aText, list(aText, 1, maxPrompts), list(tokenID, 1, 0), list(list(tokenID, 1, 0), 1, maxPrompts))
	stopSchema     = either(schema{"type": "string", "minLength": 1, "maxLength": maxStopBytes},
		list(schema{"type": "string", "minLength": 1, "maxLength": maxStopBytes}, 0, maxStops))
	contentSchema = either(aText, list(schema{
		"type": "object", "required": []string{"type", "text"}, "properties": map[string]any{"type": oneOf("text"), "text": aText},
	}, 0, 0))
	messagesSchema = list(schema{
		"type": "object", "required": []string{"role", "content"},
		"properties":  map[string]any{"role": schema{"type": "string", "minLength": 1, "maxLength": maxNameBytes}, "content": contentSchema},
		"description": "Messages of the assistant may have tool_calls, and no content; other keys are left to the chat template.",
	}, 1, maxMessages)
	embeddedSchema = schema{"type": "array", "minItems": 1, "maxItems": 1, "items": anObject,
		"description": "Instead of input, of models that read images: a message of the user whose content is one text or one part of type image_url."}
	toolsSchema      = list(schema{"type": "object", "description": "A function: {\"type\": \"function\", \"function\": {\"name\": .., \"parameters\": JSON Schema}}."}, 0, maxTools)
	functionName     = schema{"type": "string", "minLength": 1}
	toolChoiceSchema = either(oneOf("none", "auto", "required"),
		schema{"type": "object", "required": []string{"type", "name"}, "properties": map[string]any{"type": oneOf("function"), "name": functionName}},
		schema{"type": "object", "required": []string{"type", "function"}, "properties": map[string]any{
			"type": oneOf("function"), "function": schema{"type": "object", "required": []string{"name"}, "properties": map[string]any{"name": functionName}}}})
	streamOptionsSchema = object(nil, map[string]schema{"include_usage": aFlag, "continuous_usage_stats": aFlag, "include_obfuscation": anything})
	jsonSchemaSchema    = either(anObject, aFlag, aText)
	namedSchema         = object(nil, map[string]schema{"name": anything, "description": anything, "strict": anything, "schema": jsonSchemaSchema})
	formatSchema        = either(
		schema{"type": "object", "required": []string{"type"}, "properties": map[string]any{"type": oneOf("text", "json_object")}},
		schema{"type": "object", "required": []string{"type", "json_schema"}, "properties": map[string]any{"type": oneOf("json_schema"), "json_schema": namedSchema}})
	kwargsSchema = schema{"type": "object", "propertyNames": schema{"not": oneOf(sorted(ownVariables)...)}}
)

// fieldSchemas has a row for each row of fields and responseFields; a test holds each to its rule.
var fieldSchemas = []fieldSchema{
	{"model", everywhere, schema{"type": "string", "maxLength": maxNameBytes}}, // the document has the names that there are
	{"prompt", onCompletions, promptsSchema},
	{"prompt", onTokenize, aText},
	{"inputs", inTGIsWords, schema{"type": "string", "minLength": 1}},
	{"inputs", onTokenize, aText},
	{"parameters", inTGIsWords | onTokenize, object(nil, tgiParameterSchemas)},
	{"messages", onChat | onTokenize, messagesSchema},
	{"tokens", onDetokenize, tokenIDsSchema},
	{"input", onEmbeddings, promptsSchema},
	{"messages", onEmbeddings, notTaken("the models embed texts")},
	{"prompt_name", onEmbeddings, schema{"type": "string", "maxLength": maxNameBytes, "description": "A prompt that the model has, before each text."}},
	{"query", onRerank, aText},
	{"documents", onRerank, either(aText, list(either(aText, object([]string{"text"}, map[string]schema{"text": aText})), 0, maxDocuments))},
	{"text_1", onScore, textOrTexts},
	{"text_2", onScore, either(aText, list(either(aText, object([]string{"text"}, map[string]schema{"text": aText})), 0, maxDocuments))},
	{"suffix", onCompletions, notTaken("the model continues text")},
	{"echo", onCompletions, aFlag},
	{"echo", onChat, oneOf(false)},
	{"add_special_tokens", generating | onTokenize, aFlag},
	{"encoding_format", onEmbeddings, oneOf("float", "base64")},
	{"dimensions", onEmbeddings, schema{"$ref": "#/components/schemas/Dimensions"}},
	{"top_n", onRerank, integers(1, most32)},
	{"return_documents", onRerank, aFlag},
	{"max_chunks_per_doc", onRerank, notTaken("documents are cut where they are too long")},
	{"truncate_prompt_tokens", encoding, notTaken("texts are cut where they are too long")},
	{"truncate_prompt_tokens", choosing, notTaken("shorten the prompt before sending it")},
	{"prompt_embeds", onCompletions, notTaken("prompts are text or token ids")},

	{"tools", onChat | onTokenize, toolsSchema},
	{"tool_choice", chatting, toolChoiceSchema},
	{"parallel_tool_calls", onChat, aFlag},
	{"functions", onChat, notTaken("use tools")},
	{"function_call", onChat, oneOf("none", "auto")},
	{"documents", onChat, list(anything, 0, maxTools)},
	{"add_generation_prompt", onChat | onTokenize, aFlag},
	{"continue_final_message", onChat | onTokenize, aFlag},
	{"chat_template_kwargs", onChat | onTokenize, kwargsSchema},
	{"chat_template", onChat | onTokenize, notTaken("the template is part of the model")},
	{"reasoning_effort", onChat, notTaken("give it in chat_template_kwargs")},
	{"include_reasoning", onChat, aFlag},

	{"temperature", choosing, between(0, 2)},
	{"top_p", choosing, between(0, 1)},
	{"top_k", choosing, integers(-1, most32)},
	{"min_p", choosing, between(0, 1)},
	{"presence_penalty", choosing, between(-2, 2)},
	{"frequency_penalty", choosing, between(-2, 2)},
	{"repetition_penalty", choosing, aboveZero(10)},
	{"logit_bias", choosing, schema{"type": "object", "propertyNames": schema{"$ref": "#/components/schemas/TokenName"}, "additionalProperties": between(-maxBias, maxBias)}},
	{"seed", choosing, integers(math.MinInt64, math.MaxInt64)},
	{"allowed_token_ids", choosing, notTaken("use logit_bias")},
	{"bad_words", choosing, notTaken("use logit_bias")},
	{"use_beam_search", choosing, aFlag},
	{"length_penalty", choosing, between(-100, 100)},
	{"early_stopping", choosing, either(aFlag, oneOf("never"))},
	{"structured_outputs", choosing, schema{"type": "object", "description": "One of json, regex, choice, grammar, json_object: true; disable_any_whitespace."}},
	{"guided_json", choosing, jsonSchemaSchema},
	{"guided_regex", choosing, aText},
	{"guided_choice", choosing, list(aText, 0, maxGrammarChoices)},
	{"guided_grammar", choosing, aText},
	{"guided_decoding_backend", choosing, anything},
	{"guided_whitespace_pattern", choosing, notTaken("white space is what JSON is usually written with")},
	{"response_format", choosing, formatSchema},

	{"n", choosing, integers(1, maxChoices)},
	{"best_of", onCompletions, integers(1, maxBestOf)},
	{"max_tokens", choosing, integers(0, most32)},
	{"max_completion_tokens", onChat, integers(0, most32)},
	{"min_tokens", choosing, integers(0, most32)},
	{"stop", choosing, stopSchema},
	{"stop_token_ids", choosing, list(tokenID, 0, maxStopTokens)},
	{"ignore_eos", choosing, aFlag},
	{"include_stop_str_in_output", choosing, oneOf(false)},

	{"stream", generating, aFlag},
	{"stream_options", choosing, streamOptionsSchema},
	{"logprobs", onCompletions, integers(0, maxLogprobs)},
	{"logprobs", onChat, aFlag},
	{"top_logprobs", onChat, integers(0, maxTopLogprobs)},
	{"prompt_logprobs", choosing, notTaken("use echo with logprobs on /v1/completions")},
	{"skip_special_tokens", choosing, aFlag},
	{"spaces_between_special_tokens", choosing, oneOf(true)},
	{"return_token_ids", choosing, aFlag},
	{"return_tokens_as_token_ids", choosing, oneOf(false)},
	{"return_token_strs", onTokenize, aFlag},
	{"modalities", onChat, oneOf([]string{"text"})},
	{"audio", onChat, notTaken("the model writes text")},
	{"verbosity", onChat, oneOf("medium")},
	{"web_search_options", onChat, notTaken("there is no search here")},
	{"moderation", choosing, notTaken("there is no moderation here")},

	{"priority", choosing | onResponses, integers(math.MinInt32, most32)},
	{"cache_salt", choosing | onResponses, atMost(maxNameBytes)},
	{"request_id", choosing, atMost(maxNameBytes)},

	{"user", everywhere, anything},
	{"safety_identifier", everywhere, anything},
	{"metadata", choosing, anything},
	{"store", choosing | onResponses, anything},
	{"service_tier", choosing | onResponses, anything},
	{"prediction", onChat, anything},
	{"prompt_cache_key", choosing | onResponses, anything},
	{"prompt_cache_retention", choosing | onResponses, anything},
	{"prompt_cache_options", choosing, anything},

	{"input", onResponses, either(aText, list(schema{"type": "object", "description": "An item: a message, a function_call or a function_call_output."}, 1, maxMessages))},
	{"instructions", onResponses, aText},
	{"tools", onResponses, list(schema{"type": "object", "required": []string{"type"}, "properties": map[string]any{"type": oneOf("function")}}, 0, maxTools)},
	{"parallel_tool_calls", onResponses, aFlag},
	{"max_output_tokens", onResponses, integers(1, most32)},
	{"temperature", onResponses, between(0, 2)},
	{"top_p", onResponses, between(0, 1)},
	{"top_k", onResponses, integers(-1, most32)},
	{"seed", onResponses, integers(math.MinInt64, math.MaxInt64)},
	{"stream_options", onResponses, anything},
	{"text", onResponses, object(nil, map[string]schema{"verbosity": oneOf("medium"), "format": anObject})},
	{"metadata", onResponses, anything},
	{"chat_template_kwargs", onResponses, kwargsSchema},
	{"truncation", onResponses, oneOf("disabled")},
	{"background", onResponses, oneOf(false)},
	{"previous_response_id", onResponses, notTaken("no responses are kept here")},
	{"conversation", onResponses, notTaken("no conversations are kept here")},
	{"prompt", onResponses, notTaken("there are no stored prompts here")},
	{"include", onResponses, list(oneOf("reasoning.encrypted_content"), 0, 0)},
	{"top_logprobs", onResponses, oneOf(0)},
	{"max_tool_calls", onResponses, notTaken("there are no tools of the server's own")},
	{"reasoning", onResponses, schema{"type": "object", "properties": map[string]any{"effort": schema{"type": "null"}}}},
}

// tgiParameterSchemas are those of tgiParameters.
var tgiParameterSchemas = map[string]schema{
	"best_of":               integers(1, maxBestOf),
	"temperature":           aboveZero(hottestTemperature),
	"repetition_penalty":    aboveZero(10),
	"frequency_penalty":     between(-2, 2),
	"top_k":                 integers(1, most32),
	"top_p":                 aboveZero(1),
	"typical_p":             notTaken("use top_p"),
	"do_sample":             aFlag,
	"max_new_tokens":        integers(1, most32),
	"return_full_text":      aFlag,
	"stop":                  stopSchema,
	"stop_sequences":        stopSchema,
	"truncate":              integers(1, most32),
	"watermark":             oneOf(false),
	"details":               aFlag,
	"decoder_input_details": aFlag,
	"seed":                  integers(math.MinInt64, math.MaxInt64),
	"top_n_tokens":          integers(0, maxTopTokens),
	"grammar":               schema{"type": "object", "required": []string{"type", "value"}, "properties": map[string]any{"type": oneOf("json", "json_schema", "regex")}},
	"adapter_id":            anything,
}

// tritonSchemas are those of tritonParameters, where they are members of a body, that differ from fields of completions of their names.
var tritonSchemas = map[string]schema{
	"stream": aFlag, "exclude_input_in_output": aFlag, "sampling_parameters": aText, "max_tokens": integers(0, most32), "random_seed": integers(math.MinInt64, math.MaxInt64),
	"stop_words": stopSchema, "beam_width": oneOf(1), "bad_words": notTaken("use logit_bias of /v1/completions"), "return_log_probs": oneOf(false),
}

// tritonSchema is the schema of a parameter of Triton's.
func tritonSchema(name string) schema {
	says, ok := tritonSchemas[name]
	for _, row := range fieldSchemas {
		if !ok && row.name == name && row.on&onCompletions != 0 {
			return row.says
		}
	}
	return says
}

// requiredFields are those that a request can not be without; of /tokenize one of two is.
var requiredFields = map[endpoints][]string{
	onCompletions: {"prompt"}, onChat: {"messages"}, onEmbeddings: {"input"}, onRerank: {"query", "documents"}, onScore: {"text_1", "text_2"},
	onDetokenize: {"tokens"}, onGenerate: {"inputs"}, onGenerateStream: {"inputs"}, onResponses: {"input"},
}
