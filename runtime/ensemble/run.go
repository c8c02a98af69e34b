package ensemble

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Tensors are tensors by name.
type Tensors map[string]*Tensor

// Call computes a step: of the inputs of its model the outputs that output_map names, and perhaps others.
type Call func(ctx context.Context, step int, inputs Tensors) (Tensors, error)

// StepError is what went wrong in a step.
type StepError struct {
	Ensemble string
	Step     int
	Model    string
	Err      error
}

func (e *StepError) Error() string { return e.Where() + ": " + e.Err.Error() }

// Unwrap returns the error of the step.
func (e *StepError) Unwrap() error { return e.Err }

// Where names the step.
func (e *StepError) Where() string {
	return fmt.Sprintf("ensemble %q step %d (model %q)", e.Ensemble, e.Step, e.Model)
}

// ErrBytes is wrapped where the tensors of a request take more than the ensemble allows.
var ErrBytes = errors.New("the tensors of the request take too much memory")

// Run computes the outputs of an ensemble. Steps run as soon as their inputs are there, at the same time. The first error ends the others; Run returns when none
// runs any more. account is told of memory taken, and given back by negative numbers; its error ends the request. It may be nil.
//
// A step apart (-1: none) is not run: what it would read is returned instead, and what depends on it is left out. It has to be the last of its branch.
func (g *Graph) Run(ctx context.Context, inputs Tensors, apart int, call Call, account func(bytes int64) error) (outputs, held Tensors, err error) {
	r := &run{graph: g, call: call, account: account, apart: apart, tensors: Tensors{}, readers: map[string]int{}, left: make([]int, len(g.Steps))}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	defer r.cancel(nil)
	for name, n := range g.readers {
		r.readers[name] = n
	}
	for i, s := range g.Steps {
		r.left[i] = len(s.In)
	}
	given := Tensors{}
	for i := range g.Inputs {
		spec := &g.Inputs[i]
		t := inputs[spec.Name]
		switch {
		case t == nil && !spec.Optional:
			return nil, nil, fmt.Errorf("ensemble %q: input %q is missing", g.Name, spec.Name)
		case t != nil:
			if t, err = spec.conform(t); err != nil {
				return nil, nil, fmt.Errorf("ensemble %q: input %q: %w", g.Name, spec.Name, err)
			}
		}
		given[spec.Name] = t
	}
	r.mu.Lock()
	r.put(given)
	r.mu.Unlock()
	r.running.Wait()
	if r.err == nil && ctx.Err() != nil {
		r.err = context.Cause(ctx)
	}
	if r.err != nil {
		return nil, nil, r.err
	}
	return r.results()
}

// run is one request.
type run struct {
	graph   *Graph
	call    Call
	account func(bytes int64) error
	apart   int
	ctx     context.Context
	cancel  context.CancelCauseFunc
	running sync.WaitGroup

	mu      sync.Mutex
	tensors Tensors        // that somebody will read; nil ones are absent for good
	readers map[string]int // that have not read a tensor yet
	left    []int          // inputs that a step waits for
	bytes   int64
	err     error
}

// put takes in tensors, and starts the steps that have all their inputs now. The caller holds the lock.
func (r *run) put(made Tensors) {
	for name, t := range made {
		r.tensors[name] = t
		if err := r.count(t, 1); err != nil {
			r.fail(fmt.Errorf("ensemble %q: tensor %q: %w", r.graph.Name, name, err))
			return
		}
	}
	for i, s := range r.graph.Steps {
		before := r.left[i]
		for _, tensor := range s.In {
			if _, is := made[tensor]; is {
				r.left[i]--
			}
		}
		if before > 0 && r.left[i] == 0 && i != r.apart && r.err == nil {
			r.running.Go(func() { r.step(i) })
		}
	}
}

// count counts the memory of a tensor in or, with sign -1, out.
func (r *run) count(t *Tensor, sign int64) error {
	if t == nil {
		return nil
	}
	n := sign * t.Bytes()
	if r.bytes += n; r.bytes > r.graph.MaxBytes {
		return fmt.Errorf("%w: %d bytes, at most %d (parameter max_tensor_bytes)", ErrBytes, r.bytes, r.graph.MaxBytes)
	}
	if r.account != nil {
		return r.account(n)
	}
	return nil
}

func (r *run) fail(err error) {
	if r.err == nil {
		r.err = err
		r.cancel(err)
	}
}

func (r *run) step(i int) {
	s := &r.graph.Steps[i]
	r.mu.Lock()
	inputs := r.read(i)
	stop := r.err != nil
	r.mu.Unlock()
	if stop {
		return
	}
	outputs, err := r.call(r.ctx, i, inputs)
	made := Tensors{}
	for name, tensor := range s.Out {
		if err == nil && outputs[name] == nil {
			err = fmt.Errorf("tensor %q: the model gave no output %q", tensor, name)
		}
		made[tensor] = outputs[name]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.fail(&StepError{r.graph.Name, i, s.Model, err})
		return
	}
	r.release(s)
	r.put(made)
}

// read collects what a step reads. The caller holds the lock.
func (r *run) read(i int) Tensors {
	inputs := Tensors{}
	for in, tensor := range r.graph.Steps[i].In {
		if t := r.tensors[tensor]; t != nil {
			inputs[in] = t
		}
	}
	return inputs
}

// release forgets tensors that a step was the last to read. The caller holds the lock.
func (r *run) release(s *Step) {
	for _, tensor := range s.In {
		if r.readers[tensor]--; r.readers[tensor] == 0 {
			_ = r.count(r.tensors[tensor], -1) // giving back is never refused
			delete(r.tensors, tensor)
		}
	}
}

// results are the outputs that were made, and what the step apart reads.
func (r *run) results() (outputs, held Tensors, err error) {
	g := r.graph
	outputs = Tensors{}
	for i := range g.Outputs {
		spec := &g.Outputs[i]
		t := r.tensors[spec.Name]
		if t == nil && r.apart < 0 {
			return nil, nil, fmt.Errorf("ensemble %q: output %q was not made", g.Name, spec.Name)
		}
		if t == nil {
			continue
		}
		if outputs[spec.Name], err = spec.conform(t); err != nil {
			return nil, nil, fmt.Errorf("ensemble %q: output %q: %w", g.Name, spec.Name, err)
		}
	}
	if r.apart >= 0 {
		held = r.read(r.apart)
	}
	return outputs, held, nil
}

// Last returns the step that an answer in parts comes from: the only one that makes the tensor, which nothing but the ensemble's answer reads, nor what else it makes.
func (g *Graph) Last(makes func(step int) bool) int {
	for i, s := range g.Steps {
		if !makes(i) {
			continue
		}
		end := true
		for _, tensor := range s.Out {
			end = end && g.readers[tensor] == 1 && find(g.Outputs, tensor) != nil
		}
		if end {
			return i
		}
	}
	return -1
}
