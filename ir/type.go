package ir

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// Type is what is known of a value before it is computed.
type Type struct {
	DType dtype.Type // Invalid for a cache token
	Dims  []sym.Dim
	// Quant names the format of codes and scales: "int8", "fp8", "int4.g32" for weights, "q16t", "q16g.g32", "q8t", "s8t", "e4m3t", "e4m3g.g128" for activations; "" for plain numbers.
	Quant string
	// Layout names the order of bytes in storage; "" is row-major.
	Layout string
	// Cache is the cache whose state a token stands for.
	Cache string
}

// Tensor returns the plain type dt[dims...].
func Tensor(dt dtype.Type, dims ...sym.Dim) Type { return Type{DType: dt, Dims: dims} }

// F32 returns the type of activations: f32[rows, cols].
func F32(rows sym.Dim, cols int64) Type { return Tensor(dtype.F32, rows, sym.Const(cols)) }

// I32 returns the type of one index per row: i32[rows].
func I32(rows sym.Dim) Type { return Tensor(dtype.I32, rows) }

// Token returns the type of tokens of the cache called name.
func Token(name string) Type { return Type{Cache: name} }

// IsToken tells whether the value is a cache token.
func (t Type) IsToken() bool { return t.Cache != "" }

// Rank returns the number of dims.
func (t Type) Rank() int { return len(t.Dims) }

// Rows returns the first dim, 1 for a scalar.
func (t Type) Rows() sym.Dim {
	if len(t.Dims) == 0 {
		return sym.Const(1)
	}
	return t.Dims[0]
}

// Cols returns the product of the dims after the first; ok is false when one is symbolic or the product is absurd.
func (t Type) Cols() (cols int64, ok bool) {
	cols = 1
	for i := 1; i < len(t.Dims); i++ {
		n, isConst := t.Dims[i].IsConst()
		if !isConst || n < 0 || n != 0 && cols > maxElements/n {
			return 0, false
		}
		cols *= n
	}
	return cols, true
}

// Matrix returns the rows and columns of a type without symbols as weights are stored: a stack of matrices [E,N,K] is one of E*N rows, others
// have the rows of their first dim.
func (t Type) Matrix() (rows, cols int64, ok bool) {
	rows, isConst := t.Rows().IsConst()
	cols, ok = t.Cols()
	if !isConst || !ok || len(t.Dims) < 3 {
		return rows, cols, isConst && ok
	}
	last, _ := t.Dims[len(t.Dims)-1].IsConst()
	return rows * (cols / last), last, true
}

// Elements returns the number of elements of a type without symbols.
func (t Type) Elements() (n int64, ok bool) {
	rows, isConst := t.Rows().IsConst()
	cols, ok := t.Cols()
	if !isConst || !ok || rows < 0 || cols != 0 && rows > maxElements/cols {
		return 0, false
	}
	return rows * cols, true
}

// Equal compares all parts.
func (t Type) Equal(u Type) bool {
	return t.DType == u.DType && slices.Equal(t.Dims, u.Dims) && t.Quant == u.Quant && t.Layout == u.Layout && t.Cache == u.Cache
}

// String prints "bf16[T,64]", "u4[64,64]:int4.g32@u4.g32" (quant after the colon, layout after the at sign), "kv[cache]".
func (t Type) String() string {
	if t.IsToken() {
		return "kv[" + t.Cache + "]"
	}
	var b strings.Builder
	b.WriteString(t.DType.String())
	b.WriteByte('[')
	for i, d := range t.Dims {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(d.String())
	}
	b.WriteByte(']')
	if t.Quant != "" {
		b.WriteString(":" + t.Quant)
	}
	if t.Layout != "" {
		b.WriteString("@" + t.Layout)
	}
	return b.String()
}

// Bounds that keep sizes of verified modules well inside 64 bits: a dim, and the elements of a tensor.
const (
	maxDim      = 1 << 31
	maxElements = 1 << 48
	maxRank     = 4
)

func (t Type) check() error {
	if t.IsToken() {
		if t.DType != dtype.Invalid || len(t.Dims) > 0 || t.Quant != "" || t.Layout != "" {
			return fmt.Errorf("a token of cache %q has no dtype, dims, format or layout", t.Cache)
		}
		return nil
	}
	if t.DType.Bits() == 0 {
		return fmt.Errorf("type %v has no dtype", t)
	}
	if len(t.Dims) == 0 || len(t.Dims) > maxRank {
		return fmt.Errorf("type %v: rank must be within 1..%d", t, maxRank)
	}
	cols := int64(1)
	for i, d := range t.Dims {
		biggest := d.K
		for _, c := range d.Coef {
			biggest = max(biggest, c)
			if c < 0 {
				return fmt.Errorf("type %v: dim %v is negative", t, d)
			}
		}
		if d.K < 0 || biggest < 1 || biggest > maxDim {
			return fmt.Errorf("type %v: dim %v must be within 1..%d", t, d, int64(maxDim))
		}
		if cols > maxElements/biggest {
			return fmt.Errorf("type %v: more than %d elements", t, int64(maxElements))
		}
		cols *= biggest
		if _, isConst := d.IsConst(); i > 0 && !isConst {
			return fmt.Errorf("type %v: only the first dim may be symbolic", t)
		}
	}
	if t.Quant != "" && !validName(t.Quant) || t.Layout != "" && !validName(t.Layout) {
		return fmt.Errorf("type %v: bad format or layout name", t)
	}
	return nil
}

// QuantName returns the name of a format that has one scale (or sum) per group elements of a row: "int4", 32 gives
// "int4.g32". Group 0 is the whole row and leaves the name as it is.
func QuantName(base string, group int64) string {
	if group == 0 {
		return base
	}
	return base + ".g" + strconv.FormatInt(group, 10)
}

// SplitQuant undoes QuantName.
func SplitQuant(name string) (base string, group int64) {
	i := strings.LastIndex(name, ".g")
	if i < 0 {
		return name, 0
	}
	g, err := strconv.ParseInt(name[i+2:], 10, 32)
	if err != nil || g < 1 || QuantName(name[:i], g) != name {
		return name, 0
	}
	return name[:i], g
}
