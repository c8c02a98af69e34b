package ensemble

import (
	"fmt"
	"slices"
)

// Spec is an input or output of a model.
type Spec struct {
	Name     string
	Type     string  // "": any
	Dims     []int64 // -1: any size; nil: any shape
	Optional bool    // of inputs
	Like     string  // of an output without a type: the input whose type it has
}

// Signature is what goes into a model and what comes out.
type Signature struct{ Inputs, Outputs []Spec }

func find(specs []Spec, name string) *Spec {
	for i := range specs {
		if specs[i].Name == name {
			return &specs[i]
		}
	}
	return nil
}

func names(specs []Spec) (list []string) {
	for _, s := range specs {
		list = append(list, s.Name)
	}
	return list
}

// fits tells whether shapes can be the same. Sizes of one at the end may be left out: a list of texts is [-1] to some models and [-1,1] to others.
func fits(a, b []int64) bool {
	if a == nil || b == nil {
		return true
	}
	short, long := a, b
	if len(short) > len(long) {
		short, long = long, short
	}
	for i, size := range long {
		switch {
		case i >= len(short) && size != 1:
			return false
		case i < len(short) && size != short[i] && size >= 0 && short[i] >= 0:
			return false
		}
	}
	return true
}

// conform returns a tensor as a spec wants it: with its rank.
func (s *Spec) conform(t *Tensor) (*Tensor, error) {
	if s.Type != "" && s.Type != t.Type {
		return nil, fmt.Errorf("datatype %s, must be %s", t.Type, s.Type)
	}
	if !fits(t.Shape, s.Dims) {
		return nil, fmt.Errorf("shape %v, must be %v", t.Shape, s.Dims)
	}
	if s.Dims == nil || len(s.Dims) == len(t.Shape) {
		return t, nil
	}
	shaped := *t
	shaped.Shape = slices.Clone(t.Shape[:min(len(t.Shape), len(s.Dims))])
	for len(shaped.Shape) < len(s.Dims) {
		shaped.Shape = append(shaped.Shape, 1)
	}
	return &shaped, nil
}
