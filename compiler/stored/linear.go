package stored

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"llmc/compiler/hf"
	"llmc/internal/dtype"
)

// linear is the parts of one module while they are read.
type linear struct {
	c     *hf.Checkpoint
	name  string // of the module, with a dot behind it
	first *hf.Tensor
	parts []*hf.Tensor
	err   error
}

// linears calls read for each module that has the part called suffix, in order of their names.
func linears(c *hf.Checkpoint, suffix string, read func(l *linear) error) error {
	for _, name := range c.Names() {
		module, ok := strings.CutSuffix(name, "."+suffix)
		if !ok {
			continue
		}
		l := &linear{c: c, name: module + "."}
		l.first = l.optional(suffix)
		if err := read(l); err != nil {
			return err
		}
	}
	return nil
}

// optional returns a part, nil when there is none.
func (l *linear) optional(part string) *hf.Tensor {
	t := l.c.Lookup(l.name + part)
	if t != nil {
		l.parts = append(l.parts, t)
	}
	return t
}

// part returns a part that must be there with one of the element types and the shape. After a problem it returns nil, and l.err says what it is.
func (l *linear) part(part string, types []dtype.Type, shapes ...[]int64) *hf.Tensor {
	t := l.optional(part)
	if t == nil {
		if l.err == nil {
			l.err = l.first.Errorf("its %s%s is missing", l.name, part)
		}
		return nil
	}
	l.check(t, types, shapes...)
	if l.err != nil {
		return nil
	}
	return t
}

// check holds a part to its types, and to one of several shapes.
func (l *linear) check(t *hf.Tensor, types []dtype.Type, shapes ...[]int64) {
	switch {
	case t == nil || l.err != nil:
	case !slices.Contains(types, t.DType):
		var names []string
		for _, d := range types {
			names = append(names, d.Safetensors())
		}
		l.err = t.Errorf("holds %.20s; in this format it must be %s", t.Stored, strings.Join(names, " or "))
	case !slices.ContainsFunc(shapes, func(s []int64) bool { return slices.Equal(s, t.Shape) }):
		l.err = t.Errorf("has shape %v; with %s %v it must be %v", t.Shape, l.first.Name, l.first.Shape, shapes[0])
	}
}

// matrix tells whether the first part has rows and columns, all at least one.
func (l *linear) matrix() (rows, cols int64, ok bool) {
	t := l.first
	if len(t.Shape) != 2 || t.Shape[0] < 1 || t.Shape[1] < 1 || t.Shape[0] > maxSide || t.Shape[1] > maxSide {
		l.err = t.Errorf("has shape %v instead of that of a matrix", t.Shape)
		return 0, 0, false
	}
	return t.Shape[0], t.Shape[1], true
}

// maxSide keeps products of sizes far below 2^63.
const maxSide = 1 << 28

var (
	words  = []dtype.Type{dtype.I32}
	bytes8 = []dtype.Type{dtype.I8}
	floats = []dtype.Type{dtype.F16, dtype.BF16, dtype.F32}
	e4m3   = []dtype.Type{dtype.F8E4M3}
	octets = []dtype.Type{dtype.U8}
)

// readWords reads columns [left, right) of rows [lo, hi) of 32-bit words.
func readWords(t *hf.Tensor, lo, hi, left, right int64) ([]uint32, error) {
	raw := make([]byte, (hi-lo)*(right-left)*4)
	if err := t.ReadBlock(raw, lo, hi, left, right); err != nil {
		return nil, err
	}
	out := make([]uint32, len(raw)/4)
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(raw[4*i:])
	}
	return out, nil
}

// readFloats reads columns [left, right) of rows [lo, hi) of plain numbers.
func readFloats(dst []float32, t *hf.Tensor, lo, hi, left, right int64) error {
	if left == 0 && right == t.Cols() {
		return t.ReadRows(dst, lo, hi)
	}
	raw := make([]byte, len(dst)*t.DType.Size())
	if err := t.ReadBlock(raw, lo, hi, left, right); err != nil {
		return err
	}
	number := numbers[t.DType]
	size := t.DType.Size()
	for i := range dst {
		dst[i] = number(raw[i*size:])
	}
	return nil
}

var numbers = map[dtype.Type]func(b []byte) float32{
	dtype.F32:  func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) },
	dtype.F16:  func(b []byte) float32 { return dtype.F16ToF32(binary.LittleEndian.Uint16(b)) },
	dtype.BF16: func(b []byte) float32 { return dtype.BF16ToF32(binary.LittleEndian.Uint16(b)) },
}

// transpose makes dst[c*rows+r] of src[r*cols+c].
func transpose[T any](dst, src []T, rows, cols int64) {
	for r := range rows {
		for c, v := range src[r*cols : (r+1)*cols] {
			dst[int64(c)*rows+r] = v
		}
	}
}

func ceilDiv(n, d int64) int64 { return (n + d - 1) / d }
