package server

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strconv"

	"github.com/valyala/fasthttp"

	"llmc/runtime/ensemble"
	"llmc/runtime/server/strictjson"
)

// kserveInfer answers POST /v2/models/MODEL/infer.
func (s *Server) kserveInfer(c *fasthttp.RequestCtx) error {
	m, err := s.modelOfPath(c)
	if err != nil {
		return err
	}
	in, refusal := readInfer(c, m.reading())
	if refusal != nil {
		return refusal
	}
	in.find = func() (*Model, error) { return s.modelOfPath(c) }
	words := &inferWords{in: in}
	switch {
	case m.Node != nil:
		if err := s.inferNode(c, words); err != nil {
			return err
		}
	case m.Encoder != nil:
		var made outputTensor
		if err := s.inferEncoder(overHTTP(c), in, func(m *Model, o outputTensor) { words.model, made = m, o }); err != nil {
			return err
		}
		c.SetContentType("application/json")
		c.SetBody(words.answer(nil, made))
	default:
		speak := func(_ *Server, r *request) dialect {
			words.model = r.model
			return words
		}
		if err := s.answer(c, func() (*request, error) { return s.inferGeneration(in, false) }, speak); err != nil {
			return err
		}
	}
	words.header(c)
	return nil
}

// inferGeneration makes a request of the tensors of a model that generates. Streamed it has one text.
func (s *Server) inferGeneration(in *inferRequest, streams bool) (*request, error) {
	m, err := in.find()
	if err != nil {
		return nil, err
	}
	r, err := s.triton(m, onTriton)
	if err != nil {
		return nil, err
	}
	r.timeouts = in.timeouts
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
	if r.stream && (!streams || len(r.prompts) > 1) {
		return nil, invalid("stream", "unsupported_value", "stream: one text, by generate_stream or ModelStreamInfer")
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

// outputTensor is an output: texts, or rows of numbers.
type outputTensor struct {
	name, datatype string
	shape          []int
	texts          []string
	rows           [][]float32
	whole          *ensemble.Tensor // nil: one of the others has it
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

func (d *inferWords) whole(dst []byte, b *batch) []byte { return d.answer(dst, b.outputs()...) }

// outputs are the tensors of generations that have ended.
func (b *batch) outputs() []outputTensor {
	n := len(b.choices)
	text := outputTensor{name: "text_output", datatype: "BYTES", shape: []int{n, 1}}
	finish := outputTensor{name: "finish_reason", datatype: "BYTES", shape: []int{n, 1}}
	for _, c := range b.choices {
		text.texts = append(text.texts, c.shownText(b.req))
		finish.texts = append(finish.texts, string(c.finish))
	}
	return []outputTensor{text, finish}
}

// answer appends the JSON of an answer, and the binary tensors that were asked for behind it.
func (d *inferWords) answer(dst []byte, outputs ...outputTensor) []byte {
	dst = appendQuoted(append(dst, `{"model_name":`...), d.model.Name)
	dst = appendQuoted(append(dst, `,"model_version":`...), d.model.Version)
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
		if !binary && !d.in.binaryOutputs && (o.whole == nil || o.whole.Plain()) {
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
	if o.whole != nil {
		for i := range o.whole.Len() {
			comma(int(i))
			dst = o.whole.Element(dst, i)
		}
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
	if o.whole != nil {
		dst = o.whole.AppendRaw(dst)
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
