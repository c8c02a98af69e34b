package server

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"llmc/runtime/ensemble"
	"llmc/runtime/server/strictjson"
)

// headerLength is the header that tells where the JSON of a body with binary tensors ends (Triton's binary tensor data extension).
const headerLength = "Inference-Header-Content-Length"

// tensor is an input of a request: its elements as JSON values, or of models with a Node as they are.
type tensor struct {
	name, datatype string
	shape          []int64
	elements       []strictjson.Value
	whole          *ensemble.Tensor // nil: elements has it
}

// reading says how tensors are read.
type reading struct {
	most  int64 // elements of a tensor
	whole bool  // as ensemble.Tensor
}

// Models with plans read texts and settings, of images numbers as well; those with a Node whatever there is.
var (
	readPlain  = reading{most: maxElements}
	readWhole  = reading{most: 1 << 20, whole: true}
	readPixels = reading{most: 1 << 22, whole: true}
)

// reading is how a model's tensors are read.
func (m *Model) reading() reading {
	switch {
	case m.Node != nil:
		return readWhole
	case m.encodesImages():
		return readPixels
	}
	return readPlain
}

// knows tells whether there are tensors of a type.
func (r reading) knows(datatype string) bool {
	_, known := elementSizes[datatype]
	return known || r.whole && ensemble.IsType(datatype)
}

// make makes a tensor of its elements in JSON, or of its bytes.
func (r reading) make(t *tensor, elements []strictjson.Value, raw []byte, isRaw bool) (refusal *apiError) {
	if !r.whole {
		if t.elements = elements; isRaw {
			t.elements, refusal = fromBinary(t.datatype, raw)
		}
		if refusal == nil && int64(len(t.elements)) != r.count(t.shape) {
			refusal = invalid("", "invalid_value", "%d elements, shape %v has another number", len(t.elements), t.shape)
		}
		return refusal
	}
	var err error
	if isRaw {
		t.whole, err = ensemble.FromRaw(t.datatype, t.shape, raw)
	} else {
		list := make([]json.RawMessage, len(elements))
		for i, e := range elements {
			list[i] = json.RawMessage(e)
		}
		t.whole, err = ensemble.FromJSON(t.datatype, t.shape, list)
	}
	if err != nil {
		return invalid("", "invalid_value", "%v", err)
	}
	return nil
}

// count is the number of elements of a shape, -1 beyond what a tensor may have.
func (r reading) count(shape []int64) int64 {
	n := int64(1)
	for _, size := range shape {
		if n *= size; n > r.most {
			return -1
		}
	}
	return n
}

// inferRequest is the body of an inference.
type inferRequest struct {
	find          func() (*Model, error) // the model that is asked, as it is now
	id            string
	timeouts      timeouts
	inputs        []tensor
	outputs       map[string]bool // wanted, and whether as binary; nil: all
	binaryOutputs bool
}

// elementSizes are the bytes of an element of a binary tensor.
var elementSizes = map[string]int{
	"BOOL": 1, "UINT8": 1, "INT8": 1, "UINT16": 2, "INT16": 2, "UINT32": 4, "INT32": 4, "FP32": 4, "UINT64": 8, "INT64": 8, "FP64": 8, "BYTES": 0,
}

