package server

import (
	"math"

	"llmc/engine"
	"llmc/runtime/server/strictjson"
)

// Bounds of what a request of Text Generation Inference may ask for, beyond those that all requests have.
const (
	maxTopTokens       = 5
	defaultNewTokens   = 1024
	hottestTemperature = 100
)

// tgiOptions are what requests of Text Generation Inference have beyond others.
type tgiOptions struct {
	given    bool // parameters, without which tokens are sampled
	sample   bool // do_sample
	details  bool
	prefill  bool // details of the prompt's tokens
	fullText bool // the prompt before the text
	truncate int  // tokens of the prompt that are kept, the last; 0: all
	top      int  // alternatives of each token
}

// tgiParameters are the keys of "parameters".
var tgiParameters = map[string]rule{
	"best_of":            integer(func(r *request) *int { return &r.bestOf }, 1, maxBestOf),
	"temperature":        positive(func(r *request) *float32 { return &r.base.Sampling.Temperature }, hottestTemperature),
	"repetition_penalty": positive(func(r *request) *float32 { return &r.base.Sampling.RepetitionPenalty }, 10),
	"frequency_penalty":  number(func(r *request) *float32 { return &r.base.Sampling.FrequencyPenalty }, -2, 2),
	"top_k":              integer(func(r *request) *int32 { return &r.base.Sampling.TopK }, 1, math.MaxInt32),
	"top_p":              positive(func(r *request) *float32 { return &r.base.Sampling.TopP }, 1),
	"typical_p":          refused("use top_p or min_p of /v1/completions"),
	"do_sample":          flag(func(r *request) *bool { return &r.tgi.sample }),
	"max_new_tokens":     integer(func(r *request) *int { return &r.maxTokens }, 1, math.MaxInt32),
	"return_full_text":   flag(func(r *request) *bool { return &r.tgi.fullText }),
	"stop":               readStop,
	"stop_sequences":     readStop, // of clients before 2024
	"truncate":           integer(func(r *request) *int { return &r.tgi.truncate }, 1, math.MaxInt32),
	"watermark":          only("texts carry no watermark", "false"),
	"details":            flag(func(r *request) *bool { return &r.tgi.details }),
	"decoder_input_details": flag(func(r *request) *bool {
		return &r.tgi.prefill
	}),
	"seed":         readSeed,
	"top_n_tokens": integer(func(r *request) *int { return &r.tgi.top }, 0, maxTopTokens),
	"grammar":      readTGIGrammar,
	"adapter_id":   ignored, // forModel has found it
}

func readTGIParameters(r *request, v strictjson.Value) *apiError {
	members, ok := v.Object()
	if !ok {
		return wrongType(v, "an object")
	}
	r.tgi.given = true
	for _, m := range members {
		if m.Value.IsNull() {
			continue
		}
		apply, known := tgiParameters[m.Key]
		if !known {
			return invalid("", "unknown_parameter", "unknown parameter %.64q", m.Key)
		}
		if err := apply(r, m.Value); err != nil {
			return err.of(m.Key)
		}
	}
	return nil
}

// readTGIGrammar reads {"type": "json", "value": SCHEMA}, or of types json_schema and regex.
func readTGIGrammar(r *request, v strictjson.Value) *apiError {
	members, ok := v.Object()
	if !ok {
		return wrongType(v, "an object")
	}
	kind, value := "", strictjson.Value(nil)
	for _, m := range members {
		switch m.Key {
		case "type":
			kind, _ = m.Value.Text()
		case "value":
			value = m.Value
		}
	}
	switch {
	case value == nil:
		return invalid("", "invalid_value", "needs a value")
	case kind == "json":
		return constraint(readSchema)(r, value)
	case kind == "regex":
		return constraint(readRegex)(r, value)
	case kind == "json_schema":
		return readNamedSchema(r, value)
	}
	return invalid("", "unsupported_value", "type %.32q: json, json_schema and regex are supported", kind)
}

func readInputs(r *request, v strictjson.Value) *apiError {
	text, ok := v.Text()
	if !ok {
		return wrongType(v, "a string")
	}
	if text != "" || r.on == onTokenize {
		r.prompts = []prompt{{text: text, isText: true}}
	}
	r.inputs = true
	return nil
}

// adapterOf finds the adapter that parameters name, which is offered as a model; "" is none.
func adapterOf(parameters strictjson.Value) (name string) {
	members, _ := parameters.Object()
	for _, m := range members {
		if m.Key == "adapter_id" {
			name, _ = m.Value.Text()
		}
	}
	return name
}

// asTGI sets what requests of Text Generation Inference leave open as its router does: the model's own defaults of sampling do not count there, and
// tokens are sampled only where something asks for it.
func (r *request) asTGI() {
	r.stream = r.stream || r.on == onGenerateStream
	s := &r.base.Sampling
	if r.tgi.given && !r.tgi.sample && s.Temperature == 1 && s.TopK == 0 && s.TopP == 1 {
		s.Temperature = 0
	}
	r.logprobs = r.tgi.top // each token has its own whether or not it is asked for
	if r.tgi.prefill {
		r.base.PromptLogprobs = 0
	}
}

// neutralSampling changes nothing of the model's distribution.
var neutralSampling = engine.Sampling{Temperature: 1, TopP: 1, RepetitionPenalty: 1, Logprobs: -1}
