package ptx

// Type is what a register holds. It decides the register class, which instructions accept the register and which
// suffix an instruction gets. Types that PTX does not know (pointers, packed fp8) are checked here and printed as bits.
type Type uint8

// Register types. Global and Shared are addresses of a state space: 64 and 32 bits.
const (
	None Type = iota
	Pred
	B16
	B32
	B64
	U8 // U8 and S8 exist in memory only: they load into 32-bit registers
	S8
	U16
	S16
	U32
	S32
	U64
	S64
	F16
	BF16
	F32
	F64
	F16x2
	BF16x2
	TF32
	E4M3x2
	E5M2x2
	E4M3x4
	E5M2x4
	S8x4
	U8x4
	Generic
	Global
	Shared
)

type kind uint8

const (
	bits kind = iota
	unsigned
	signed
	float
	packed
	pointer
	predicate
)

type class uint8

const (
	classPred class = iota
	class16
	class32
	class64
	classCount
)

// classes are the register files of PTX: prefix of the names and declared type. Every register is declared with bits,
// so that a view of other type (Builder.As) needs no instruction.
var classes = [classCount]struct {
	prefix, decl string
	words        int // 32-bit registers of the machine
}{
	classPred: {"%p", ".pred", 0},
	class16:   {"%h", ".b16", 1},
	class32:   {"%r", ".b32", 1},
	class64:   {"%rd", ".b64", 2},
}

// types is indexed by Type. arith is the suffix in arithmetic instructions, bitsName in moves and memory accesses.
var types = [...]struct {
	name   string
	bits   int
	kind   kind
	class  class
	arith  string
	inBits string
}{
	None:    {name: "none"},
	Pred:    {"pred", 1, predicate, classPred, "pred", "pred"},
	B16:     {"b16", 16, bits, class16, "b16", "b16"},
	B32:     {"b32", 32, bits, class32, "b32", "b32"},
	B64:     {"b64", 64, bits, class64, "b64", "b64"},
	U8:      {"u8", 8, unsigned, class32, "u8", "u8"},
	S8:      {"s8", 8, signed, class32, "s8", "s8"},
	U16:     {"u16", 16, unsigned, class16, "u16", "b16"},
	S16:     {"s16", 16, signed, class16, "s16", "b16"},
	U32:     {"u32", 32, unsigned, class32, "u32", "b32"},
	S32:     {"s32", 32, signed, class32, "s32", "b32"},
	U64:     {"u64", 64, unsigned, class64, "u64", "b64"},
	S64:     {"s64", 64, signed, class64, "s64", "b64"},
	F16:     {"f16", 16, float, class16, "f16", "b16"},
	BF16:    {"bf16", 16, float, class16, "bf16", "b16"},
	F32:     {"f32", 32, float, class32, "f32", "b32"},
	F64:     {"f64", 64, float, class64, "f64", "b64"},
	F16x2:   {"f16x2", 32, packed, class32, "f16x2", "b32"},
	BF16x2:  {"bf16x2", 32, packed, class32, "bf16x2", "b32"},
	TF32:    {"tf32", 32, packed, class32, "tf32", "b32"},
	E4M3x2:  {"e4m3x2", 16, packed, class16, "e4m3x2", "b16"},
	E5M2x2:  {"e5m2x2", 16, packed, class16, "e5m2x2", "b16"},
	E4M3x4:  {"e4m3x4", 32, packed, class32, "e4m3", "b32"},
	E5M2x4:  {"e5m2x4", 32, packed, class32, "e5m2", "b32"},
	S8x4:    {"s8x4", 32, packed, class32, "s32", "b32"},
	U8x4:    {"u8x4", 32, packed, class32, "u32", "b32"},
	Generic: {"generic", 64, pointer, class64, "u64", "b64"},
	Global:  {"global", 64, pointer, class64, "u64", "b64"},
	Shared:  {"shared", 32, pointer, class32, "u32", "b32"},
}

func (t Type) String() string { return types[t].name }

// Bits is the width of a value of the type: what it takes in memory, 1 for predicates.
func (t Type) Bits() int { return types[t].bits }

// Bytes is the width of the type in memory.
func (t Type) Bytes() int { return types[t].bits / 8 }

func (t Type) kind() kind     { return types[t].kind }
func (t Type) class() class   { return types[t].class }
func (t Type) arith() string  { return types[t].arith }
func (t Type) inBits() string { return types[t].inBits }
func (t Type) isFloat() bool  { return t.kind() == float || t == F16x2 || t == BF16x2 }
func (t Type) isInteger() bool {
	return t.kind() == unsigned || t.kind() == signed || t.kind() == pointer
}

// space is the state space that an address of the type points to.
func (t Type) space() string {
	switch t {
	case Global:
		return "global"
	case Shared:
		return "shared"
	}
	return ""
}

var typesByName = func() map[string]Type {
	m := map[string]Type{}
	for t := range types {
		m[types[t].name] = Type(t)
	}
	return m
}()

// accepts tells whether an operand position of type want takes a register of type have. Bits take everything of their
// width; plain bits stand for packed values but not for numbers, so a number never changes its meaning unseen.
func (want Type) accepts(have Type) bool {
	switch {
	case want == have:
		return true
	case want.kind() == bits:
		return have != Pred && have.class() == want.class()
	case have.kind() == bits:
		return want.kind() == packed && have.Bits() == want.Bits()
	case want == U64:
		return have == Global || have == Generic
	case want == U32:
		return have == Shared
	}
	return false
}
