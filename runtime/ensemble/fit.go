package ensemble

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// wire is what is known of a tensor of an ensemble.
type wire struct {
	kind     string
	dims     []int64
	optional bool   // it may be absent
	by       string // who makes it
}

// Fit checks that the models of the steps, whose signatures are in the order of steps, have the tensors that are mapped, of types and shapes that agree.
func (g *Graph) Fit(models []Signature) error {
	wires := map[string]wire{}
	for _, in := range g.Inputs {
		wires[in.Name] = wire{in.Type, in.Dims, in.Optional, "the ensemble's input"}
	}
	for _, i := range g.order {
		if err := g.fitInputs(i, models[i], wires); err != nil {
			return fmt.Errorf("ensemble %q: %s: %w", g.Name, g.step(i), err)
		}
		if err := g.fitOutputs(i, models[i], wires); err != nil {
			return fmt.Errorf("ensemble %q: %s: %w", g.Name, g.step(i), err)
		}
	}
	for _, out := range g.Outputs {
		w := wires[out.Name]
		if err := agree(w, &out); err != nil {
			return fmt.Errorf("ensemble %q: output %q: %w", g.Name, out.Name, err)
		}
	}
	return nil
}

// agree tells whether a tensor can be what a spec asks for.
func agree(w wire, s *Spec) error {
	switch {
	case s.Type != "" && w.kind != "" && s.Type != w.kind:
		return fmt.Errorf("is %s here, and %s from %s", s.Type, w.kind, w.by)
	case !fits(w.dims, s.Dims):
		return fmt.Errorf("has shape %v here, and %v from %s", s.Dims, w.dims, w.by)
	}
	return nil
}

func (g *Graph) fitInputs(i int, m Signature, wires map[string]wire) error {
	step := g.Steps[i]
	for _, in := range slices.Sorted(maps.Keys(step.In)) {
		spec, w := find(m.Inputs, in), wires[step.In[in]]
		switch {
		case spec == nil:
			return fmt.Errorf("tensor %q: the model has no input %q; it has %s", step.In[in], in, strings.Join(names(m.Inputs), ", "))
		case w.optional && !spec.Optional:
			return fmt.Errorf("tensor %q may be absent, input %q may not", step.In[in], in)
		}
		if err := agree(w, spec); err != nil {
			return fmt.Errorf("tensor %q: %w", step.In[in], err)
		}
	}
	for _, spec := range m.Inputs {
		if _, mapped := step.In[spec.Name]; !mapped && !spec.Optional {
			return fmt.Errorf("input %q of the model is not in input_map", spec.Name)
		}
	}
	return nil
}

func (g *Graph) fitOutputs(i int, m Signature, wires map[string]wire) error {
	step := g.Steps[i]
	for _, out := range slices.Sorted(maps.Keys(step.Out)) {
		spec := find(m.Outputs, out)
		if spec == nil {
			return fmt.Errorf("tensor %q: the model has no output %q; it has %s", step.Out[out], out, strings.Join(names(m.Outputs), ", "))
		}
		kind := spec.Type
		if kind == "" && spec.Like != "" {
			kind = wires[step.In[spec.Like]].kind
		}
		wires[step.Out[out]] = wire{kind, spec.Dims, false, fmt.Sprintf("output %q of %s", out, g.step(i))}
	}
	return nil
}
