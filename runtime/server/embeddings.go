package server

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/valyala/fasthttp"

	"llmc/runtime/encode"
)

// embeddings answers POST /v1/embeddings.
func (s *Server) embeddings(c *fasthttp.RequestCtx) error {
	return s.encoded(c, onEmbeddings, func(ctx context.Context, r *request) error {
		inputs, err := r.pictures()
		if err != nil {
			return err
		}
		defer r.released()
		inputs = append(inputs, make([]encode.Input, len(r.prompts))...)
		tokens := 0
		for i := range r.prompts {
			p := &r.prompts[i]
			inputs[i].IDs = p.ids
			if p.isText {
				if inputs[i], err = r.sequence("input", p.text); err != nil {
					return err
				}
			}
		}
		for _, in := range inputs {
			tokens += len(in.IDs)
		}
		rows, err := r.vectors(ctx, inputs)
		if err != nil {
			return err
		}
		dst := append(make([]byte, 0, 16*len(rows)*r.model.Encoder.Width()), `{"object":"list","data":[`...)
		for i, row := range rows {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, `{"object":"embedding","index":`...)
			dst = append(strconv.AppendInt(dst, int64(i), 10), `,"embedding":`...)
			dst = append(appendVector(dst, r.shortened(row), r.base64), '}')
		}
		dst = append(dst, `],"model":`...)
		dst = append(appendQuoted(dst, r.model.Name), `,"usage":{"prompt_tokens":`...)
		dst = append(strconv.AppendInt(dst, int64(tokens), 10), `,"total_tokens":`...)
		c.SetContentType("application/json")
		c.SetBody(append(strconv.AppendInt(dst, int64(tokens), 10), "}}"...))
		return nil
	})
}

// shortened returns the first of an embedding's dimensions, brought to the length of one, where fewer than all are wanted.
func (r *request) shortened(row []float32) []float32 {
	if r.dimensions == unset || r.dimensions >= len(row) {
		return row
	}
	row = row[:r.dimensions]
	squares := 0.0
	for _, x := range row {
		squares += float64(x) * float64(x)
	}
	if squares > 0 {
		for i, x := range row {
			row[i] = float32(float64(x) / math.Sqrt(squares))
		}
	}
	return row
}

// appendVector writes numbers as JSON, or as a string of the base64 of their bytes, little-endian.
func appendVector(dst []byte, row []float32, inBytes bool) []byte {
	if inBytes {
		var bytes []byte
		for _, x := range row {
			bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(x))
		}
		dst = append(dst, '"')
		return append(base64.StdEncoding.AppendEncode(dst, bytes), '"')
	}
	dst = append(dst, '[')
	for i, x := range row {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendNumber(dst, float64(x), 32)
	}
	return append(dst, ']')
}

// appendNumber writes a number; JSON has none for what is not finite, which becomes null.
func appendNumber(dst []byte, x float64, bits int) []byte {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return append(dst, "null"...)
	}
	return strconv.AppendFloat(dst, x, 'g', -1, bits)
}
