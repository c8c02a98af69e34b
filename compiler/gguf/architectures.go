package gguf

import (
	"slices"
	"strings"
)

// architecture is one value of general.architecture, or the models of one that has several: which family of config.json it is, and what its keys and tensors are called
// there. A new family is one row of architectures, with rows of its own for what decoderKeys and decoderTensors lack or say otherwise: the first row of a name counts.
type architecture struct {
	name             string
	when             func(m *model) bool // tells whether it is this one, where there are several of the name; nil: it is
	modelType, class string              // model_type and architectures of config.json
	keys             []keyRow
	flags            []flagRow
	sizes            []sizeRow
	fixed            []fixedRow
	tensors          []tensorRow
}

// keyRow maps a key, which begins with the architecture's name and a dot.
type keyRow struct {
	key string
	to  string // key of config.json, with a dot before that of an object inside; "" for a key that changes nothing
	// same tells that the key is not for config.json: its value must be that of the key to.
	same bool
	// texts gives config.json's words for a string.
	texts map[string]string
	// as makes the value that config.json has; nil: the same.
	as func(m *model, v any) any
}

// flagRow is a truth of config.json that tells whether there is a tensor.
type flagRow struct {
	to, tensor string
	absent     bool // true where there is none
}

// sizeRow is a number of config.json that is the rows of a tensor.
type sizeRow struct{ to, tensor string }

// fixedRow is a key of config.json that all models of the architecture have alike. It is left out where config has no key beside, of those that after names.
type fixedRow struct {
	to    string
	value any
	after string // an object that must be there for it; "": always
}

// tensorRow maps a tensor's name without its ending, .weight or .bias; * is the number of a layer. % is that of an expert, whose matrices, or biases, lie in one tensor of the
// file and are one each in transformers.
type tensorRow struct {
	name, to string
	alone    bool     // what transformers has has no ending
	order    rowOrder // how rows lie in the file; nil: as in transformers
	less     float32  // what the file has added to every number
}

var architectures = slices.Concat(decoderArchitectures, layerNormArchitectures, mixtureArchitectures)

// frequencies is a tensor of divisors of rotary frequencies, which config.json has as numbers; the others are those of short and of long texts.
const (
	frequencies      = "rope_freqs.weight"
	shortFrequencies = "rope_factors_short.weight"
	longFrequencies  = "rope_factors_long.weight"
)

const architectureKey = "general.architecture"

func (m *model) findArchitecture() (*architecture, error) {
	name, err := m.text(architectureKey)
	if err != nil {
		return nil, err
	}
	var known []string
	for i := range architectures {
		a := &architectures[i]
		if a.name == name && (a.when == nil || a.when(m)) {
			return a, nil
		}
		known = append(known, a.name)
	}
	if name == "" {
		return nil, m.errorf(architectureKey, "is missing: the file holds no model")
	}
	return nil, m.errorf(architectureKey, "%q is not supported; supported are %s", name, strings.Join(slices.Compact(known), ", "))
}

// hasTensor is a when.
func hasTensor(name string) func(m *model) bool {
	return func(m *model) bool { return m.tensor(name) != nil }
}

// ending takes a tensor's name apart.
func ending(name string) (stem, end string) {
	for _, e := range []string{".weight", ".bias"} {
		if s, ok := strings.CutSuffix(name, e); ok {
			return s, e
		}
	}
	return name, ""
}

// row finds the row of a tensor of the file, nil where there is none, and the numbers in its name.
func (a *architecture) row(name string) (row *tensorRow, numbers []string) {
	stem, end := ending(name)
	for i := range a.tensors {
		if numbers, ok := capture(a.tensors[i].name, stem); ok && end != "" {
			return &a.tensors[i], numbers
		}
	}
	return nil, nil
}

// renamed returns transformers' name of a tensor, the same where the table has none.
func (a *architecture) renamed(name, expert string) string {
	row, numbers := a.row(name)
	if row == nil {
		return name
	}
	_, end := ending(name)
	if row.alone {
		end = ""
	}
	return fill(row.to, append(numbers, expert)) + end
}

// stored returns the file's name of a tensor that transformers calls name.
func (a *architecture) stored(name string) string {
	stem, end := ending(name)
	for i := range a.tensors {
		row := &a.tensors[i]
		if row.alone {
			if numbers, ok := capture(row.to, name); ok {
				return fill(row.name, numbers) + ".weight"
			}
		} else if numbers, ok := capture(row.to, stem); ok {
			return fill(row.name, numbers) + end
		}
	}
	return name
}

// capture returns the numbers that stand in a name where pattern has * or %.
func capture(pattern, name string) (numbers []string, ok bool) {
	for {
		i := strings.IndexAny(pattern, "*%")
		if i < 0 {
			return numbers, pattern == name
		}
		if !strings.HasPrefix(name, pattern[:i]) {
			return nil, false
		}
		name, pattern = name[i:], pattern[i+1:]
		rest := strings.TrimLeft(name, "0123456789")
		if len(rest) == len(name) {
			return nil, false
		}
		numbers = append(numbers, name[:len(name)-len(rest)])
		name = rest
	}
}

// fill puts numbers where pattern has * or %.
func fill(pattern string, numbers []string) string {
	for _, n := range numbers {
		if i := strings.IndexAny(pattern, "*%"); i >= 0 {
			pattern = pattern[:i] + n + pattern[i+1:]
		}
	}
	return pattern
}
