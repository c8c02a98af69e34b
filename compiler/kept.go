package compiler

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"llmc/compiler/stored"
	"llmc/engine"
	"llmc/internal/quant"
	"llmc/ir"
)

// keptOption is the name under which provenance says what became of the checkpoint's own codes.
const keptOption = "stored"

// kept counts the weights of a module that are as the checkpoint has them, by method and format.
type kept struct {
	method, format string
	weights        int
	elements       int64
}

// keptWeights lists what a module keeps, most elements first.
func keptWeights(m *ir.Module) []kept {
	var all []kept
	for _, w := range m.Weights {
		if w.Stored == "" {
			continue
		}
		k := kept{method: w.Stored, format: w.Type.DType.String()}
		if f, err := quant.FindType(w.Type.Quant); err == nil {
			k.format = f.Name
		}
		i := slices.IndexFunc(all, func(other kept) bool { return other.method == k.method && other.format == k.format })
		if i < 0 {
			i = len(all)
			all = append(all, k)
		}
		n, _ := w.Type.Elements()
		all[i].weights++
		all[i].elements += n
	}
	slices.SortStableFunc(all, func(a, b kept) int { return cmp.Compare(b.elements, a.elements) })
	return all
}

// keepsCodes tells whether a module has weights as the checkpoint has them.
func keepsCodes(m *ir.Module) bool {
	return slices.ContainsFunc(m.Weights, func(w *ir.Weight) bool { return w.Stored != "" })
}

// formatName is what reports call the format of the plan's linears.
func (b *build) formatName() string {
	if all := keptWeights(b.lowered[0].module); len(all) > 0 {
		return all[0].method + " " + all[0].format
	}
	if b.Budget.given() {
		return b.mixName()
	}
	return b.quant
}

// stored says in what the first target keeps the codes of a quantized checkpoint, "" where none are.
func (b *build) stored() string {
	var parts []string
	for _, k := range keptWeights(b.lowered[0].module) {
		parts = append(parts, fmt.Sprintf("%d weights of %s as %s", k.weights, k.method, k.format))
	}
	return strings.Join(parts, ", ")
}

// keptOptions says for each target what the checkpoint's codes are stored as.
func (b *build) keptOptions() []engine.Option {
	var options []engine.Option
	for i, l := range b.lowered {
		for _, k := range keptWeights(l.module) {
			as := "their own codes and scales"
			if f, err := quant.Find(k.format); err == nil && f.Plain() {
				as = plainReasons[k.format]
			}
			text := fmt.Sprintf("%s, %s: %d weights of %s, %s", b.targets[i].Name, k.method, k.weights, k.format, as)
			options = append(options, engine.Option{Name: keptOption, Value: text})
		}
	}
	return options
}

// plainReasons says by format why codes became plain numbers.
var plainReasons = map[string]string{
	"f32":  "the exact numbers of their codes: no kernels for these; --quant bf16 takes half the memory and rounds them",
	"bf16": "the numbers of their codes in bf16: no kernels for these",
}

// firstTensor names the first tensor that a weight is made of, "" where it is none.
func firstTensor(w *ir.Weight) string {
	_, cols, _ := w.Type.Matrix()
	for run := range w.Recipe.Runs(cols, 0, 1) {
		return run.Source.Tensor
	}
	return ""
}

// isOrder tells whether a weight is an order of columns, which is no parameter of the model.
func isOrder(w *ir.Weight) bool {
	return strings.HasSuffix(firstTensor(w), stored.OrderName(".weight"))
}

// digitsOf returns how many elements of a weight are one of the checkpoint's.
func digitsOf(w *ir.Weight) int64 {
	if strings.HasSuffix(firstTensor(w), stored.DigitsName(".weight")) {
		return 2
	}
	return 1
}
