package server

import (
	"context"

	"llmc/runtime/encode"
	"llmc/runtime/ensemble"
	"llmc/runtime/server/strictjson"
)

// inferEncoder makes rows of texts.
func (s *Server) inferEncoder(from caller, in *inferRequest, give func(*Model, outputTensor)) error {
	return s.encodeFor(from, func() (*request, error) {
		m, err := in.find()
		if err != nil {
			return nil, err
		}
		return in.encoding(m)
	}, func(ctx context.Context, r *request) error {
		made, err := r.encodedTensor(ctx)
		if err == nil {
			give(r.model, made)
		}
		return err
	})
}

// encodedTensor has the texts or tokens of a request computed.
func (r *request) encodedTensor(ctx context.Context) (outputTensor, error) {
	inputs := make([]encode.Input, 0, len(r.queries)+len(r.rows))
	pictures, err := r.pictures()
	if err != nil {
		return outputTensor{}, err
	}
	defer r.released()
	inputs = append(inputs, pictures...)
	for _, ids := range r.rows {
		inputs = append(inputs, encode.Input{IDs: ids})
		r.encodedTokens += len(ids)
	}
	for i, text := range r.queries {
		texts := []string{text}
		if len(r.documents) > 0 {
			texts = append(texts, r.documents[i])
		}
		in, err := r.sequence("text", texts...)
		if err != nil {
			return outputTensor{}, err
		}
		inputs = append(inputs, in)
	}
	rows, err := r.vectors(ctx, inputs)
	if err != nil {
		return outputTensor{}, err
	}
	return outputTensor{name: r.model.Encoder.Gives(), datatype: "FP32", shape: []int{len(rows), r.model.Encoder.Width()}, rows: rows}, nil
}

// encoding makes a request of the tensors of an encoder.
func (in *inferRequest) encoding(m *Model) (*request, error) {
	if m.Encoder == nil { // it has taken the place of an encoder
		return nil, missing(textInput)
	}
	on := onEmbeddings
	if m.Encoder.Gives() == "score" {
		on = onScore
	}
	if err := m.serves(on); err != nil && m.Encoder.Gives() != "logits" { // which only this protocol has
		return nil, err
	}
	r := newRequest(on, m)
	r.timeouts = in.timeouts
	if err := in.knows(m.Encoder.Gives()); err != nil {
		return nil, err
	}
	if err := in.takeImages(r); err != nil {
		return nil, err
	}
	if err := in.plain(); err != nil {
		return nil, err
	}
	ids, err := in.tokenRows()
	if err != nil {
		return nil, err
	}
	r.rows = ids
	for _, t := range in.inputs {
		apply, known := encoderInputs[t.name]
		if t.name == inputIDs || t.name == attentionMask {
			continue
		}
		if !known {
			return nil, invalid(clip(t.name, maxParam), "unknown_parameter", "%.64q: the model has no such input", t.name)
		}
		if err := apply(r, jsonArray(t.elements)); err != nil {
			return nil, err.of(t.name)
		}
	}
	if err := r.oneKind(); err != nil {
		return nil, err
	}
	if len(r.documents) > 0 && len(r.documents) != len(r.queries) {
		return nil, invalid("text_pair", "invalid_value", "text_pair: there are %d texts and %d pairs", len(r.queries), len(r.documents))
	}
	return r, nil
}

// oneKind refuses a request of an encoder that has not its inputs in one way.
func (r *request) oneKind() error {
	given := 0
	for _, n := range []int{len(r.queries), len(r.rows), len(r.images), len(r.pixels)} {
		given += min(n, 1)
	}
	texts, images := r.model.Encoder.Reads()
	switch {
	case given == 1:
		return nil
	case given == 0 && !texts:
		return missing(imageFiles)
	case given == 0:
		return missing("text")
	case !images:
		return invalid(inputIDs, "invalid_value", "give either text or input_ids")
	case !texts:
		return invalid(pixelValues, "invalid_value", "give either image or pixel_values")
	}
	return invalid(inputIDs, "invalid_value", "give one of text, input_ids, image and pixel_values")
}

// Tensors of encoders whose texts have been cut into tokens already.
const (
	inputIDs      = "input_ids"
	attentionMask = "attention_mask"
)

// tokenRows are the sequences of input_ids: of each row what attention_mask, if it is there, has 1 for.
func (in *inferRequest) tokenRows() ([][]int32, error) {
	var given [2]*ensemble.Tensor
	for i, name := range []string{inputIDs, attentionMask} {
		for _, t := range in.inputs {
			if t.name != name {
				continue
			}
			if t.datatype != "INT64" && t.datatype != "INT32" || len(t.shape) != 2 {
				return nil, invalid(name, "invalid_value", "%s: must be INT64 or INT32, of shape [texts, tokens]", name)
			}
			whole := t
			if err := (reading{most: maxElements, whole: true}).make(&whole, t.elements, nil, false); err != nil {
				return nil, err.of(name)
			}
			given[i] = whole.whole
		}
	}
	switch {
	case given[0] == nil && given[1] != nil:
		return nil, missing(inputIDs)
	case given[0] == nil:
		return nil, nil
	case given[0].Shape[0] > maxDocuments:
		return nil, invalid(inputIDs, "array_above_max_length", "%s: must be at most %d texts", inputIDs, maxDocuments)
	}
	rows, err := ensemble.Rows(given[0], given[1])
	if err != nil {
		return nil, invalid(inputIDs, "invalid_value", "%v", err)
	}
	return rows, nil
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
