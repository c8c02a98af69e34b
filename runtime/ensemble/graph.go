package ensemble

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Bounds of an ensemble.
const (
	MaxSteps        = 64
	maxMapped       = 64       // tensors in a map of a step
	DefaultMaxBytes = 64 << 20 // tensors of one request at a time
	MaxDepth        = 8        // ensembles in ensembles
)

// Step is one model of an ensemble, and which tensors of the ensemble its tensors are.
type Step struct {
	Model   string
	Version string            // "": the highest
	In, Out map[string]string // by the model's name, the ensemble's
}

// Graph is an ensemble whose steps are wired rightly: each tensor is made once, before it is read. It does not change.
type Graph struct {
	Name      string
	Inputs    []Spec // with the size of batches before the others, where there are batches
	Outputs   []Spec
	MaxBatch  int   // 0: the first size is no batch
	MaxBytes  int64 // of tensors of one request at a time
	Decoupled bool  // answers come in parts where the last step generates, unless a request says otherwise
	Steps     []Step

	readers map[string]int // steps, and 1 for outputs, that read a tensor
	order   []int          // of steps: each behind those that make its inputs
}

// NewGraph checks how steps are wired. Errors name the ensemble, the step and the tensor.
func NewGraph(g Graph) (*Graph, error) {
	if g.MaxBytes == 0 {
		g.MaxBytes = DefaultMaxBytes
	}
	for _, check := range []func(*Graph) error{(*Graph).checkSizes, (*Graph).checkProducers, (*Graph).sort, (*Graph).checkReaders} {
		if err := check(&g); err != nil {
			return nil, fmt.Errorf("ensemble %q: %w", g.Name, err)
		}
	}
	return &g, nil
}

func (g *Graph) checkSizes() error {
	switch {
	case len(g.Steps) == 0:
		return errors.New("no step: give it at least one")
	case len(g.Steps) > MaxSteps:
		return fmt.Errorf("%d steps, at most %d", len(g.Steps), MaxSteps)
	case len(g.Inputs) == 0 || len(g.Outputs) == 0:
		return errors.New("has no input or no output")
	}
	for i, s := range g.Steps {
		switch {
		case s.Model == "":
			return fmt.Errorf("step %d: model_name is missing", i)
		case s.Model == g.Name:
			return fmt.Errorf("step %d: the ensemble can not be a step of itself", i)
		case len(s.In) == 0 || len(s.Out) == 0:
			return fmt.Errorf("%s: input_map or output_map is missing", g.step(i))
		case len(s.In) > maxMapped || len(s.Out) > maxMapped:
			return fmt.Errorf("%s: a map has more than %d tensors", g.step(i), maxMapped)
		}
	}
	for _, list := range [][]Spec{g.Inputs, g.Outputs} {
		for i, s := range list {
			switch {
			case s.Name == "" || find(list[:i], s.Name) != nil:
				return fmt.Errorf("tensor %q is there twice, or has no name", s.Name)
			case !IsType(s.Type):
				return fmt.Errorf("tensor %q has no data_type that can go from step to step", s.Name)
			case len(s.Dims) > MaxRank || slices.ContainsFunc(s.Dims, func(n int64) bool { return n < -1 || n == 0 }):
				return fmt.Errorf("tensor %q: dims %v: at most %d sizes above 0, or -1", s.Name, s.Dims, MaxRank)
			}
		}
	}
	return nil
}

// step names a step in errors.
func (g *Graph) step(i int) string { return fmt.Sprintf("step %d (model %q)", i, g.Steps[i].Model) }

func (g *Graph) checkProducers() error {
	made := map[string]string{}
	for _, in := range g.Inputs {
		made[in.Name] = "an input of the ensemble"
	}
	for i, s := range g.Steps {
		for _, out := range slices.Sorted(maps.Keys(s.Out)) {
			tensor := s.Out[out]
			if by := made[tensor]; by != "" {
				return fmt.Errorf("%s: tensor %q is made twice: it is also %s", g.step(i), tensor, by)
			}
			made[tensor] = fmt.Sprintf("output %q of %s", out, g.step(i))
		}
	}
	for i, s := range g.Steps {
		for _, in := range slices.Sorted(maps.Keys(s.In)) {
			if made[s.In[in]] == "" {
				return fmt.Errorf("%s: no step makes tensor %q, and no input of the ensemble is called so", g.step(i), s.In[in])
			}
		}
	}
	for _, out := range g.Outputs {
		if made[out.Name] == "" {
			return fmt.Errorf("output %q: no step makes it", out.Name)
		}
	}
	return nil
}

// sort finds an order in which each step has its inputs.
func (g *Graph) sort() error {
	ready := map[string]bool{}
	for _, in := range g.Inputs {
		ready[in.Name] = true
	}
	done := make([]bool, len(g.Steps))
	for len(g.order) < len(g.Steps) {
		before := len(g.order)
		for i, s := range g.Steps {
			if done[i] || slices.ContainsFunc(slices.Collect(maps.Values(s.In)), func(t string) bool { return !ready[t] }) {
				continue
			}
			for _, tensor := range s.Out {
				ready[tensor] = true
			}
			done[i], g.order = true, append(g.order, i)
		}
		if len(g.order) > before {
			continue
		}
		var waiting []string
		for i, s := range g.Steps {
			if !done[i] {
				waiting = append(waiting, fmt.Sprintf("%s reads %s", g.step(i), strings.Join(slices.Sorted(maps.Values(s.In)), ", ")))
			}
		}
		return fmt.Errorf("steps wait for each other: %s", strings.Join(waiting, "; "))
	}
	return nil
}

func (g *Graph) checkReaders() error {
	g.readers = map[string]int{}
	for _, s := range g.Steps {
		for _, tensor := range s.In {
			g.readers[tensor]++
		}
	}
	for _, in := range g.Inputs {
		if g.readers[in.Name] == 0 {
			return fmt.Errorf("input %q: no step reads it", in.Name)
		}
	}
	for _, out := range g.Outputs {
		g.readers[out.Name]++
	}
	for i, s := range g.Steps {
		for _, tensor := range slices.Sorted(maps.Values(s.Out)) {
			if g.readers[tensor] == 0 {
				return fmt.Errorf("%s: nothing reads tensor %q: leave it out of output_map", g.step(i), tensor)
			}
		}
	}
	return nil
}

// Signature is that of the ensemble as a model.
func (g *Graph) Signature() Signature { return Signature{g.Inputs, g.Outputs} }

// Need is a model that another is made of.
type Need struct{ Name, Version string }

// Needs are the models of the steps, in their order.
func (g *Graph) Needs() (list []Need) {
	for _, s := range g.Steps {
		list = append(list, Need{s.Model, s.Version})
	}
	return list
}
