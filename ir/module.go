package ir

import (
	"llmc/internal/dtype"
	"llmc/internal/sym"
)

// Module is a model: functions over shared weights and caches.
type Module struct {
	Name string
	// Cards is how many GPUs run the module together, each with parts of weights and caches of its own; 0: one alone.
	Cards   int64
	Weights []*Weight
	Caches  []*Cache
	Funcs   []*Func
}

// Weight is a constant of the module. Its Value is what ops take as operand.
type Weight struct {
	Value
	// Axis is what a family says of a matrix [N, K]: "col" where outputs N, "row" where inputs K could be split, "" neither. No pass reads it: ranks and GPUs share outputs of all.
	Axis string
	// Segment is the length of the parts of K that are summed apart and then added in order; 0 is all of K. It is a property
	// of the weight alone, so that sums do not depend on batch, threads or ranks.
	Segment int64
	// Stored names the method in whose codes the checkpoint has the weight, "" for plain numbers. Its type is what can hold these codes, or every
	// number that they stand for, and no pass rounds it to less unless it is asked to.
	Stored string
	// Recipe says which rows of which tensors of the checkpoint it is made of, of a part those of the whole.
	Recipe *Recipe
	// Part is set for what a card has of a weight that several share.
	Part *Part
}

// Kinds of caches: keys and values of each head; rows that all heads' keys and values are made of; keys and values that a function of whole sequences
// writes, at the positions of its own tokens; what each sequence has come to, rows of channels that every token moves on. Of a cache of kind Cross a token of
// function "step" sees all that its sequence has, whose number has nothing to do with its position.
const (
	Paged  = "paged"
	Latent = "latent"
	Cross  = "cross"
	State  = "state"
)

// Cache is a row of the table of state that outlives a step.
type Cache struct {
	Name    string
	Kind    string // one of the kinds
	Layers  int64
	KVHeads int64 // 1 of a latent cache; of a state the rows of it
	Dim     int64 // channels of a head, or of a row
	// Rank is how many channels of a latent cache's row, the first ones, are what all heads' values are made of; the others turn with the position. The
	// whole row is the key. 0: keys and values lie apart. Of a state it is how many rows, the first ones, are earlier inputs.
	Rank  int64
	DType dtype.Type
}

// Func is one straight-line function: ops in order of execution.
type Func struct {
	Name    string
	Params  []*Value
	Ops     []*Op
	Results []*Value
	// Slots are the byte sizes of the parts of the activation arena, once memory is planned (see Value.Place).
	Slots []sym.Dim
}

// Op is one operation.
type Op struct {
	Kind    *OpInfo
	Args    []*Value // one per row of Kind.Args; nil where an optional operand is absent
	Attrs   []Attr   // those that differ from the default, in the order of Kind.Attrs
	Results []*Value
	Kernel  string // the target's kernel that runs it, once selected
	Sync    bool   // all workers wait before it: it needs what was written since the last such op
}

// Value is a parameter, a result of an op, or a weight.
type Value struct {
	ID     int    // position among the parameters and results of its function; see Func.Number
	Name   string // "" for values that print as their ID
	Type   Type
	Def    *Op     // the op that gives it; nil for parameters and weights
	Index  int     // which result of Def
	Weight *Weight // set for weights
	Place  *Place  // where it lies, once memory is planned
}

// Place is a range of an activation slot.
type Place struct {
	Slot   int
	Offset int64 // bytes from the slot's start to row 0
	Stride int64 // bytes from a row to the next
}

// Attr is one constant of an op. Val is an int64, a float64 or a string, as the op table says.
type Attr struct {
	Name string
	Val  any
}

// As names the value and returns it.
func (v *Value) As(name string) *Value {
	v.Name = name
	return v
}

// Arg returns the operand with that name in the op table, nil when it is absent.
func (op *Op) Arg(name string) *Value {
	for i := range op.Kind.Args {
		if op.Kind.Args[i].Name == name {
			return op.Args[i]
		}
	}
	panic("ir: op " + op.Kind.Name + " has no operand " + name)
}

// Result returns the first result.
func (op *Op) Result() *Value { return op.Results[0] }

// attr returns the attribute's value, or the default of the table.
func (op *Op) attr(name string) any {
	for i := range op.Attrs {
		if op.Attrs[i].Name == name {
			return op.Attrs[i].Val
		}
	}
	info := op.Kind.attr(name)
	if info == nil {
		panic("ir: op " + op.Kind.Name + " has no attribute " + name)
	}
	return info.Default
}

// Int returns an integer attribute. A required attribute that is missing (the verifier reports it) reads as 0.
func (op *Op) Int(name string) int64 {
	n, _ := op.attr(name).(int64)
	return n
}

// Float returns a number attribute.
func (op *Op) Float(name string) float64 {
	f, _ := op.attr(name).(float64)
	return f
}

// Text returns a string attribute.
func (op *Op) Text(name string) string {
	s, _ := op.attr(name).(string)
	return s
}

// Func returns the function called name, nil if there is none.
func (m *Module) Func(name string) *Func {
	for _, f := range m.Funcs {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Cache returns the cache called name, nil if there is none.
func (m *Module) Cache(name string) *Cache {
	for _, c := range m.Caches {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Number gives every parameter and result of f its ID, in order, and returns how many there are.
func (f *Func) Number() int {
	n := 0
	f.eachValue(func(v *Value) {
		v.ID = n
		n++
	})
	return n
}

// eachValue calls visit for the parameters and then the results of each op, in order.
func (f *Func) eachValue(visit func(*Value)) {
	for _, p := range f.Params {
		visit(p)
	}
	for _, op := range f.Ops {
		for _, r := range op.Results {
			visit(r)
		}
	}
}