// readInfer reads the body of an inference, whose binary tensors follow the JSON in the order of inputs.
func readInfer(c *fasthttp.RequestCtx, how reading) (*inferRequest, *apiError) {
	text, rest := c.PostBody(), []byte(nil)
	if given := c.Request.Header.Peek(headerLength); len(given) > 0 {
		length, err := strconv.Atoi(string(given))
		if err != nil || length < 0 || length > len(text) {
			return nil, invalid("", "invalid_value", "%s: %.32q is not the length of the JSON in a body of %d bytes", headerLength, given, len(text))
		}
		text, rest = text[:length], text[length:]
	}
	value, err := strictjson.Check(text)
	if err != nil {
		return nil, invalid("", "invalid_json", "the body is not valid JSON: %v", err)
	}
	members, ok := value.Object()
	if !ok {
		return nil, invalid("", "invalid_type", "the body must be a JSON object, not %s", value.Kind())
	}
	r := &inferRequest{}
	for _, m := range members {
		var refusal *apiError
		switch m.Key {
		case "id":
			r.id, ok = m.Value.Text()
			if !ok || len(r.id) > maxNameBytes {
				refusal = invalid("", "invalid_value", "must be a string of at most %d bytes", maxNameBytes)
			}
		case "parameters":
			r.binaryOutputs = isTrue(m.Value, "binary_data_output")
			refusal = r.readTimeout(m.Value)
		case "inputs":
			rest, refusal = r.readInputs(m.Value, rest, how)
		case "outputs":
			refusal = r.readOutputs(m.Value)
		default:
			refusal = invalid("", "unknown_parameter", "unknown member")
		}
		if refusal != nil {
			return nil, refusal.of(clip(m.Key, maxParam))
		}
	}
	if len(rest) > 0 {
		return nil, invalid("", "invalid_value", "%d bytes follow the last binary tensor", len(rest))
	}
	if len(r.inputs) == 0 {
		return nil, missing("inputs")
	}
	return r, nil
}

// readTimeout reads the "timeout" of parameters.
func (r *inferRequest) readTimeout(v strictjson.Value) *apiError {
	members, _ := v.Object()
	for _, m := range members {
		if m.Key == "timeout" {
			of := &request{}
			if err := readMicroseconds(of, m.Value); err != nil {
				return err
			}
			r.timeouts = of.timeouts
		}
	}
	return nil
}

// isTrue tells whether an object has a true member.
func isTrue(v strictjson.Value, key string) bool {
	members, _ := v.Object()
	for _, m := range members {
		if b, ok := m.Value.Bool(); m.Key == key && ok {
			return b
		}
	}
	return false
}

func (r *inferRequest) readOutputs(v strictjson.Value) *apiError {
	list, ok := v.Array()
	if !ok {
		return wrongType(v, "an array")
	}
	r.outputs = map[string]bool{}
	for _, one := range list {
		members, ok := one.Object()
		if !ok {
			return wrongType(one, "an array of objects")
		}
		name, binary := "", false
		for _, m := range members {
			switch m.Key {
			case "name":
				name, _ = m.Value.Text()
			case "parameters":
				binary = isTrue(m.Value, "binary_data")
			}
		}
		r.outputs[name] = binary
	}
	return nil
}

// readInputs reads tensors; those in binary take their bytes from the front of rest.
func (r *inferRequest) readInputs(v strictjson.Value, rest []byte, how reading) ([]byte, *apiError) {
	list, ok := v.Array()
	if !ok {
		return rest, wrongType(v, "an array")
	}
	if len(list) > maxTensors {
		return rest, invalid("", "array_above_max_length", "must have at most %d tensors", maxTensors)
	}
	for _, one := range list {
		t, left, err := readTensor(one, rest, how)
		if err != nil {
			return rest, err
		}
		r.inputs, rest = append(r.inputs, t), left
	}
	return rest, nil
}

func readTensor(v strictjson.Value, rest []byte, how reading) (t tensor, left []byte, refusal *apiError) {
	members, ok := v.Object()
	if !ok {
		return t, rest, wrongType(v, "an array of objects")
	}
	var data strictjson.Value
	size := int64(-1)
	for _, m := range members {
		switch m.Key {
		case "name":
			t.name, _ = m.Value.Text()
		case "datatype":
			t.datatype, _ = m.Value.Text()
		case "shape":
			if t.shape, refusal = readShape(m.Value, how.most); refusal != nil {
				return t, rest, refusal
			}
		case "data":
			data = m.Value
		case "parameters":
			given, _ := m.Value.Object()
			for _, p := range given {
				if p.Key == "binary_data_size" {
					if size, ok = p.Value.Int(); !ok || size < 0 || size > int64(len(rest)) {
						return t, rest, invalid("", "invalid_value", "tensor %.64q: binary_data_size is not a number of bytes that follow", t.name)
					}
				}
			}
		}
	}
	if !how.knows(t.datatype) || t.name == "" {
		return t, rest, invalid("", "invalid_value", "tensor %.64q: datatype %.32q is not known, or there is no name", t.name, t.datatype)
	}
	switch {
	case size >= 0:
		refusal = how.make(&t, nil, rest[:size], true)
		rest = rest[size:]
	case data == nil:
		refusal = invalid("", "invalid_value", "neither data nor binary_data_size")
	default:
		var list []strictjson.Value
		if list, refusal = flatten(nil, data, 0, int(how.most)); refusal == nil {
			refusal = how.make(&t, list, nil, false)
		}
	}
	if refusal != nil {
		refusal.message = "tensor " + strconv.Quote(clip(t.name, maxParam)) + ": " + refusal.message
	}
	return t, rest, refusal
}

