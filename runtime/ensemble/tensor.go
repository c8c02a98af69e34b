package ensemble

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Tensor is a value between steps. It does not change once it is made: several steps may read it.
type Tensor struct {
	Type  string  // of KServe v2: BYTES, FP32, INT64 ..
	Shape []int64 // sizes, none below 0
	Texts []string
	Raw   []byte // elements, little-endian; of BYTES nil, they are Texts
}

// sizes are the bytes of an element; BYTES have none of their own.
var sizes = map[string]int64{
	"BOOL": 1, "UINT8": 1, "INT8": 1, "UINT16": 2, "INT16": 2, "FP16": 2, "BF16": 2, "UINT32": 4, "INT32": 4, "FP32": 4, "UINT64": 8, "INT64": 8, "FP64": 8, "BYTES": 0,
}

// IsType tells whether KServe v2 has a datatype of the name.
func IsType(name string) bool { _, known := sizes[name]; return known }

// Bounds of tensors.
const (
	MaxRank  = 8
	maxElems = 1 << 28 // of a tensor, so that products of sizes can not overflow
	perText  = 16      // bytes that an element of BYTES is counted as beside its text
)

// Count is the number of elements of a shape.
func Count(shape []int64) (int64, error) {
	if len(shape) > MaxRank {
		return 0, fmt.Errorf("shape %v: at most %d sizes", shape, MaxRank)
	}
	n := int64(1)
	for _, size := range shape {
		if size < 0 || size > maxElems {
			return 0, fmt.Errorf("shape %v: %d is no size from 0 to %d", shape, size, maxElems)
		}
		if n *= size; n > maxElems {
			return 0, fmt.Errorf("shape %v: more than %d elements", shape, maxElems)
		}
	}
	return n, nil
}

// FromRaw reads a tensor of bytes as KServe's binary extension has them: little-endian, texts behind their lengths in four bytes. It keeps raw.
func FromRaw(datatype string, shape []int64, raw []byte) (*Tensor, error) {
	size, known := sizes[datatype]
	if !known {
		return nil, fmt.Errorf("datatype %.32q is not known", datatype)
	}
	n, err := Count(shape)
	if err != nil {
		return nil, err
	}
	t := &Tensor{Type: datatype, Shape: slices.Clone(shape)}
	if datatype != "BYTES" {
		if int64(len(raw)) != n*size {
			return nil, fmt.Errorf("%d bytes, shape %v of %s has %d", len(raw), shape, datatype, n*size)
		}
		t.Raw = raw
		return t, nil
	}
	for len(raw) > 0 {
		if len(raw) < 4 || uint64(binary.LittleEndian.Uint32(raw)) > uint64(len(raw)-4) {
			return nil, fmt.Errorf("element %d is cut off", len(t.Texts))
		}
		length := int(binary.LittleEndian.Uint32(raw))
		t.Texts, raw = append(t.Texts, string(raw[4:][:length])), raw[4+length:]
		if int64(len(t.Texts)) > n {
			break
		}
	}
	if int64(len(t.Texts)) != n {
		return nil, fmt.Errorf("%d elements, shape %v has %d", len(t.Texts), shape, n)
	}
	return t, nil
}

// AppendRaw appends the elements as FromRaw reads them.
func (t *Tensor) AppendRaw(dst []byte) []byte {
	for _, text := range t.Texts {
		dst = append(binary.LittleEndian.AppendUint32(dst, uint32(len(text))), text...)
	}
	return append(dst, t.Raw...)
}

// Len is the number of elements.
func (t *Tensor) Len() int64 {
	if t.Type == "BYTES" {
		return int64(len(t.Texts))
	}
	return int64(len(t.Raw)) / sizes[t.Type]
}

// Bytes is the memory that a tensor takes.
func (t *Tensor) Bytes() int64 {
	n := int64(len(t.Raw)) + perText*int64(len(t.Texts))
	for _, text := range t.Texts {
		n += int64(len(text))
	}
	return n
}

// Of makes a tensor of texts.
func Of(shape []int64, texts ...string) *Tensor {
	return &Tensor{Type: "BYTES", Shape: shape, Texts: texts}
}

// Floats makes a tensor of FP32.
func Floats(shape []int64, values []float32) *Tensor {
	raw := make([]byte, 0, 4*len(values))
	for _, x := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return &Tensor{Type: "FP32", Shape: shape, Raw: raw}
}

// Ints makes a tensor of INT64.
func Ints(shape []int64, values []int64) *Tensor {
	raw := make([]byte, 0, 8*len(values))
	for _, x := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(x))
	}
	return &Tensor{Type: "INT64", Shape: shape, Raw: raw}
}

// Float32s are the elements of FP32.
func (t *Tensor) Float32s() []float32 {
	values := make([]float32, len(t.Raw)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Raw[4*i:]))
	}
	return values
}

// Int64s are the elements of INT32 or INT64.
func (t *Tensor) Int64s() []int64 {
	size := int(sizes[t.Type])
	values := make([]int64, len(t.Raw)/size)
	for i := range values {
		if size == 4 {
			values[i] = int64(int32(binary.LittleEndian.Uint32(t.Raw[4*i:])))
		} else {
			values[i] = int64(binary.LittleEndian.Uint64(t.Raw[8*i:]))
		}
	}
	return values
}

// rows is the first size of a tensor, and the elements of each of them. A tensor without sizes is one row.
func (t *Tensor) rows() (n, width int64) {
	if len(t.Shape) == 0 {
		return 1, 1
	}
	if n = t.Shape[0]; n == 0 {
		return 0, 0
	}
	return n, t.Len() / n
}

// take makes a tensor of some rows, which may be taken more than once.
func (t *Tensor) take(indices []int64) (*Tensor, error) {
	n, width := t.rows()
	taken := &Tensor{Type: t.Type, Shape: append([]int64{int64(len(indices))}, t.Shape[min(1, len(t.Shape)):]...)}
	step := width * sizes[t.Type]
	for _, i := range indices {
		if i < 0 || i >= n {
			return nil, fmt.Errorf("index %d is outside of %d rows", i, n)
		}
		if t.Type == "BYTES" {
			taken.Texts = append(taken.Texts, t.Texts[i*width:(i+1)*width]...)
		} else {
			taken.Raw = append(taken.Raw, t.Raw[i*step:(i+1)*step]...)
		}
	}
	return taken, nil
}
