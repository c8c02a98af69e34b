package server

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/valyala/fasthttp"

	"llmc/runtime/encode"
	"llmc/runtime/server/strictjson"
)

// madeOf says what clients may ask encoders for, by what they give.
var madeOf = map[string]struct {
	what string
	on   endpoints
	use  string
}{
	"embedding": {"embeddings", encoding, "/v1/embeddings, /v1/rerank or /v1/score"},
	"score":     {"scores", comparing, "/v1/rerank or /v1/score"},
	"logits":    {"logits of labels", 0, "/v2/models/MODEL/infer or llmrun logits"},
	"hidden":    {"a row for each token", 0, "llmrun logits; the checkpoint does not say how they become one embedding"},
}

// maxDocuments bounds the texts that a request compares.
const maxDocuments = 2048

// texts accepts a string, or an array of strings.
func texts(to func(*request) *[]string, objects bool) rule {
	return func(r *request, v strictjson.Value) *apiError {
		if text, ok := v.Text(); ok {
			*to(r) = []string{text}
			return nil
		}
		elements, ok := v.Array()
		if !ok {
			return wrongType(v, "a string or an array of strings")
		}
		if len(elements) > maxDocuments {
			return invalid("", "array_above_max_length", "must be at most %d texts", maxDocuments)
		}
		list := make([]string, len(elements))
		for i, e := range elements {
			if objects {
				e = textOf(e)
			}
			if list[i], ok = e.Text(); !ok {
				return wrongType(e, "an array of strings")
			}
		}
		*to(r) = list
		return nil
	}
}

// textOf returns the text of {"text": ..}, and what is none of these as it is.
func textOf(v strictjson.Value) strictjson.Value {
	members, ok := v.Object()
	if ok && len(members) == 1 && members[0].Key == "text" {
		return members[0].Value
	}
	return v
}

var (
	readDocuments = texts(func(r *request) *[]string { return &r.documents }, true)
	readQueries   = texts(func(r *request) *[]string { return &r.queries }, false)
)

// readQuery accepts one text.
func readQuery(r *request, v strictjson.Value) *apiError {
	text, ok := v.Text()
	if !ok {
		return wrongType(v, "a string")
	}
	r.queries = []string{text}
	return nil
}

// readEncodingFormat accepts the two forms of embeddings.
func readEncodingFormat(r *request, v strictjson.Value) *apiError {
	text, ok := v.Text()
	if !ok {
		return wrongType(v, "a string")
	}
	if text != "float" && text != "base64" {
		return invalid("", "invalid_value", "must be float or base64")
	}
	r.base64 = text == "base64"
	return nil
}

// encoded computes a request of an encoder that the table of fields describes.
func (s *Server) encoded(c *fasthttp.RequestCtx, on endpoints, answer func(ctx context.Context, r *request) error) error {
	return s.encodeFor(overHTTP(c), func() (*request, error) { return s.decode(on, c.PostBody()) }, answer)
}

// vectors has sequences computed.
func (r *request) vectors(ctx context.Context, inputs []encode.Input) ([][]float32, error) {
	begun := time.Now()
	r.model.Metrics.Requested(len(inputs))
	rows, err := r.model.Encoder.Encode(ctx, inputs)
	if err != nil {
		return nil, err
	}
	r.model.Metrics.Encoded(r.encodedTokens, time.Since(begun))
	return rows, nil
}

// sequence makes the sequence of texts for a request; field is where they are from.
func (r *request) sequence(field string, texts ...string) (encode.Input, error) {
	in, err := r.model.Encoder.Text(r.promptName, texts...)
	r.encodedTokens += len(in.IDs)
	switch {
	case errors.Is(err, encode.ErrPrompt):
		return in, invalid("prompt_name", "invalid_value", "prompt_name: %v", err)
	case err != nil:
		return in, invalid(field, "invalid_value", "%s: %v", field, err)
	}
	return in, nil
}

// cosine is that of the angle between two vectors, 0 where one has no direction.
func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i, x := range a {
		ab += float64(x) * float64(b[i])
		aa += float64(x) * float64(x)
		bb += float64(b[i]) * float64(b[i])
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}
