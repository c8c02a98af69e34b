// Package dtype names the element types of tensors and converts between them.
// It owns sizes, names and scalar conversions; it knows nothing of shapes or storage layouts.
package dtype

import "fmt"

// Type is an element type.
type Type uint8

// The element types. U4 packs two codes in a byte.
const (
	Invalid Type = iota
	F32
	F16
	BF16
	F8E4M3
	F8E5M2
	I64
	I32
	I16
	I8
	U8
	U4
	Bool
	F64
)

// rows is indexed by Type. safetensors is the name in a safetensors header, "" where that format has none.
var rows = [...]struct {
	name        string
	safetensors string
	bits        int
}{
	Invalid: {"invalid", "", 0},
	F32:     {"f32", "F32", 32},
	F16:     {"f16", "F16", 16},
	BF16:    {"bf16", "BF16", 16},
	F8E4M3:  {"f8e4m3", "F8_E4M3", 8},
	F8E5M2:  {"f8e5m2", "F8_E5M2", 8},
	I64:     {"i64", "I64", 64},
	I32:     {"i32", "I32", 32},
	I16:     {"i16", "I16", 16},
	I8:      {"i8", "I8", 8},
	U8:      {"u8", "U8", 8},
	U4:      {"u4", "", 4},
	Bool:    {"bool", "BOOL", 8},
	F64:     {"f64", "F64", 64},
}

func (t Type) valid() bool { return t > Invalid && int(t) < len(rows) }

// String returns the name used in IR text, plans and messages.
func (t Type) String() string {
	if int(t) >= len(rows) {
		return fmt.Sprintf("dtype(%d)", uint8(t))
	}
	return rows[t].name
}

// Bits returns the size of one element in bits, 0 for Invalid.
func (t Type) Bits() int {
	if !t.valid() {
		return 0
	}
	return rows[t].bits
}

// Size returns the size of one element in whole bytes, 0 for types smaller than a byte.
func (t Type) Size() int { return t.Bits() / 8 }

// IsFloat tells whether t holds floating point numbers.
func (t Type) IsFloat() bool {
	switch t {
	case F32, F16, BF16, F8E4M3, F8E5M2, F64:
		return true
	}
	return false
}

// Parse returns the type named by String.
func Parse(name string) (Type, error) {
	for i, r := range rows {
		if i > 0 && r.name == name {
			return Type(i), nil
		}
	}
	return Invalid, fmt.Errorf("unknown dtype %q", name)
}

// FromSafetensors returns the type that a safetensors header calls name.
func FromSafetensors(name string) (Type, error) {
	for i, r := range rows {
		if i > 0 && name != "" && r.safetensors == name {
			return Type(i), nil
		}
	}
	return Invalid, fmt.Errorf("unsupported safetensors dtype %q", name)
}

// Safetensors returns the name of t in a safetensors header, "" if it has none.
func (t Type) Safetensors() string {
	if !t.valid() {
		return ""
	}
	return rows[t].safetensors
}
