package ir

import (
	"fmt"
	"slices"
)

// scope is what verification knows at one point of a function.
type scope struct {
	*verifier
	defined map[*Value]bool
	names   map[string]bool
	spent   map[*Value]bool // tokens that were given on
	slots   int
}

func (v *verifier) function(f *Func) error {
	s := scope{v, map[*Value]bool{}, map[string]bool{}, map[*Value]bool{}, len(f.Slots)}
	if err := checkSlots(f); err != nil {
		return &VerifyError{f, nil, err}
	}
	if err := s.params(f); err != nil {
		return &VerifyError{f, nil, err}
	}
	for _, op := range f.Ops {
		if err := s.op(op); err != nil {
			return &VerifyError{f, op, err}
		}
	}
	if err := s.results(f); err != nil {
		return &VerifyError{f, nil, err}
	}
	return nil
}

func checkSlots(f *Func) error {
	if len(f.Slots) > maxSlots {
		return fmt.Errorf("%d slots, at most %d", len(f.Slots), maxSlots)
	}
	for i, size := range f.Slots {
		sizes := append(size.Coef[:], size.K)
		if slices.Min(sizes) < 0 || slices.Max(sizes) > maxElements {
			return fmt.Errorf("slot %d has a size of %v", i, size)
		}
	}
	return nil
}

// label names an op in messages: what it defines and its kind.
func label(op *Op) string {
	if len(op.Results) > 0 && op.Results[0].Name != "" {
		return "%" + op.Results[0].Name + " = " + op.Kind.Name
	}
	return op.Kind.Name
}

func (s *scope) define(v *Value) error {
	if s.defined[v] {
		return fmt.Errorf("value %%%s is defined twice", v.Name)
	}
	s.defined[v] = true
	if v.Name != "" {
		if !validName(v.Name) || s.names[v.Name] || s.verifier.names[v.Name] {
			return fmt.Errorf("value %%%s: bad or repeated name", clip(v.Name))
		}
		s.names[v.Name] = true
	}
	if p := v.Place; p != nil && (p.Slot < 0 || p.Slot >= s.slots || p.Offset < 0 || p.Offset > maxDim || p.Stride < 1 || p.Stride > maxElements) {
		return fmt.Errorf("value %%%s: bad place%v", v.Name, p)
	}
	if v.Type.IsToken() && s.m.Cache(v.Type.Cache) == nil {
		return fmt.Errorf("value %%%s: no cache @%s in the module", v.Name, clip(v.Type.Cache))
	}
	return v.Type.check()
}

// params refuses two tokens of one cache: writes through one would not be ordered with those through the other.
func (s *scope) params(f *Func) error {
	caches := map[string]bool{}
	for _, p := range f.Params {
		if p.Def != nil || p.Weight != nil {
			return fmt.Errorf("parameter %%%s: its value belongs to something else", p.Name)
		}
		if err := s.define(p); err != nil {
			return err
		}
		if p.Type.IsToken() && caches[p.Type.Cache] {
			return fmt.Errorf("two parameters are tokens of cache @%s", p.Type.Cache)
		}
		caches[p.Type.Cache] = true
	}
	return nil
}

// results checks what the function returns. A token that is neither given on nor returned would leave what it wrote
// without order with the next step.
func (s *scope) results(f *Func) error {
	for i, r := range f.Results {
		if !s.defined[r] {
			return fmt.Errorf("result %d is not defined by the function", i)
		}
		if !r.Type.IsToken() {
			continue
		}
		if err := s.spend(r); err != nil {
			return fmt.Errorf("result %d: %w", i, err)
		}
	}
	var err error
	f.eachValue(func(v *Value) {
		if err == nil && v.Type.IsToken() && !s.spent[v] {
			err = fmt.Errorf("the cache token %%%s is neither given on nor returned", v.Name)
		}
	})
	return err
}

func (s *scope) op(op *Op) error {
	for i, a := range op.Args {
		if a == nil {
			continue
		}
		if !s.defined[a] && !s.weights[a] {
			return fmt.Errorf("operand %d (%%%s) is not defined before it", i, a.Name)
		}
		if a.Type.IsToken() && s.spent[a] {
			return fmt.Errorf("operand %d: the cache token %%%s was already given on", i, a.Name)
		}
	}
	types, err := op.infer(s.m)
	if err != nil {
		return err
	}
	if err := op.checkAttrs(); err != nil {
		return err
	}
	if op.Kind.Has(WritesCache) {
		if err := s.spend(op.Arg("cache")); err != nil {
			return err
		}
	}
	if len(types) != len(op.Results) {
		return fmt.Errorf("%d results instead of %d", len(op.Results), len(types))
	}
	for i, r := range op.Results {
		if r.Def != op || r.Index != i || r.Weight != nil {
			return fmt.Errorf("result %d belongs to something else", i)
		}
		if !r.Type.Equal(types[i]) {
			return fmt.Errorf("result %d is %v instead of %v", i, r.Type, types[i])
		}
		if err := s.define(r); err != nil {
			return err
		}
	}
	if op.Kernel != "" && !validName(op.Kernel) {
		return fmt.Errorf("bad kernel name %q", clip(op.Kernel))
	}
	return nil
}

// checkAttrs verifies that attributes are as setAttrs leaves them, so that equal ops print equally.
func (op *Op) checkAttrs() error {
	canonical := Op{Kind: op.Kind}
	if err := canonical.setAttrs(op.Attrs); err != nil {
		return err
	}
	if !slices.Equal(canonical.Attrs, op.Attrs) {
		return fmt.Errorf("attributes %v are not in the table's order or repeat defaults", op.Attrs)
	}
	return nil
}

// spend marks a token as given on. A token that two writers take would fork the cache's history.
func (s *scope) spend(token *Value) error {
	if s.spent[token] {
		return fmt.Errorf("the cache token %%%s was already given on", token.Name)
	}
	s.spent[token] = true
	return nil
}
