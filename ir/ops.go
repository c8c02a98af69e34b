package ir

import (
	"fmt"
	"slices"

	"llmc/internal/dtype"
)

// OpInfo is one row of the op table.
type OpInfo struct {
	Name    string
	Doc     string // what it computes
	Args    []ArgInfo
	Attrs   []AttrInfo
	Results []string
	Flags   Flags
	// Shape returns the types of the results. It is called once operands and attributes have been checked against the row.
	Shape func(m *Module, op *Op) ([]Type, error)
}

// Flags are facts about an op that passes use.
type Flags uint8

// Commutative ops may swap their first two operands. A row of a RowWise op's result depends on the same row of its
// activations alone. A View gives a part of its operand's storage and costs nothing. WritesCache ops take a cache token
// and give the next.
const (
	Commutative Flags = 1 << iota
	RowWise
	View
	WritesCache
)

// Has tells whether all of flags are set.
func (info *OpInfo) Has(flags Flags) bool { return info.Flags&flags == flags }

// ArgInfo is one operand.
type ArgInfo struct {
	Name     string
	Role     Role
	Optional bool
}

// Role says what an operand may be.
type Role uint8

// The roles; roleRows says what each accepts.
const (
	RoleFloat Role = iota
	RoleNumbers
	RoleInput
	RoleIndex
	RoleMatrix
	RoleVector
	RoleToken
	RoleStack
	RoleRoutes
)

var roleRows = [...]struct {
	name, doc string
	accepts   func(v *Value) bool
}{
	RoleFloat: {"activations", "f32[M,N]", func(v *Value) bool {
		return v.Weight == nil && v.Type.DType == dtype.F32 && v.Type.Rank() == 2 && v.Type.Quant == ""
	}},
	RoleNumbers: {"numbers", "f32[M,N] or f32m[M,N]", func(v *Value) bool {
		return v.Weight == nil && v.Type.Rank() == 2 && v.Type.DType == dtype.F32 && (v.Type.Quant == "" || v.Type.Quant == MaximaFormat)
	}},
	RoleInput: {"input", "[M,K]: f32, bf16, f16 or quantized", func(v *Value) bool {
		return v.Weight == nil && !v.Type.IsToken() && v.Type.Rank() == 2 && (v.Type.DType.IsFloat() || v.Type.Quant != "")
	}},
	RoleIndex:  {"index", "i32[M]", func(v *Value) bool { return v.Weight == nil && v.Type.DType == dtype.I32 && v.Type.Rank() == 1 }},
	RoleMatrix: {"matrix", "weight [N,K]", func(v *Value) bool { return v.Weight != nil && v.Type.Rank() == 2 }},
	RoleVector: {"vector", "weight [N]", func(v *Value) bool { return v.Weight != nil && v.Type.Rank() == 1 }},
	RoleStack:  {"stack", "weight [E,N,K]", func(v *Value) bool { return v.Weight != nil && v.Type.Rank() == 3 }},
	RoleRoutes: {"routes", "i32[M,k]", func(v *Value) bool {
		return v.Weight == nil && v.Type.DType == dtype.I32 && v.Type.Rank() == 2
	}},
	RoleToken: {"token", "kv", func(v *Value) bool { return v.Type.IsToken() }},
}

// String returns the role's name in docs/ops.md.
func (r Role) String() string { return roleRows[r].name }

// AttrInfo is one attribute.
type AttrInfo struct {
	Name    string
	Kind    AttrKind
	Default any      // nil: required
	Enum    []string // allowed texts
	Min     int64    // smallest allowed integer
	Doc     string
}

// AttrKind is the type of an attribute's value.
type AttrKind uint8

// Int attributes hold int64, Float attributes float64, Text attributes string.
const (
	Int AttrKind = iota
	Float
	Text
)

func (k AttrKind) String() string { return [...]string{"int", "float", "text"}[k] }

// maxInt bounds integer attributes, so that products of two of them and small sums stay inside 64 bits.
const maxInt = 1 << 30

func (info *OpInfo) attr(name string) *AttrInfo {
	for i := range info.Attrs {
		if info.Attrs[i].Name == name {
			return &info.Attrs[i]
		}
	}
	return nil
}

// FindOp returns the row called name, nil if there is none.
func FindOp(name string) *OpInfo {
	return opsByName[name]
}

