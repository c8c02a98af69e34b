package ensemble

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"llmc/runtime/server/inference"
)

// elementWriters make bytes of typed contents.
var elementWriters = map[string]func(*inference.InferTensorContents) []byte{
	"BOOL": func(c *inference.InferTensorContents) []byte {
		return written(c.GetBoolContents(), func(dst []byte, x bool) []byte {
			if x {
				return append(dst, 1)
			}
			return append(dst, 0)
		})
	},
	"INT8": func(c *inference.InferTensorContents) []byte {
		return written(c.GetIntContents(), func(dst []byte, x int32) []byte { return append(dst, byte(x)) })
	},
	"UINT8": func(c *inference.InferTensorContents) []byte {
		return written(c.GetUintContents(), func(dst []byte, x uint32) []byte { return append(dst, byte(x)) })
	},
	"INT16": func(c *inference.InferTensorContents) []byte {
		return written(c.GetIntContents(), func(dst []byte, x int32) []byte { return binary.LittleEndian.AppendUint16(dst, uint16(x)) })
	},
	"UINT16": func(c *inference.InferTensorContents) []byte {
		return written(c.GetUintContents(), func(dst []byte, x uint32) []byte { return binary.LittleEndian.AppendUint16(dst, uint16(x)) })
	},
	"INT32": func(c *inference.InferTensorContents) []byte {
		return written(c.GetIntContents(), func(dst []byte, x int32) []byte { return binary.LittleEndian.AppendUint32(dst, uint32(x)) })
	},
	"UINT32": func(c *inference.InferTensorContents) []byte {
		return written(c.GetUintContents(), binary.LittleEndian.AppendUint32)
	},
	"INT64": func(c *inference.InferTensorContents) []byte {
		return written(c.GetInt64Contents(), func(dst []byte, x int64) []byte { return binary.LittleEndian.AppendUint64(dst, uint64(x)) })
	},
	"UINT64": func(c *inference.InferTensorContents) []byte {
		return written(c.GetUint64Contents(), binary.LittleEndian.AppendUint64)
	},
	"FP32": func(c *inference.InferTensorContents) []byte {
		return written(c.GetFp32Contents(), func(dst []byte, x float32) []byte { return binary.LittleEndian.AppendUint32(dst, math.Float32bits(x)) })
	},
	"FP64": func(c *inference.InferTensorContents) []byte {
		return written(c.GetFp64Contents(), func(dst []byte, x float64) []byte { return binary.LittleEndian.AppendUint64(dst, math.Float64bits(x)) })
	},
}

func written[T any](values []T, write func([]byte, T) []byte) []byte {
	dst := []byte{}
	for _, x := range values {
		dst = write(dst, x)
	}
	return dst
}

// FromJSON reads a tensor whose elements are JSON values: numbers, booleans or strings.
func FromJSON(datatype string, shape []int64, elements []json.RawMessage) (*Tensor, error) {
	n, err := Count(shape)
	if err != nil {
		return nil, err
	}
	if int64(len(elements)) != n {
		return nil, fmt.Errorf("%d elements, shape %v has %d", len(elements), shape, n)
	}
	t := &Tensor{Type: datatype, Shape: shape}
	for i, e := range elements {
		if err := t.appendJSON(e); err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return t, nil
}

// appendJSON appends one element.
func (t *Tensor) appendJSON(e json.RawMessage) error {
	bits := int(8 * sizes[t.Type])
	switch t.Type {
	case "BYTES":
		var text *string
		if err := json.Unmarshal(e, &text); err != nil || text == nil {
			return fmt.Errorf("%.32s is no string", e)
		}
		t.Texts = append(t.Texts, *text)
		return nil
	case "BOOL":
		if string(e) != "true" && string(e) != "false" {
			return fmt.Errorf("%.32s is neither true nor false", e)
		}
		t.Raw = append(t.Raw, map[string]byte{"true": 1, "false": 0}[string(e)])
		return nil
	case "FP32", "FP64":
		x, err := strconv.ParseFloat(string(e), bits)
		if err != nil {
			return fmt.Errorf("%.32s is no number of %s", e, t.Type)
		}
		if bits == 32 {
			t.Raw = binary.LittleEndian.AppendUint32(t.Raw, math.Float32bits(float32(x)))
		} else {
			t.Raw = binary.LittleEndian.AppendUint64(t.Raw, math.Float64bits(x))
		}
		return nil
	case "FP16", "BF16":
		return fmt.Errorf("%s is sent as binary data alone", t.Type)
	}
	var whole uint64
	if i, err := strconv.ParseInt(string(e), 10, bits); err == nil && t.Type[0] == 'I' {
		whole = uint64(i)
	} else if u, err := strconv.ParseUint(string(e), 10, bits); err == nil && t.Type[0] == 'U' {
		whole = u
	} else {
		return fmt.Errorf("%.32s is no number of %s", e, t.Type)
	}
	var bytes [8]byte
	binary.LittleEndian.PutUint64(bytes[:], whole)
	t.Raw = append(t.Raw, bytes[:bits/8]...)
	return nil
}

// Element appends an element as JSON. Numbers that JSON has not are null; of FP16 and BF16 there are none.
func (t *Tensor) Element(dst []byte, i int64) []byte {
	if t.Type == "BYTES" {
		text, err := json.Marshal(t.Texts[i])
		if err != nil {
			panic(err) // strings can be encoded
		}
		return append(dst, text...)
	}
	size := sizes[t.Type]
	var wide [8]byte
	copy(wide[:], t.Raw[i*size:(i+1)*size])
	bits := binary.LittleEndian.Uint64(wide[:])
	switch {
	case t.Type == "BOOL":
		return strconv.AppendBool(dst, bits != 0)
	case t.Type == "FP32":
		return appendFloat(dst, float64(math.Float32frombits(uint32(bits))), 32)
	case t.Type == "FP64":
		return appendFloat(dst, math.Float64frombits(bits), 64)
	case t.Type[0] == 'U':
		return strconv.AppendUint(dst, bits, 10)
	case t.Type[0] == 'I':
		shift := 64 - 8*size
		return strconv.AppendInt(dst, int64(bits<<shift)>>shift, 10)
	}
	return append(dst, "null"...)
}

func appendFloat(dst []byte, x float64, bits int) []byte {
	if x-x != 0 {
		return append(dst, "null"...)
	}
	return strconv.AppendFloat(dst, x, 'g', -1, bits)
}

// Plain tells whether JSON can hold the elements.
func (t *Tensor) Plain() bool { return t.Type != "FP16" && t.Type != "BF16" }
