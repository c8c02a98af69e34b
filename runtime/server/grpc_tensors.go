package server

import (
	"strconv"

	"llmc/runtime/server/inference"
	"llmc/runtime/server/strictjson"
)

// readCall reads the tensors of a call. Their bytes are in raw_input_contents, one for each input in order, or else in each input's contents.
func (s *Server) readCall(r *inference.ModelInferRequest) (*inferRequest, *apiError) {
	in := &inferRequest{id: r.Id, find: func() (*Model, error) { return s.models.version(r.ModelName, r.ModelVersion) }}
	switch {
	case r.ModelName == "":
		return nil, missing("model_name")
	case len(r.Inputs) == 0:
		return nil, missing("inputs")
	case len(r.Inputs) > maxTensors:
		return nil, invalid("inputs", "array_above_max_length", "inputs: at most %d tensors", maxTensors)
	case len(r.Id) > maxNameBytes:
		return nil, invalid("id", "invalid_value", "id: at most %d bytes", maxNameBytes)
	case len(r.RawInputContents) > 0 && len(r.RawInputContents) != len(r.Inputs):
		return nil, invalid("raw_input_contents", "invalid_value", "raw_input_contents: %d, there are %d inputs", len(r.RawInputContents), len(r.Inputs))
	}
	m, err := in.find()
	if err != nil {
		return nil, s.asAPIError(err)
	}
	for i, input := range r.Inputs {
		var raw []byte
		if len(r.RawInputContents) > 0 {
			raw = r.RawInputContents[i]
		}
		t, refusal := readCallTensor(input, raw, len(r.RawInputContents) > 0, m.reading())
		if refusal != nil {
			refusal.message = "tensor " + strconv.Quote(clip(input.Name, maxParam)) + ": " + refusal.message
			return nil, refusal
		}
		in.inputs = append(in.inputs, t)
	}
	if len(r.Outputs) > 0 {
		in.outputs = map[string]bool{}
		for _, o := range r.Outputs {
			in.outputs[o.GetName()] = true
		}
	}
	return in, nil
}

func readCallTensor(input *inference.ModelInferRequest_InferInputTensor, raw []byte, isRaw bool, how reading) (t tensor, refusal *apiError) {
	t = tensor{name: input.GetName(), datatype: input.GetDatatype(), shape: input.GetShape()}
	contents, known := contentsOf[t.datatype]
	if !how.knows(t.datatype) || !known && !isRaw || t.name == "" {
		return t, invalid("", "invalid_value", "datatype %.32q is not known, or there is no name", t.datatype)
	}
	if len(t.shape) > maxRank {
		return t, invalid("", "invalid_value", "shape: at most %d sizes", maxRank)
	}
	for _, n := range t.shape {
		if n < 0 || n > how.most {
			return t, invalid("", "invalid_value", "shape: %d is not a size from 0 to %d", n, how.most)
		}
	}
	if isRaw {
		return t, how.make(&t, nil, raw, true)
	}
	return t, how.make(&t, contents(input.GetContents(), int(how.most)+1), nil, false)
}

// contentsOf returns the elements of typed contents as JSON values, by datatype.
// No more than most are.
var contentsOf = map[string]func(contents *inference.InferTensorContents, most int) []strictjson.Value{
	"BOOL":   each((*inference.InferTensorContents).GetBoolContents, strconv.AppendBool),
	"INT8":   each((*inference.InferTensorContents).GetIntContents, appendInt),
	"INT16":  each((*inference.InferTensorContents).GetIntContents, appendInt),
	"INT32":  each((*inference.InferTensorContents).GetIntContents, appendInt),
	"INT64":  each((*inference.InferTensorContents).GetInt64Contents, appendInt),
	"UINT8":  each((*inference.InferTensorContents).GetUintContents, appendUint),
	"UINT16": each((*inference.InferTensorContents).GetUintContents, appendUint),
	"UINT32": each((*inference.InferTensorContents).GetUintContents, appendUint),
	"UINT64": each((*inference.InferTensorContents).GetUint64Contents, appendUint),
	"FP32":   each((*inference.InferTensorContents).GetFp32Contents, appendFloat),
	"FP64":   each((*inference.InferTensorContents).GetFp64Contents, appendFloat),
	"BYTES":  each((*inference.InferTensorContents).GetBytesContents, func(dst []byte, text []byte) []byte { return appendQuoted(dst, string(text)) }),
}

func each[T any](of func(*inference.InferTensorContents) []T, write func(dst []byte, x T) []byte) func(*inference.InferTensorContents, int) []strictjson.Value {
	return func(c *inference.InferTensorContents, most int) []strictjson.Value {
		given := of(c)
		list := make([]strictjson.Value, min(len(given), most))
		for i := range list {
			list[i] = write(nil, given[i])
		}
		return list
	}
}

func appendInt[T int32 | int64](dst []byte, x T) []byte { return strconv.AppendInt(dst, int64(x), 10) }

func appendUint[T uint32 | uint64](dst []byte, x T) []byte {
	return strconv.AppendUint(dst, uint64(x), 10)
}

func appendFloat[T float32 | float64](dst []byte, x T) []byte {
	return appendNumber(dst, float64(x), 64)
}

// answerCall words an answer: the tensors that were asked for, their bytes in raw_output_contents.
func (in *inferRequest) answerCall(m *Model, outputs ...outputTensor) *inference.ModelInferResponse {
	a := &inference.ModelInferResponse{ModelName: m.Name, ModelVersion: m.Version, Id: in.id}
	for i := range outputs {
		o := &outputs[i]
		if in.outputs != nil && !in.outputs[o.name] {
			continue
		}
		shape := make([]int64, len(o.shape))
		for j, n := range o.shape {
			shape[j] = int64(n)
		}
		a.Outputs = append(a.Outputs, &inference.ModelInferResponse_InferOutputTensor{Name: o.name, Datatype: o.datatype, Shape: shape})
		a.RawOutputContents = append(a.RawOutputContents, o.appendBinary(nil))
	}
	return a
}
