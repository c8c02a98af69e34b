package ensemble

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// TextModel is what a model with a tokenizer does for steps.
type TextModel interface {
	// Tokens cuts a text, or a pair of texts, as the model itself would.
	Tokens(special bool, texts ...string) ([]int32, error)
	Text(ids []int32, skipSpecial bool) (string, error)
	// Chat lays a conversation out, an array of messages in JSON, up to where the model answers.
	Chat(messages []byte) (string, error)
}

// Function computes outputs of inputs.
type Function interface {
	Signature() Signature
	// Needs are the models that it uses: the first is the TextModel of Compute.
	Needs() []Need
	// Compute computes the outputs. Inputs have been brought to the signature's types and shapes.
	Compute(ctx context.Context, inputs Tensors, text TextModel) (Tensors, error)
}

// Kind is one of the built-in steps.
type Kind struct {
	Name, Does string
	Parameters []Parameter
	Fixed      Signature // its tensors; those of template are its configuration's
	prepare    func(*Builtin) error
	compute    func(b *Builtin, in Tensors, text TextModel) (Tensors, error)
}

// Parameter is one of a step's settings.
type Parameter struct {
	Name, Does string
	Default    string // "": none
	Required   bool
}

// Builtin is a step that is configured. It does not change.
type Builtin struct {
	kind      *Kind
	values    map[string]string
	numbers   map[string]float64
	signature Signature
	prepared  any // what prepare has made of the parameters
}

// Kinds are all of them.
var Kinds = []Kind{tokenizeKind, detokenizeKind, chatKind, templateKind, similarityKind, topKKind, takeKind, repeatKind, poolKind, classifyKind}

// NewBuiltin configures a step. inputs and outputs are those of its configuration; steps whose tensors are fixed may repeat them.
func NewBuiltin(name string, parameters map[string]string, inputs, outputs []Spec) (*Builtin, error) {
	at := slices.IndexFunc(Kinds, func(k Kind) bool { return k.Name == name })
	if at < 0 {
		return nil, fmt.Errorf("step %.64q is not known; there are %s", name, strings.Join(kindNames(), ", "))
	}
	b := &Builtin{kind: &Kinds[at], values: map[string]string{}, numbers: map[string]float64{}, signature: Kinds[at].Fixed}
	for _, p := range b.kind.Parameters {
		value, given := parameters[p.Name]
		if !given && p.Required {
			return nil, fmt.Errorf("step %s: parameter %s is missing: %s", name, p.Name, p.Does)
		}
		if !given {
			value = p.Default
		}
		b.values[p.Name] = value
	}
	for _, p := range slices.Sorted(maps.Keys(parameters)) {
		if _, known := b.values[p]; !known {
			return nil, fmt.Errorf("step %s: parameter %.64q is not known; there are %s", name, p, strings.Join(slices.Sorted(maps.Keys(b.values)), ", "))
		}
	}
	if b.kind.Name == templateKind.Name {
		b.signature.Inputs = inputs
	} else if err := repeats("input", inputs, b.signature.Inputs); err != nil {
		return nil, fmt.Errorf("step %s: %w", name, err)
	}
	if err := repeats("output", outputs, b.signature.Outputs); err != nil {
		return nil, fmt.Errorf("step %s: %w", name, err)
	}
	b.signature.Inputs, b.signature.Outputs = narrowed(b.signature.Inputs, inputs), narrowed(b.signature.Outputs, outputs)
	if b.kind.prepare != nil {
		if err := b.kind.prepare(b); err != nil {
			return nil, fmt.Errorf("step %s: %w", name, err)
		}
	}
	return b, nil
}

func kindNames() (list []string) {
	for _, k := range Kinds {
		list = append(list, k.Name)
	}
	return list
}

// repeats tells whether tensors of a configuration are those that there are.
func repeats(what string, given, has []Spec) error {
	for _, s := range given {
		spec := find(has, s.Name)
		switch {
		case spec == nil:
			return fmt.Errorf("%s %.64q: the step has %s", what, s.Name, strings.Join(names(has), ", "))
		case spec.Type != "" && spec.Type != s.Type || !fits(spec.Dims, s.Dims):
			return fmt.Errorf("%s %.64q is %s %v", what, s.Name, spec.Type, spec.Dims)
		}
	}
	return nil
}

// narrowed gives tensors of any type or shape those that a configuration has for them.
func narrowed(specs, given []Spec) []Spec {
	specs = slices.Clone(specs)
	for i := range specs {
		if g := find(given, specs[i].Name); g != nil && specs[i].Type == "" {
			specs[i].Type = g.Type
		}
		if g := find(given, specs[i].Name); g != nil && specs[i].Dims == nil {
			specs[i].Dims = g.Dims
		}
	}
	return specs
}

// Kind is the name of the step.
func (b *Builtin) Kind() string { return b.kind.Name }

// Signature implements Function.
func (b *Builtin) Signature() Signature { return b.signature }

// Needs implements Function.
func (b *Builtin) Needs() []Need {
	if model := b.values["model"]; model != "" {
		return []Need{{Name: model}}
	}
	return nil
}

// Compute implements Function.
func (b *Builtin) Compute(_ context.Context, in Tensors, text TextModel) (Tensors, error) {
	return b.kind.compute(b, in, text)
}

// number reads a parameter as a number from least to most; without a value it is otherwise.
func (b *Builtin) number(name string, otherwise, least, most float64) error {
	if b.values[name] == "" {
		b.numbers[name] = otherwise
		return nil
	}
	x, err := strconv.ParseFloat(b.values[name], 64)
	if err != nil || !(x >= least && x <= most) {
		return fmt.Errorf("parameter %s: %.32q is no number from %g to %g", name, b.values[name], least, most)
	}
	b.numbers[name] = x
	return nil
}

// whole is number of a whole number.
func (b *Builtin) whole(name string, otherwise, least, most float64) error {
	if err := b.number(name, otherwise, least, most); err != nil {
		return err
	}
	if x := b.numbers[name]; x != math.Trunc(x) {
		return fmt.Errorf("parameter %s: %.32q is no whole number", name, b.values[name])
	}
	return nil
}

// oneOf refuses a parameter that is none of some words.
func (b *Builtin) oneOf(name string, words ...string) error {
	if !slices.Contains(words, b.values[name]) {
		return fmt.Errorf("parameter %s: %.32q is none of %s", name, b.values[name], strings.Join(words, ", "))
	}
	return nil
}

// Conform brings inputs to the types and shapes of a signature: what is missing or too much is refused.
func (s Signature) Conform(inputs Tensors) (Tensors, error) {
	fitted := Tensors{}
	for i := range s.Inputs {
		spec := &s.Inputs[i]
		t := inputs[spec.Name]
		if t == nil {
			if !spec.Optional {
				return nil, fmt.Errorf("input %q is missing", spec.Name)
			}
			continue
		}
		t, err := spec.conform(t)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", spec.Name, err)
		}
		fitted[spec.Name] = t
	}
	for name := range inputs {
		if find(s.Inputs, name) == nil {
			return nil, fmt.Errorf("there is no input %.64q; there are %s", name, strings.Join(names(s.Inputs), ", "))
		}
	}
	return fitted, nil
}

// finite refuses numbers that can not be ordered.
func finite(values []float32) error {
	for i, x := range values {
		if x-x != 0 {
			return fmt.Errorf("element %d is %v: it can not be compared", i, x)
		}
	}
	return nil
}