// Bounds of tensors.
const (
	maxTensors  = 64      // of a request
	maxRank     = 8       // sizes of a shape
	maxElements = 1 << 16 // of a tensor
)

func readShape(v strictjson.Value, most int64) (shape []int64, refusal *apiError) {
	list, ok := v.Array()
	if !ok || len(list) > maxRank {
		return nil, invalid("", "invalid_value", "shape: must be an array of at most %d sizes", maxRank)
	}
	for _, one := range list {
		n, ok := one.Int()
		if !ok || n < 0 || n > most {
			return nil, invalid("", "invalid_value", "shape: %.32s is not a size from 0 to %d", one, most)
		}
		shape = append(shape, n)
	}
	return shape, nil
}

// flatten returns the elements of data, flat or nested as the shape is.
func flatten(to []strictjson.Value, v strictjson.Value, depth, most int) ([]strictjson.Value, *apiError) {
	const deepest = 8
	list, ok := v.Array()
	switch {
	case !ok && depth == 0:
		return nil, wrongType(v, "an array")
	case !ok:
		return append(to, v), nil
	case depth > deepest || len(to)+len(list) > most:
		return nil, invalid("", "invalid_value", "data is nested too deeply, or has more than %d elements", most)
	}
	for _, one := range list {
		var refusal *apiError
		if to, refusal = flatten(to, one, depth+1, most); refusal != nil {
			return nil, refusal
		}
	}
	return to, nil
}

// fromBinary returns the elements of a binary tensor as JSON values. Texts have their length before them, in four bytes; all is little-endian.
func fromBinary(datatype string, data []byte) (list []strictjson.Value, refusal *apiError) {
	size := elementSizes[datatype]
	for len(data) > 0 {
		if len(list) == maxElements {
			return nil, invalid("", "invalid_value", "more than %d elements", maxElements)
		}
		if datatype == "BYTES" {
			if len(data) < 4 || uint64(binary.LittleEndian.Uint32(data)) > uint64(len(data)-4) {
				return nil, invalid("", "invalid_value", "element %d is cut off", len(list))
			}
			n := int(binary.LittleEndian.Uint32(data))
			text := data[4:][:n]
			if !utf8.Valid(text) {
				return nil, invalid("", "invalid_value", "element %d is not UTF-8", len(list))
			}
			list, data = append(list, appendQuoted(nil, string(text))), data[4+n:]
			continue
		}
		if len(data) < size {
			return nil, invalid("", "invalid_value", "element %d is cut off", len(list))
		}
		list, data = append(list, jsonOf(datatype, data[:size])), data[size:]
	}
	return list, nil
}

// jsonOf is an element as JSON; numbers that JSON has not are null.
func jsonOf(datatype string, data []byte) strictjson.Value {
	var wide [8]byte
	copy(wide[:], data)
	bits := binary.LittleEndian.Uint64(wide[:])
	shift := 64 - 8*len(data)
	switch datatype {
	case "BOOL":
		return strconv.AppendBool(nil, bits != 0)
	case "FP32", "FP64":
		f := math.Float64frombits(bits)
		if datatype == "FP32" {
			f = float64(math.Float32frombits(uint32(bits)))
		}
		if f-f != 0 {
			return strictjson.Value("null")
		}
		return strconv.AppendFloat(nil, f, 'g', -1, 64)
	case "UINT8", "UINT16", "UINT32", "UINT64":
		return strconv.AppendUint(nil, bits, 10)
	}
	return strconv.AppendInt(nil, int64(bits<<shift)>>shift, 10)
}
