package server

import "math"

// Answers that are written piece by piece have their schemas here; those of Go values are read off the values. What OpenAI's specification has is held to that
// specification by a client of its own (testdata/clients/openai_schemas.py).

// shape is an object that has these members, and may have others.
func shape(members map[string]schema, required ...string) schema {
	properties := map[string]any{}
	for name, member := range members {
		properties[name] = member
	}
	return schema{"type": "object", "properties": properties, "required": required}
}

func orNull(s schema) schema { return either(s, schema{"type": "null"}) }

var (
	aCount   = schema{"type": "integer", "minimum": 0}
	usageOf  = shape(map[string]schema{"prompt_tokens": aCount, "completion_tokens": aCount, "total_tokens": aCount}, "prompt_tokens", "completion_tokens", "total_tokens")
	finishOf = oneOf("stop", "length", "tool_calls", "repetition")

	errorAnswer = shape(map[string]schema{"error": shape(map[string]schema{
		"message": aText, "type": aText, "param": orNull(aText), "code": orNull(aText)}, "message", "type", "param", "code")}, "error")

	completionAnswer = shape(map[string]schema{
		"id": aText, "object": oneOf("text_completion"), "created": aCount, "model": aText, "system_fingerprint": aText, "usage": usageOf,
		"choices": list(shape(map[string]schema{"index": aCount, "text": aText, "logprobs": orNull(anObject), "finish_reason": finishOf}, "index", "text", "logprobs", "finish_reason"), 1, 0),
	}, "id", "object", "created", "model", "choices", "usage")
	callOf     = shape(map[string]schema{"id": aText, "type": oneOf("function"), "function": shape(map[string]schema{"name": aText, "arguments": aText}, "name", "arguments")}, "id", "type", "function")
	chatAnswer = shape(map[string]schema{
		"id": aText, "object": oneOf("chat.completion"), "created": aCount, "model": aText, "system_fingerprint": aText, "usage": usageOf,
		"choices": list(shape(map[string]schema{
			"index": aCount, "logprobs": orNull(anObject), "finish_reason": finishOf,
			"message": shape(map[string]schema{"role": oneOf("assistant"), "content": orNull(aText), "refusal": schema{"type": "null"}, "tool_calls": list(callOf, 1, 0)}, "role", "content"),
		}, "index", "message", "logprobs", "finish_reason"), 1, 0),
	}, "id", "object", "created", "model", "choices", "usage")
	responseAnswer = shape(map[string]schema{
		"id": aText, "object": oneOf("response"), "status": oneOf("completed", "incomplete"), "model": aText, "output": list(shape(map[string]schema{"type": aText}, "type"), 0, 0),
		"usage": anObject,
	}, "id", "object", "status", "model", "output", "usage")
	embeddingsAnswer = shape(map[string]schema{
		"object": oneOf("list"), "model": aText, "usage": shape(map[string]schema{"prompt_tokens": aCount, "total_tokens": aCount}, "prompt_tokens", "total_tokens"),
		"data": list(shape(map[string]schema{
			"object": oneOf("embedding"), "index": aCount, "embedding": either(aText, list(orNull(schema{"type": "number"}), 0, 0)),
		}, "object", "index", "embedding"), 1, 0),
	}, "object", "data", "model", "usage")

	tgiAnswer = shape(map[string]schema{"generated_text": aText, "details": shape(map[string]schema{
		"finish_reason": oneOf("length", "eos_token", "stop_sequence"), "generated_tokens": aCount, "seed": orNull(schema{"type": "integer"}),
		"prefill": list(anObject, 0, 0), "tokens": list(anObject, 0, 0)}, "finish_reason", "generated_tokens", "seed", "prefill", "tokens")}, "generated_text")
	tritonAnswer = shape(map[string]schema{"id": aText, "model_name": aText, "model_version": aText, "text_output": aText}, "model_name", "model_version", "text_output")
	inferAnswer  = shape(map[string]schema{"id": aText, "model_name": aText, "model_version": aText, "outputs": list(shape(map[string]schema{
		"name": aText, "datatype": aText, "shape": list(schema{"type": "integer"}, 0, 0)}, "name", "datatype", "shape"), 1, 0)}, "model_name", "model_version", "outputs")
)

// Bodies beside the table of fields.
var (
	inferBody = shape(map[string]schema{
		"id": atMost(maxNameBytes), "parameters": anObject, "outputs": list(shape(map[string]schema{"name": aText}, "name"), 0, 0),
		"inputs": list(shape(map[string]schema{"name": aText, "datatype": aText, "shape": list(aCount, 0, 0), "data": schema{"type": "array"}}, "name", "datatype", "shape"), 1, 0),
	}, "inputs")
	adapterBody = object([]string{"lora_name", "lora_path"}, map[string]schema{
		"lora_name": {"type": "string", "minLength": 1}, "lora_path": {"type": "string", "minLength": 1}, "base_model_name": aText, inPlaceField: aFlag})
	pagesBody = object([]string{"plan", "format", "prompt"}, map[string]schema{
		"plan": aText, "format": aText, "prompt": list(tokenID, 1, 0), "known": integers(0, math.MaxInt32), "cache_salt": aText, "priority": integers(math.MinInt32, math.MaxInt32)})
	unloadAdapterBody = object([]string{"lora_name"}, map[string]schema{"lora_name": {"type": "string", "minLength": 1}})
)
