package ir

import "slices"

// Clone returns a module that shares nothing with m that a pass may change.
func (m *Module) Clone() *Module {
	c := cloner{}
	out := &Module{Name: m.Name, Cards: m.Cards}
	for _, cache := range m.Caches {
		row := *cache
		out.Caches = append(out.Caches, &row)
	}
	for _, w := range m.Weights {
		weight := &Weight{Axis: w.Axis, Segment: w.Segment, Stored: w.Stored, Recipe: w.Recipe, Part: w.Part} // recipes and parts are never changed in place
		c.fill(&weight.Value, &w.Value)
		weight.Value.Weight = weight
		out.Weights = append(out.Weights, weight)
	}
	for _, f := range m.Funcs {
		out.Funcs = append(out.Funcs, c.function(f))
	}
	return out
}

// cloner maps the values of the original to those of the copy.
type cloner map[*Value]*Value

func (c cloner) fill(dst, src *Value) *Value {
	*dst = Value{ID: src.ID, Name: src.Name, Type: src.Type, Index: src.Index}
	dst.Type.Dims = slices.Clone(src.Type.Dims)
	if src.Place != nil {
		place := *src.Place
		dst.Place = &place
	}
	c[src] = dst
	return dst
}

func (c cloner) mapped(values []*Value) []*Value {
	out := make([]*Value, len(values))
	for i, v := range values {
		if v != nil {
			out[i] = c[v]
		}
	}
	return out
}

func (c cloner) function(f *Func) *Func {
	out := &Func{Name: f.Name, Slots: slices.Clone(f.Slots)}
	for _, p := range f.Params {
		out.Params = append(out.Params, c.fill(new(Value), p))
	}
	for _, op := range f.Ops {
		twin := &Op{Kind: op.Kind, Args: c.mapped(op.Args), Attrs: slices.Clone(op.Attrs), Kernel: op.Kernel, Sync: op.Sync}
		for _, r := range op.Results {
			v := c.fill(new(Value), r)
			v.Def = twin
			twin.Results = append(twin.Results, v)
		}
		out.Ops = append(out.Ops, twin)
	}
	out.Results = c.mapped(f.Results)
	return out
}
