package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"slices"
	"strconv"

	"github.com/valyala/fasthttp"

	"llmc/runtime/encode"
	"llmc/runtime/server/strictjson"
)

// kserveInfer answers POST /v2/models/MODEL/infer.
func (s *Server) kserveInfer(c *fasthttp.RequestCtx) error {
	m, err := s.modelOfPath(c)
	if err != nil {
		return err
	}
	in, refusal := readInfer(c)
	if refusal != nil {
		return refusal
	}
	if m.Encoder != nil {
		return s.inferEncoder(c, m, in)
	}
	words := &inferWords{in: in, model: m}
	if err := s.answer(c, func() (*request, error) { return s.inferGeneration(m, in) }, func(*Server, *request) dialect { return words }); err != nil {
		return err
	}
	words.header(c)
	return nil
}

// inferGeneration makes a request of the tensors of a model that generates.
func (s *Server) inferGeneration(m *Model, in *inferRequest) (*request, error) {
	r, err := s.triton(m, onTriton)
	if err != nil {
		return nil, err
	}
	if err := in.knows("text_output", "finish_reason"); err != nil {
		return nil, err
	}
	for _, t := range in.inputs {
		value, refusal := t.value()
		switch {
		case refusal != nil:
		case t.name == textInput:
			refusal = readPrompts(r, jsonArray(t.elements))
		case tritonRule(t.name) == nil:
			refusal = invalid("", "unknown_parameter", "the model has no such input")
		default:
			refusal = tritonRule(t.name)(r, value)
		}
		if refusal != nil {
			return nil, refusal.of(clip(t.name, maxParam))
		}
	}
	if r.stream {
		return nil, invalid("stream", "unsupported_value", "stream: use generate_stream, or gRPC")
	}
	if len(r.prompts) > 0 && !r.prompts[0].isText {
		return nil, invalid(textInput, "invalid_type", "%s: must have texts", textInput)
	}
	return r, r.check()
}

// value is the one value of a parameter: all elements are the same, or the parameter takes an array.
func (t *tensor) value() (strictjson.Value, *apiError) {
	if t.name == textInput {
		return nil, nil
	}
	for _, p := range tritonParameters {
		if p.name == t.name && p.many {
			return jsonArray(t.elements), nil
		}
	}
	if len(t.elements) == 0 {
		return nil, invalid("", "invalid_value", "has no element")
	}
	for _, e := range t.elements[1:] {
		if !bytes.Equal(e, t.elements[0]) {
			return nil, invalid("", "unsupported_value", "has one value for all texts of a request")
		}
	}
	return t.elements[0], nil
}

// knows refuses outputs that there are not.
func (in *inferRequest) knows(names ...string) error {
	for name := range in.outputs {
		if !slices.Contains(names, name) {
			return invalid("outputs", "invalid_value", "outputs: the model has no output %.64q", name)
		}
	}
	return nil
}

// inferEncoder makes rows of texts.
func (s *Server) inferEncoder(c *fasthttp.RequestCtx, m *Model, in *inferRequest) error {
	on := onEmbeddings
	if m.Encoder.Gives() == "score" {
		on = onScore
	}
	return s.encodedOf(c, func() (*request, error) {
		if err := m.serves(on); err != nil {
			return nil, err
		}
		r := newRequest(on, m)
		if err := in.knows(m.Encoder.Gives()); err != nil {
			return nil, err
		}
		for _, t := range in.inputs {
			apply, known := encoderInputs[t.name]
			if !known {
				return nil, invalid(clip(t.name, maxParam), "unknown_parameter", "%.64q: the model has no such input", t.name)
			}
			if err := apply(r, jsonArray(t.elements)); err != nil {
				return nil, err.of(t.name)
			}
		}
		if len(r.queries) == 0 {
			return nil, missing("text")
		}
		if len(r.documents) > 0 && len(r.documents) != len(r.queries) {
			return nil, invalid("text_pair", "invalid_value", "text_pair: there are %d texts and %d pairs", len(r.queries), len(r.documents))
		}
		return r, nil
	}, func(ctx context.Context, r *request) error {
		inputs := make([]encode.Input, len(r.queries))
		for i, text := range r.queries {
			texts := []string{text}
			if len(r.documents) > 0 {
				texts = append(texts, r.documents[i])
			}
			var err error
			if inputs[i], err = r.sequence("text", texts...); err != nil {
				return err
			}
		}
		rows, err := r.vectors(ctx, inputs)
		if err != nil {
			return err
		}
		words := &inferWords{in: in, model: m}
		c.SetContentType("application/json")
		c.SetBody(words.answer(nil, outputTensor{name: m.Encoder.Gives(), datatype: "FP32", shape: []int{len(rows), m.Encoder.Width()}, rows: rows}))
		words.header(c)
		return nil
	})
}

