package models

import (
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"llmc/ir"
)

// scriptValue is a value of the IR in a family file. x + y, x * y and x * number are ops add, mul and scale.
type scriptValue struct {
	v *ir.Value
	m *scriptModule
}

func (v *scriptValue) String() string        { return "%" + v.v.Name + " : " + v.v.Type.String() }
func (v *scriptValue) Type() string          { return "tensor" }
func (v *scriptValue) Freeze()               {}
func (v *scriptValue) Truth() starlark.Bool  { return true }
func (v *scriptValue) Hash() (uint32, error) { return 0, fmt.Errorf("a tensor has no hash") }

// Binary is part of starlark.HasBinary.
func (v *scriptValue) Binary(op syntax.Token, y starlark.Value, _ starlark.Side) (starlark.Value, error) {
	other, tensor := y.(*scriptValue)
	number, isNumber := starlark.AsFloat(y)
	switch {
	case op == syntax.PLUS && tensor:
		return v.m.add("add", []*ir.Value{v.v, other.v})
	case op == syntax.STAR && tensor:
		return v.m.add("mul", []*ir.Value{v.v, other.v})
	case op == syntax.STAR && isNumber:
		return v.m.add("scale", []*ir.Value{v.v}, ir.Attr{Name: "by", Val: number})
	}
	return nil, nil // Starlark says which operands it does not know
}

// operand takes a value of the file as operand of an op; None is an absent one.
func operand(v starlark.Value) (*ir.Value, error) {
	switch v := v.(type) {
	case *scriptValue:
		return v.v, nil
	case starlark.NoneType:
		return nil, nil
	}
	return nil, fmt.Errorf("%s (%s) is not a tensor", v, v.Type())
}

// attribute takes a value of the file as an attribute.
func attribute(info *ir.AttrInfo, v starlark.Value) (ir.Attr, error) {
	attr := ir.Attr{Name: info.Name}
	switch info.Kind {
	case ir.Int:
		n, ok := v.(starlark.Int)
		i, fits := n.Int64()
		if !ok || !fits {
			return attr, fmt.Errorf("%s=%s is not a whole number", info.Name, v)
		}
		attr.Val = i
	case ir.Float:
		x, ok := starlark.AsFloat(v)
		if !ok {
			return attr, fmt.Errorf("%s=%s is not a number", info.Name, v)
		}
		attr.Val = x
	default:
		text, ok := starlark.AsString(v)
		if !ok {
			return attr, fmt.Errorf("%s=%s is not a text", info.Name, v)
		}
		attr.Val = text
	}
	return attr, nil
}
