package server

import (
	"math"

	"github.com/valyala/fasthttp"

	"llmc/runtime/grammar"
	"llmc/runtime/server/strictjson"
)

// textInput is the tensor of prompts of models that generate, as Triton's vLLM and TensorRT-LLM back ends call it.
const textInput = "text_input"

// tritonParameter is an optional input of a model that generates: a tensor of an inference, or a member of a body of Triton's generate extension.
type tritonParameter struct {
	name, datatype string
	many           bool // elements are one value, an array
	rule           rule
}

// tritonParameters are those of Triton's vLLM and TensorRT-LLM back ends. What is not here is refused by its name.
var tritonParameters = []tritonParameter{
	{"stream", "BOOL", false, flag(func(r *request) *bool { return &r.stream })},
	{"exclude_input_in_output", "BOOL", false, flag(func(r *request) *bool { return &r.excludeInput })},
	{"sampling_parameters", "BYTES", false, readSamplingParameters},
	{"max_tokens", "INT32", false, readMaxTokens},
	{"min_tokens", "INT32", false, integer(func(r *request) *int { return &r.base.MinTokens }, 0, math.MaxInt32)},
	{"temperature", "FP32", false, number(func(r *request) *float32 { return &r.base.Sampling.Temperature }, 0, 2)},
	{"top_k", "INT32", false, readTopK},
	{"top_p", "FP32", false, readTopP},
	{"min_p", "FP32", false, number(func(r *request) *float32 { return &r.base.Sampling.MinP }, 0, 1)},
	{"repetition_penalty", "FP32", false, positive(func(r *request) *float32 { return &r.base.Sampling.RepetitionPenalty }, 10)},
	{"presence_penalty", "FP32", false, number(func(r *request) *float32 { return &r.base.Sampling.PresencePenalty }, -2, 2)},
	{"frequency_penalty", "FP32", false, number(func(r *request) *float32 { return &r.base.Sampling.FrequencyPenalty }, -2, 2)},
	{"random_seed", "INT64", false, readSeed},
	{"seed", "INT64", false, readSeed},
	{"stop_words", "BYTES", true, readStop},
	{"stop", "BYTES", true, readStop},
	{"ignore_eos", "BOOL", false, flag(func(r *request) *bool { return &r.base.IgnoreEOS })},
	{"beam_width", "INT32", false, only("tokens are sampled", "1")},
	{"bad_words", "BYTES", true, refused("use logit_bias of /v1/completions")},
	{"return_log_probs", "BOOL", false, only("use logprobs of /v1/completions", "false")},
}

func tritonRule(name string) rule {
	for _, p := range tritonParameters {
		if p.name == name {
			return p.rule
		}
	}
	return nil
}

// readSamplingParameters reads a JSON object in a string: fields of /v1/completions.
func readSamplingParameters(r *request, v strictjson.Value) *apiError {
	text, ok := v.Text()
	if !ok {
		return wrongType(v, "a JSON object in a string")
	}
	value, err := strictjson.Check([]byte(text))
	if err != nil {
		return invalid("", "invalid_json", "is not valid JSON: %v", err)
	}
	members, ok := value.Object()
	if !ok {
		return wrongType(value, "a JSON object in a string")
	}
	rules := fieldsOf[onCompletions]
	for _, m := range members {
		apply, known := rules[m.Key]
		if !known || m.Key == "prompt" || m.Key == "n" || m.Key == "best_of" || m.Key == "echo" || m.Key == "stream" {
			return unknownField(m.Key, rules)
		}
		if m.Value.IsNull() {
			continue
		}
		if err := apply(r, m.Value); err != nil {
			return err.of(m.Key)
		}
		if r.constraint.Kind != grammar.None {
			r.constraintBy = "sampling_parameters"
		}
	}
	return nil
}

// triton begins a request for generations in Triton's words.
func (s *Server) triton(m *Model, on endpoints) (*request, error) {
	if err := m.serves(on); err != nil {
		return nil, err
	}
	r := newRequest(on, m)
	r.newID, r.excludeInput = s.newID, true
	return r, nil
}

// tritonGenerate answers POST /v2/models/MODEL/generate.
func (s *Server) tritonGenerate(c *fasthttp.RequestCtx) error { return s.tritonText(c, false) }