var opsByName = func() map[string]*OpInfo {
	byName := map[string]*OpInfo{}
	for _, info := range Ops {
		byName[info.Name] = info
	}
	return byName
}()

func opNames() []string {
	var names []string
	for _, info := range Ops {
		names = append(names, info.Name)
	}
	return names
}

// NewOp makes an op with results of the types that its shape rule gives. Trailing absent operands may be left out.
// The op is not yet part of a function.
func (m *Module) NewOp(name string, args []*Value, attrs ...Attr) (*Op, error) {
	info := FindOp(name)
	if info == nil {
		return nil, fmt.Errorf("unknown op %q%s", name, hint(name, opNames()))
	}
	if len(args) > len(info.Args) {
		return nil, fmt.Errorf("%s: %d operands, at most %d", name, len(args), len(info.Args))
	}
	op := &Op{Kind: info, Args: make([]*Value, len(info.Args))}
	copy(op.Args, args)
	if err := op.setAttrs(attrs); err != nil {
		return nil, err
	}
	types, err := op.infer(m)
	if err != nil {
		return nil, err
	}
	for i, t := range types {
		op.Results = append(op.Results, &Value{Type: t, Def: op, Index: i})
	}
	return op, nil
}

// setAttrs keeps the attributes that differ from their default, in table order.
func (op *Op) setAttrs(attrs []Attr) error {
	for i, a := range attrs {
		info := op.Kind.attr(a.Name)
		if info == nil {
			return fmt.Errorf("%s: unknown attribute %q%s", op.Kind.Name, a.Name, hint(a.Name, op.Kind.attrNames()))
		}
		if err := info.check(a.Val); err != nil {
			return fmt.Errorf("%s: %w", op.Kind.Name, err)
		}
		if slices.ContainsFunc(attrs[:i], func(b Attr) bool { return b.Name == a.Name }) {
			return fmt.Errorf("%s: attribute %q is given twice", op.Kind.Name, a.Name)
		}
	}
	op.Attrs = nil
	for _, info := range op.Kind.Attrs {
		for _, a := range attrs {
			if a.Name == info.Name && a.Val != info.Default {
				op.Attrs = append(op.Attrs, a)
			}
		}
	}
	return nil
}

func (info *OpInfo) attrNames() []string {
	var names []string
	for _, a := range info.Attrs {
		names = append(names, a.Name)
	}
	return names
}

func (info *AttrInfo) check(val any) error {
	switch v := val.(type) {
	case int64:
		if info.Kind != Int {
			break
		}
		if v < info.Min || v > maxInt {
			return fmt.Errorf("attribute %s = %d must be within %d..%d", info.Name, v, info.Min, maxInt)
		}
		return nil
	case float64:
		if info.Kind != Float {
			break
		}
		if v-v != 0 {
			return fmt.Errorf("attribute %s = %v must be finite", info.Name, v)
		}
		return nil
	case string:
		if info.Kind != Text {
			break
		}
		if info.Enum != nil && !slices.Contains(info.Enum, v) {
			return fmt.Errorf("attribute %s = %q must be one of %q%s", info.Name, v, info.Enum, hint(v, info.Enum))
		}
		return nil
	}
	return fmt.Errorf("attribute %s is of kind %v, not %T", info.Name, info.Kind, val)
}

// infer checks operands and attributes against the table and returns the types of the results.
func (op *Op) infer(m *Module) ([]Type, error) {
	info := op.Kind
	if len(op.Args) != len(info.Args) {
		return nil, fmt.Errorf("%s: %d operands instead of %d", info.Name, len(op.Args), len(info.Args))
	}
	for i, arg := range info.Args {
		v := op.Args[i]
		if v == nil {
			if !arg.Optional {
				return nil, fmt.Errorf("%s: operand %q is missing", info.Name, arg.Name)
			}
			continue
		}
		if role := roleRows[arg.Role]; !role.accepts(v) {
			return nil, fmt.Errorf("%s: operand %q must be %s (%s), not %v", info.Name, arg.Name, role.name, role.doc, v.Type)
		}
	}
	for _, a := range info.Attrs {
		if a.Default == nil && !slices.ContainsFunc(op.Attrs, func(b Attr) bool { return b.Name == a.Name }) {
			return nil, fmt.Errorf("%s: attribute %q is missing", info.Name, a.Name)
		}
	}
	types, err := info.Shape(m, op)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", info.Name, err)
	}
	return types, nil
}
