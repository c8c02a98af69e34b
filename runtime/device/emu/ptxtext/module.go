// Package ptxtext reads the text form of PTX into a syntax tree. It owns the grammar of PTX modules (PTX ISA, chapters "Syntax"
// and "State Spaces, Types, and Variables") and nothing of the meaning of instructions: opcodes stay words, names stay unresolved.
// The text is untrusted: size, nesting and counts are bounded, and every error names line and column.
package ptxtext

import (
	"fmt"
	"strings"
)

// Pos is a place in the text, counted from 1.
type Pos struct{ Line, Col int }

// Error is a fault in the text.
type Error struct {
	Pos
	Msg string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Col, e.Msg) }

// Module is one PTX file.
type Module struct {
	Version     Version
	Target      string // sm_80, sm_90a, ...; further words of .target are options of debuggers and texture modes
	AddressSize int
	Vars        []*Var
	Funcs       []*Func
}

// Version is the PTX ISA version of a module.
type Version struct{ Major, Minor int }

// Less orders versions.
func (v Version) Less(w Version) bool {
	return v.Major < w.Major || v.Major == w.Major && v.Minor < w.Minor
}

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Var declares one variable, register or parameter.
type Var struct {
	Pos
	Space  string // reg, shared, global, const, local, param
	Type   string // u32, b64, f16x2, pred, ...
	Vec    int    // 1, 2 or 4 elements
	Align  int    // 0 where the text gives none
	Name   string
	Range  int     // registers a<n>: n; else 0
	Dims   []int64 // nil for scalars; -1 for [] without a size
	Init   []Init  // in row order, shorter than the array where the rest is zero
	Extern bool
}

// Init is one element of an initialiser: a number, or the address of a symbol plus an offset.
type Init struct {
	Pos
	Num Number
	Sym string
	Off int64
}

// Number is a literal. Bits holds the integer in two's complement, or the pattern of a double where Float is set.
// Single marks 0f literals, whose pattern has been widened without loss.
type Number struct {
	Bits          uint64
	Float, Single bool
}

// Func is a kernel (.entry) or a device function.
type Func struct {
	Pos
	Name            string
	Entry           bool
	Declared        bool // a prototype without a body
	Params, Returns []*Var
	Body            []Stmt
	Limits          Limits
}

// Limits are the performance directives that bind a launch; a zero X means that the directive is absent.
type Limits struct {
	MaxThreads [3]int // .maxntid
	ReqThreads [3]int // .reqntid
	ReqCluster [3]int // .reqnctapercluster
}

// Stmt is one of its fields.
type Stmt struct {
	Label string
	Decl  *Var
	Block []Stmt
	Inst  *Inst
	Pos   Pos
}

// Inst is one instruction as written.
type Inst struct {
	Pos
	Guard    string // predicate register; empty for none
	GuardNot bool
	Op       string   // the word before the first dot
	Mods     []string // the words behind the dots
	Args     []Operand
}

// Name is the opcode with all its modifiers.
func (in *Inst) Name() string {
	if len(in.Mods) == 0 {
		return in.Op
	}
	return in.Op + "." + strings.Join(in.Mods, ".")
}

// Operand is one argument of an instruction.
type Operand struct {
	Pos
	Kind OperandKind
	Name string // NameOperand: the identifier; AddressOperand: the base, empty for none
	Part string // component of a vector register: x, y, z or w
	Not  bool   // !p
	Alt  string // the second destination of d|p
	Off  int64  // offset behind Name
	Num  Number
	List []Operand // elements of vectors, call lists and addresses with coordinates
}

// OperandKind says which fields of an Operand count.
type OperandKind uint8

// Kinds of operands.
const (
	NameOperand    OperandKind = iota
	NumberOperand              // 7, 0f3f800000
	VectorOperand              // {a, b}
	AddressOperand             // [r+4], [sym], [16]; with coordinates in List
	ListOperand                // (a, b) of call
	SinkOperand                // _
)
