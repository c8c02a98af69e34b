package main

import (
	"fmt"
	"math/rand/v2"
)

// prompts are what questions begin with.
var prompts = []string{
	"What is the capital of France?", "Tell me about the weather in spring.", "1 2 3 4 5 6", "Once upon a time there was a small house.", "Hello",
	"List five animals, one a line, and say of each where it lives and what it eats. Then say which of them you like best, and why.",
}

// extra are fields of the OpenAI API that constrain or sample.
var extra = []map[string]any{
	{"temperature": 0},
	{"temperature": 0.8, "seed": 7},
	{"temperature": 1, "seed": 1234, "top_p": 0.9, "top_k": 40, "frequency_penalty": 0.5},
	{"temperature": 0, "guided_regex": "[a-z]{3,9}( [a-z]{3,9}){2,5}"},
	{"temperature": 0.7, "seed": 3, "guided_json": map[string]any{
		"type": "object", "properties": map[string]any{"name": map[string]any{"type": "string", "maxLength": 12}, "n": map[string]any{"type": "integer"}},
		"required": []string{"name", "n"}, "additionalProperties": false}},
	{"temperature": 0, "guided_choice": []string{"yes", "no", "perhaps"}},
	{"temperature": 0, "stop": []string{"e", "."}, "ignore_eos": true},
}

// tools force a call of a function.
var tools = map[string]any{
	"temperature": 0,
	"tools": []any{map[string]any{"type": "function", "function": map[string]any{"name": "look_up", "parameters": map[string]any{
		"type": "object", "properties": map[string]any{"city": map[string]any{"enum": []string{"Paris", "Rome", "Oslo"}}}, "required": []string{"city"}, "additionalProperties": false}}}},
	"tool_choice": map[string]any{"type": "function", "function": map[string]any{"name": "look_up"}},
}

// book makes questions to models: of each API and each kind of field.
func book(model string, r *rand.Rand) (list []*question) {
	add := func(d *dialect, fields map[string]any) {
		list = append(list, &question{dialect: d, model: model, prompt: prompts[r.IntN(len(prompts))], tokens: 4 + r.IntN(44), fields: fields})
	}
	for i := range dialects {
		switch d := &dialects[i]; d.name {
		case "completions", "chat":
			for _, fields := range extra {
				add(d, fields)
				add(d, fields)
			}
			if d.name == "chat" {
				add(d, tools)
				list[len(list)-1].tokens = 64
			}
		case "responses":
			for range 3 {
				add(d, map[string]any{"temperature": 0})
			}
		case "tgi", "triton", "kserve": // greedy where nothing else is said
			for range 3 {
				add(d, nil)
			}
		}
	}
	return list
}

// embeddings makes questions to an encoder.
func embeddings(model string) (list []*question) {
	for _, prompt := range prompts {
		list = append(list, &question{dialect: &dialects[len(dialects)-1], model: model, prompt: prompt})
	}
	return list
}

// eos is the token by which the bundled model ends. Without it answers are text to their end; tokens that have no text have no events, and would look like gaps.
const eos = "2"

// longStreams makes questions of completions that all differ, with answers of exactly so many tokens.
func longStreams(model string, n, tokens int) (list []*question) {
	for i := range n {
		list = append(list, &question{dialect: &dialects[0], model: model, prompt: fmt.Sprintf("Story number %d. There", i), tokens: tokens,
			fields: map[string]any{"temperature": 0, "logit_bias": map[string]any{eos: -100}}})
	}
	return list
}
