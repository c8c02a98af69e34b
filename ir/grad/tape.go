package grad

import (
	"fmt"
	"sync"

	"llmc/internal/dense"
	"llmc/internal/sym"
	"llmc/ir"
)

// Weights gives rows of weights.
type Weights interface {
	// Rows fills to, [hi-lo, columns], with rows [lo, hi) of a weight, a vector being one row. It is called from one goroutine at a time.
	Rows(w *ir.Weight, lo, hi int64, to []float32) error
}

// Tape runs a function and differentiates it. Every token has logits: the rows that the function selects are all.
type Tape struct {
	// Product is given what the number that is differentiated depends on the results of a product by, once for each block of its weight's rows.
	Product func(p Product) error

	f       *ir.Func
	weights Weights
	tokens  int
	tasks   int
	env     sym.Env
	ids     []int32
	data    []float32               // of all values
	values  map[*ir.Value][]float32 // [T, columns]
	slopes  map[*ir.Value][]float32 // likewise, of those that something behind them needs
	free    map[int][][]float32     // slopes that are no longer needed, by length
	block   []float32               // of a weight's rows
	turned  []float32               // the same or others, transposed
	vectors map[*ir.Weight][]float32
}

// Product is a part of y = x*transpose(w) + bias: that of some rows of w.
type Product struct {
	Op     *ir.Op
	First  int // of the rows
	Rows   int
	W      dense.Matrix // [Rows, K]
	X      dense.Matrix // [T, K]
	Slopes dense.Matrix // [T, N], of y, of which columns First .. First+Rows-1 belong to the rows
}

// AddSlopes adds to sum, [n, K], by how much the number depends on the n of the rows from at on.
func (p *Product) AddSlopes(sum dense.Matrix, at, n int) {
	dense.AddTransposed(sum, p.Slopes.At(0, p.First+at), p.X, n, p.X.Stride, len(p.X.Data)/p.X.Stride)
}

// New prepares runs of a function on so many tokens. data is room for Size numbers, which may be a file that is mapped.
func New(f *ir.Func, tokens, threads int, data []float32) (*Tape, error) {
	t := &Tape{f: f, tokens: tokens, tasks: max(1, threads), data: data, free: map[int][][]float32{}}
	t.env = sym.Bind(int64(tokens), 1, int64(tokens), 0)
	if err := Check(f); err != nil {
		return nil, err
	}
	size, err := Size(f, tokens)
	if err != nil {
		return nil, err
	}
	if int64(len(data)) < size {
		return nil, fmt.Errorf("room for %d numbers, %d are needed", len(data), size)
	}
	return t, nil
}

// Size is how many numbers a run on so many tokens keeps.
func Size(f *ir.Func, tokens int) (int64, error) {
	env, total := sym.Bind(int64(tokens), 1, int64(tokens), 0), int64(0)
	for _, op := range f.Ops {
		for _, v := range op.Results {
			n, err := length(v, env)
			if err != nil {
				return 0, err
			}
			total += n
		}
	}
	return total, nil
}

// length is how many numbers a value has; 0 for tokens of caches.
func length(v *ir.Value, env sym.Env) (int64, error) {
	if v.Type.IsToken() {
		return 0, nil
	}
	rows, err := v.Type.Rows().Eval(env)
	if err != nil {
		return 0, err
	}
	cols, ok := v.Type.Cols()
	if !ok {
		return 0, fmt.Errorf("%v has no fixed number of columns", v.Type)
	}
	return rows * cols, nil
}

// Tokens is how many a run has.
func (t *Tape) Tokens() int { return t.tokens }

// Check refuses functions of which an op has no derivative here.
func Check(f *ir.Func) error {
	for _, op := range f.Ops {
		r, ok := rules[op.Kind.Name]
		if !ok {
			return fmt.Errorf("op %s has no derivative", op.Kind.Name)
		}
		if r.check == nil {
			continue
		}
		if err := r.check(op); err != nil {
			return fmt.Errorf("op %s: %w", op.Kind.Name, err)
		}
	}
	return nil
}

// Forward runs the function with the given weights on tokens at positions 0, 1, ..., and returns its first result, which Backward takes what replaces it in: [T, columns].
func (t *Tape) Forward(weights Weights, ids []int32) (dense.Matrix, error) {
	if len(ids) != t.tokens {
		return dense.Matrix{}, fmt.Errorf("%d tokens, not %d", len(ids), t.tokens)
	}
	t.weights, t.vectors, t.ids, t.values = weights, map[*ir.Weight][]float32{}, ids, map[*ir.Value][]float32{}
	at := int64(0)
	for i, op := range t.f.Ops {
		for _, v := range op.Results {
			n, err := length(v, t.env)
			if err != nil {
				return dense.Matrix{}, err
			}
			t.values[v] = t.data[at : at+n : at+n]
			at += n
		}
		if err := rules[op.Kind.Name].forward(t, op); err != nil {
			return dense.Matrix{}, fmt.Errorf("op %d (%s): %w", i, op.Kind.Name, err)
		}
	}
	return t.matrix(t.values[t.f.Results[0]]), nil
}

// Backward differentiates, with the same weights: what Forward returned has been replaced by how the number depends on it.
func (t *Tape) Backward() error {
	result := t.f.Results[0]
	t.slopes = map[*ir.Value][]float32{result: t.values[result]}
	for i := len(t.f.Ops) - 1; i >= 0; i-- {
		op := t.f.Ops[i]
		if err := rules[op.Kind.Name].backward(t, op); err != nil {
			return fmt.Errorf("op %d (%s): %w", i, op.Kind.Name, err)
		}
		for _, v := range op.Results {
			if s := t.slopes[v]; s != nil && v != result {
				t.free[len(s)] = append(t.free[len(s)], s)
			}
			delete(t.slopes, v)
		}
	}
	return nil
}

// matrix is a value of T rows.
func (t *Tape) matrix(data []float32) dense.Matrix {
	return dense.Matrix{Data: data, Stride: len(data) / t.tokens}
}

// slope returns where what a value counts for is added up; nil where nothing in front of it could use it: a table's rows, parameters.
func (t *Tape) slope(v *ir.Value) []float32 {
	if v.Def == nil {
		return nil
	}
	s := t.slopes[v]
	if s == nil {
		n := len(t.values[v])
		if free := t.free[n]; len(free) > 0 {
			s = free[len(free)-1]
			t.free[n] = free[:len(free)-1]
			clear(s)
		} else {
			s = make([]float32, n)
		}
		t.slopes[v] = s
	}
	return s
}

// vector returns a weight of one row; nil where an operand is absent.
func (t *Tape) vector(v *ir.Value) ([]float32, error) {
	if v == nil {
		return nil, nil
	}
	if data := t.vectors[v.Weight]; data != nil {
		return data, nil
	}
	n, _ := v.Type.Elements()
	data := make([]float32, n)
	if err := t.weights.Rows(v.Weight, 0, 1, data); err != nil {
		return nil, err
	}
	t.vectors[v.Weight] = data
	return data, nil
}

// each calls do with every i below n, from as many goroutines as there are threads.
func (t *Tape) each(n int, do func(i int)) {
	next := make(chan int)
	var all sync.WaitGroup
	for range min(t.tasks, n) {
		all.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
}

// grow makes room for n numbers, whatever they are.
func grow(s []float32, n int) []float32 {
	if cap(s) < n {
		return make([]float32, n)
	}
	return s[:n]
}
