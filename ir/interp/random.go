package interp

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"

	"llmc/ir"
)

// RandomWeights are reproducible numbers for every tensor that a module's recipes name: matrices with deviation
// 1/sqrt(columns), so that activations keep their size, biases around 0, other vectors around 1. Each is exact in the type that the
// weight has in the module. They stay the same for a module made from this one by passes.
type RandomWeights struct {
	tensors map[string][]float32
}

// NewRandomWeights makes the tensors of m.
func NewRandomWeights(m *ir.Module, seed uint64) (*RandomWeights, error) {
	biases := map[*ir.Weight]bool{}
	for _, f := range m.Funcs {
		for _, op := range f.Ops {
			for i, a := range op.Args {
				if a != nil && a.Weight != nil && op.Kind.Args[i].Name == "bias" {
					biases[a.Weight] = true
				}
			}
		}
	}
	r := &RandomWeights{tensors: map[string][]float32{}}
	for _, w := range m.Weights {
		if err := r.add(w.Recipe, w, biases[w], seed); err != nil {
			return nil, fmt.Errorf("weight %%%s: %w", w.Name, err)
		}
	}
	return r, nil
}

// add extends the tensors that a recipe names to the rows that it takes.
func (r *RandomWeights) add(recipe *ir.Recipe, w *ir.Weight, bias bool, seed uint64) error {
	for _, p := range recipe.Parts {
		if err := r.add(p, w, bias, seed); err != nil {
			return err
		}
	}
	if recipe.Kind != ir.FromTensor {
		return nil
	}
	_, cols, _ := w.Type.Matrix()
	n := (recipe.Start + recipe.Count) * cols
	if n <= int64(len(r.tensors[recipe.Tensor])) {
		return nil
	}
	h := fnv.New64a()
	h.Write([]byte(recipe.Tensor))
	random := rand.New(rand.NewPCG(seed, h.Sum64()))
	center, deviation := 0.0, 1/math.Sqrt(float64(cols))
	if w.Type.Rank() == 1 {
		center, deviation = 1, 0.1
		if bias {
			center = 0
		}
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(center + deviation*random.NormFloat64())
	}
	r.tensors[recipe.Tensor] = values
	if !plain(w.Type.DType) {
		return nil
	}
	return round(values, w.Type.DType)
}

// Tensor implements Weights.
func (r *RandomWeights) Tensor(name string) ([]float32, error) {
	t, ok := r.tensors[name]
	if !ok {
		return nil, fmt.Errorf("no tensor %q", name)
	}
	return t, nil
}
