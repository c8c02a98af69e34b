package interp

import (
	"fmt"

	"llmc/internal/sym"
	"llmc/ir"
)

// Machine runs the functions of one module and holds the state of its caches between runs.
type Machine struct {
	// Watch, when set, sees every value as it is computed. Tokens of caches are empty.
	Watch func(v *ir.Value, t Tensor)
	// Revise, when set, gives what the ops behind a value read in its place: t itself, or another tensor of its shape. It may not change t.
	Revise func(v *ir.Value, t Tensor) Tensor
	// Exact leaves out all rounding to narrower formats, of activations and of caches: what remains is the function that is computed.
	Exact bool
	// KeepBytes bounds the memory for weights that stay converted between uses; 0 keeps none.
	KeepBytes int64
	// Card, when set, says which one of several the machine is.
	Card *Card

	m      *ir.Module
	source Weights
	kept   map[*ir.Weight][]float32
	caches map[string]*cache
}

// New returns a machine with empty caches.
func New(m *ir.Module, weights Weights) *Machine {
	machine := &Machine{KeepBytes: 1 << 30, m: m, source: weights, kept: map[*ir.Weight][]float32{}, caches: map[string]*cache{}}
	for _, c := range m.Caches {
		machine.caches[c.Name] = newCache(c)
	}
	return machine
}

// Drop forgets a sequence: its positions start anew.
func (m *Machine) Drop(seq int) {
	for _, c := range m.caches {
		c.drop(seq)
	}
}

// Run executes the function called name and returns its results. The tensors of cache tokens are empty.
func (m *Machine) Run(name string, batch *Batch) ([]Tensor, error) {
	f := m.m.Func(name)
	if f == nil {
		return nil, fmt.Errorf("no function @%s", name)
	}
	r := &run{Machine: m, batch: batch, values: map[*ir.Value]Tensor{}}
	r.env = sym.Bind(int64(len(batch.IDs)), int64(len(batch.seqStart())-1), int64(len(batch.Rows)), 0)
	if err := r.params(f); err != nil {
		return nil, fmt.Errorf("function @%s: %w", name, err)
	}
	uses := f.Uses()
	for i, op := range f.Ops {
		if err := r.step(op); err != nil {
			return nil, fmt.Errorf("function @%s, op %d (%s): %w", name, i, op.Kind.Name, err)
		}
		for _, a := range op.Args {
			if last := uses[a]; a != nil && last[len(last)-1].Op == op {
				delete(r.values, a)
			}
		}
	}
	var results []Tensor
	for _, v := range f.Results {
		results = append(results, r.values[v])
	}
	return results, nil
}

// run is one execution of a function.
type run struct {
	*Machine
	batch  *Batch
	values map[*ir.Value]Tensor
	env    sym.Env
}

func (r *run) params(f *ir.Func) error {
	if len(r.batch.Positions) != len(r.batch.IDs) || len(r.batch.RopeLen) != len(r.batch.IDs) || len(r.batch.Seq) != len(r.batch.IDs) {
		return fmt.Errorf("batch of %d ids, %d positions, %d lengths, %d sequences", len(r.batch.IDs), len(r.batch.Positions), len(r.batch.RopeLen), len(r.batch.Seq))
	}
	known := map[string]Tensor{
		"ids": indices(r.batch.IDs), "positions": indices(r.batch.Positions), "ropelen": indices(r.batch.RopeLen), "rows": indices(r.batch.Rows),
		"types": indices(r.batch.types()), "seq_start": indices(r.batch.seqStart()),
	}
	for _, p := range f.Params {
		if p.Type.IsToken() {
			continue
		}
		t, ok := r.batch.Inputs[p.Name]
		if !ok {
			t, ok = known[p.Name]
		}
		if !ok && r.batch.Types == nil && insertedAlone(f, p) { // no token takes a row of it
			rows, _ := p.Type.Rows().Eval(r.env)
			cols, _ := p.Type.Cols()
			t, ok = newTensor(int(rows), int(cols)), true
		}
		if !ok {
			return fmt.Errorf("no input for parameter %%%s", p.Name)
		}
		if err := r.fits(p, t); err != nil {
			return fmt.Errorf("parameter %%%s: %w", p.Name, err)
		}
		r.values[p] = t
	}
	return nil
}

// fits compares a tensor with the type of its value.
func (r *run) fits(v *ir.Value, t Tensor) error {
	rows, err := v.Type.Rows().Eval(r.env)
	if err != nil {
		return err
	}
	cols, _ := v.Type.Cols()
	if int64(t.Rows) != rows || int64(t.Cols) != cols {
		return fmt.Errorf("%v is [%d,%d] here, got [%d,%d]", v.Type, rows, cols, t.Rows, t.Cols)
	}
	return nil
}

func (r *run) step(op *ir.Op) error {
	exec, ok := executors[op.Kind.Name]
	if !ok {
		return fmt.Errorf("the interpreter has no such op")
	}
	c := &call{run: r, op: op}
	if err := exec(c); err != nil {
		return err
	}
	for i, v := range op.Results {
		var t Tensor
		if !v.Type.IsToken() {
			t = c.out[i]
			if r.Revise != nil {
				t = r.Revise(v, t)
			}
			if err := r.fits(v, t); err != nil {
				return err
			}
		}
		r.values[v] = t
		if r.Watch != nil {
			r.Watch(v, t)
		}
	}
	return nil
}

// call is one op being executed; out receives its results, tokens left out.
type call struct {
	*run
	op  *ir.Op
	out []Tensor
}

// arg returns an operand that is not a weight.
func (c *call) arg(name string) Tensor { return c.values[c.op.Arg(name)] }

// has tells whether an optional operand is given.
func (c *call) has(name string) bool { return c.op.Arg(name) != nil }

func (c *call) int(name string) int { return int(c.op.Int(name)) }

func (c *call) give(t ...Tensor) { c.out = append(c.out, t...) }