// encoderInputs are the tensors of encoders.
var encoderInputs = map[string]rule{
	"text":      readQueries,
	"text_pair": readDocuments,
	"prompt_name": func(r *request, v strictjson.Value) *apiError {
		list, _ := v.Array()
		if len(list) != 1 {
			return invalid("", "invalid_value", "must have one element")
		}
		return words(func(r *request) *string { return &r.promptName }, maxNameBytes)(r, list[0])
	},
}

// outputTensor is an output: texts, or rows of numbers.
type outputTensor struct {
	name, datatype string
	shape          []int
	texts          []string
	rows           [][]float32
}

// inferWords words the answer of an inference.
type inferWords struct {
	in     *inferRequest
	model  *Model
	length int // of the JSON; 0: nothing follows it
}

// header says where the JSON ends, where binary tensors follow it.
func (d *inferWords) header(c *fasthttp.RequestCtx) {
	if d.length > 0 {
		c.Response.Header.Set(headerLength, strconv.Itoa(d.length))
		c.SetContentType("application/octet-stream")
	}
}

func (d *inferWords) begin(dst []byte, _ *batch) []byte                       { return dst }
func (d *inferWords) arrival(dst []byte, _ *batch, _ *choice, _ piece) []byte { return dst }
func (d *inferWords) end(dst []byte, _ *batch) []byte                         { return dst }
func (d *inferWords) failure(dst []byte, _ *apiError) []byte                  { return dst }

func (d *inferWords) whole(dst []byte, b *batch) []byte {
	n := len(b.choices)
	text := outputTensor{name: "text_output", datatype: "BYTES", shape: []int{n, 1}}
	finish := outputTensor{name: "finish_reason", datatype: "BYTES", shape: []int{n, 1}}
	for _, c := range b.choices {
		text.texts = append(text.texts, c.shownText(b.req))
		finish.texts = append(finish.texts, string(c.finish))
	}
	return d.answer(dst, text, finish)
}

// answer appends the JSON of an answer, and the binary tensors that were asked for behind it.
func (d *inferWords) answer(dst []byte, outputs ...outputTensor) []byte {
	dst = appendQuoted(append(dst, `{"model_name":`...), d.model.Name)
	dst = appendQuoted(append(dst, `,"model_version":`...), onlyVersion)
	if d.in.id != "" {
		dst = appendQuoted(append(dst, `,"id":`...), d.in.id)
	}
	dst = append(dst, `,"outputs":[`...)
	var after []byte
	first := true
	for i := range outputs {
		o := &outputs[i]
		binary, asked := d.in.outputs[o.name]
		if d.in.outputs != nil && !asked {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendQuoted(append(dst, `{"name":`...), o.name)
		dst = appendQuoted(append(dst, `,"datatype":`...), o.datatype)
		dst = append(dst, `,"shape":[`...)
		for j, n := range o.shape {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(dst, int64(n), 10)
		}
		if !binary && !d.in.binaryOutputs {
			dst = append(o.appendData(append(dst, `],"data":[`...)), "]}"...)
			continue
		}
		before := len(after)
		after = o.appendBinary(after)
		dst = strconv.AppendInt(append(dst, `],"parameters":{"binary_data_size":`...), int64(len(after)-before), 10)
		dst = append(dst, "}}"...)
	}
	dst = append(dst, "]}"...)
	if after != nil {
		d.length = len(dst)
	}
	return append(dst, after...)
}

func (o *outputTensor) appendData(dst []byte) []byte {
	comma := func(i int) {
		if i > 0 {
			dst = append(dst, ',')
		}
	}
	for i, text := range o.texts {
		comma(i)
		dst = appendQuoted(dst, text)
	}
	n := 0
	for _, row := range o.rows {
		for _, x := range row {
			comma(n)
			dst = appendNumber(dst, float64(x), 32)
			n++
		}
	}
	return dst
}

func (o *outputTensor) appendBinary(dst []byte) []byte {
	if dst == nil {
		dst = []byte{}
	}
	for _, text := range o.texts {
		dst = append(binary.LittleEndian.AppendUint32(dst, uint32(len(text))), text...)
	}
	for _, row := range o.rows {
		for _, x := range row {
			dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(x))
		}
	}
	return dst
}