// tritonStream answers POST /v2/models/MODEL/generate_stream.
func (s *Server) tritonStream(c *fasthttp.RequestCtx) error { return s.tritonText(c, true) }

func (s *Server) tritonText(c *fasthttp.RequestCtx, stream bool) error {
	if m, err := s.modelOfPath(c); err == nil && m.Node != nil {
		return s.generateNode(c, m, stream)
	}
	words := &tritonWords{}
	return s.answer(c, func() (*request, error) {
		m, err := s.modelOfPath(c)
		if err != nil {
			return nil, err
		}
		value, err := strictjson.Check(c.PostBody())
		if err != nil {
			return nil, invalid("", "invalid_json", "the body is not valid JSON: %v", err)
		}
		members, ok := value.Object()
		if !ok {
			return nil, invalid("", "invalid_type", "the body must be a JSON object, not %s", value.Kind())
		}
		r, err := s.triton(m, onTriton)
		if err != nil {
			return nil, err
		}
		for _, member := range members {
			if err := words.read(r, member, true); err != nil {
				return nil, err.of(clip(member.Key, maxParam))
			}
		}
		if r.stream && !stream {
			return nil, invalid("stream", "unsupported_value", "stream: use generate_stream")
		}
		r.stream = stream
		return r, r.check()
	}, func(*Server, *request) dialect { return words })
}

// tritonWords is the dialect of Triton's generate extension: one prompt, one text.
type tritonWords struct {
	id    string
	given bool // something of the stream
}

// read takes in a member of the body, or of its parameters.
func (d *tritonWords) read(r *request, m strictjson.Member, top bool) *apiError {
	if m.Value.IsNull() {
		return nil
	}
	switch {
	case top && m.Key == "id":
		d.id, _ = m.Value.Text()
		return nil
	case top && m.Key == textInput:
		return readInputs(r, m.Value)
	case top && m.Key == "parameters":
		members, ok := m.Value.Object()
		if !ok {
			return wrongType(m.Value, "an object")
		}
		for _, p := range members {
			if p.Key == "timeout" {
				if err := readMicroseconds(r, p.Value); err != nil {
					return err.of(p.Key)
				}
				continue
			}
			if err := d.read(r, p, false); err != nil {
				return err.of(clip(p.Key, maxParam))
			}
		}
		return nil
	}
	apply := tritonRule(m.Key)
	if apply == nil {
		return invalid("", "unknown_parameter", "unknown: it is refused because ignoring it could change the result")
	}
	return apply(r, m.Value)
}

func (d *tritonWords) text(dst []byte, b *batch, text string) []byte {
	dst = append(dst, '{')
	if d.id != "" {
		dst = append(appendQuoted(append(dst, `"id":`...), d.id), ',')
	}
	dst = appendQuoted(append(dst, `"model_name":`...), b.req.model.Name)
	dst = appendQuoted(append(dst, `,"model_version":`...), b.req.model.Version)
	dst = appendQuoted(append(dst, `,"text_output":`...), text)
	return append(dst, '}')
}

func (d *tritonWords) begin(dst []byte, _ *batch) []byte { return dst }

func (d *tritonWords) arrival(dst []byte, b *batch, c *choice, p piece) []byte {
	text := p.text
	if !d.given && !b.req.excludeInput {
		text = c.prompt.text + text
	}
	if text == "" && (d.given || c.finish == "") {
		return dst
	}
	d.given = true
	return append(d.text(append(dst, "data: "...), b, text), "\n\n"...)
}

func (d *tritonWords) end(dst []byte, _ *batch) []byte { return dst }

func (d *tritonWords) failure(dst []byte, e *apiError) []byte {
	return append(appendQuoted(append(dst, `data: {"error":`...), e.message), "}\n\n"...)
}

func (d *tritonWords) whole(dst []byte, b *batch) []byte {
	return d.text(dst, b, b.choices[0].shownText(b.req))
}

// shownText is the text of a choice, behind its prompt if that was asked for.
func (c *choice) shownText(r *request) string {
	if r.excludeInput {
		return c.all.text
	}
	return r.echoText(c.prompt) + c.all.text
}

// jsonArray is an array of values.
func jsonArray(list []strictjson.Value) strictjson.Value {
	dst := []byte{'['}
	for i, v := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, v...)
	}
	return append(dst, ']')
}
