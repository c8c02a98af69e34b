package server

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"llmc/runtime/ensemble"
	"llmc/runtime/metrics"
)

// Node computes tensors of tensors, without a plan of its own: an *ensemble.Graph or an ensemble.Function.
type Node interface {
	Signature() ensemble.Signature
	Needs() []ensemble.Need
}

// nodeState is what a server knows of a model with a Node that it offers.
type nodeState struct {
	table  *modelTable // nil: it is not offered yet
	bound  atomic.Pointer[binding]
	counts *metrics.Inferences
}

// binding is what the models that a node needs were when it was last looked at, and whether they fit.
type binding struct {
	models []*Model
	err    error
}

// Available returns why a model can not be computed though it is offered: another that it needs is not loaded, or is another than it was.
func (m *Model) Available() error {
	if m.Node == nil || m.node == nil || m.node.table == nil {
		return nil
	}
	_, err := m.node.table.bind(m)
	return err
}

// unavailable is the answer of a model that lacks others.
func unavailable(format string, args ...any) *apiError {
	return &apiError{status: 503, kind: kindBusy, code: "model_unavailable", message: fmt.Sprintf(format, args...)}
}

// exact returns a version of a model, "" the highest; nil: there is none.
func (t *modelTable) exact(name, version string) *Model {
	t.mu.RLock()
	defer t.mu.RUnlock()
	m := t.byName[name]
	if m == nil || version == "" || m.Version == version {
		return m
	}
	for _, other := range t.list {
		if other.Name == name && other.Version == version {
			return other
		}
	}
	return nil
}

// bind finds the models that a node needs as they are now, and checks that they fit.
func (t *modelTable) bind(m *Model) ([]*Model, error) {
	return t.bindWithin(m, 0, map[*Model]bool{})
}

// bindWithin is bind of a model so deep in others; known are those that were looked at before.
func (t *modelTable) bindWithin(m *Model, depth int, known map[*Model]bool) ([]*Model, error) {
	if depth >= ensemble.MaxDepth {
		return nil, unavailable("the model %q contains itself, or ensembles more than %d deep", m.Name, ensemble.MaxDepth)
	}
	needs := m.Node.Needs()
	models := make([]*Model, len(needs))
	for i, need := range needs {
		found := t.exact(need.Name, need.Version)
		if found == nil {
			return nil, unavailable("the model %q is not available: it needs %s, which is not loaded", m.Name, needed(need))
		}
		if models[i] = found; found.Node == nil || known[found] {
			continue
		}
		if _, err := t.bindWithin(found, depth+1, known); err != nil {
			return nil, unavailable("the model %q is not available: %v", m.Name, err)
		}
	}
	known[m] = true
	if last := m.node.bound.Load(); last != nil && slices.Equal(last.models, models) {
		return last.models, last.err
	}
	b := &binding{models, m.fit(models)}
	m.node.bound.Store(b)
	return b.models, b.err
}

func needed(n ensemble.Need) string {
	if n.Version == "" {
		return fmt.Sprintf("the model %q", n.Name)
	}
	return fmt.Sprintf("version %s of the model %q", n.Version, n.Name)
}

// fit checks a node against the models that it needs.
func (m *Model) fit(models []*Model) error {
	g, wired := m.Node.(*ensemble.Graph)
	if !wired {
		for _, other := range models {
			if other.Tokenizer == nil {
				return unavailable("the model %q needs a tokenizer, and the model %q has none", m.Name, other.Name)
			}
		}
		return nil
	}
	signatures := make([]ensemble.Signature, len(models))
	for i, other := range models {
		signatures[i] = other.signature()
	}
	if err := g.Fit(signatures); err != nil {
		return unavailable("%v", err)
	}
	return nil
}

// signature is that of a model as others are wired to it.
func (m *Model) signature() (s ensemble.Signature) {
	if m.Node != nil {
		return m.Node.Signature()
	}
	inputs, outputs := m.tensors()
	for _, t := range inputs {
		s.Inputs = append(s.Inputs, ensemble.Spec{Name: t.Name, Type: t.Type, Dims: t.Shape, Optional: t.Optional})
	}
	for _, t := range outputs {
		s.Outputs = append(s.Outputs, ensemble.Spec{Name: t.Name, Type: t.Type, Dims: t.Shape})
	}
	return s
}

// specsOf are the tensors of a node as its metadata lists them.
func specsOf(list []ensemble.Spec) (specs []tensorSpec) {
	for _, s := range list {
		dims := s.Dims
		if dims == nil {
			dims = []int64{-1}
		}
		specs = append(specs, tensorSpec{s.Name, s.Type, dims, s.Optional})
	}
	return specs
}

// maxBatch is the largest batch of a model whose first size is one; 0: it is none.
func (m *Model) maxBatch() int {
	if g, ok := m.Node.(*ensemble.Graph); ok {
		return g.MaxBatch
	}
	if r, ok := m.Node.(*ensemble.Remote); ok {
		return r.MaxBatch()
	}
	return 0
}

// checkBatch refuses batches that are larger than a model takes.
func (m *Model) checkBatch(inputs ensemble.Tensors) error {
	most := m.maxBatch()
	if most == 0 {
		return nil
	}
	for name, t := range inputs {
		if len(t.Shape) > 0 && t.Shape[0] > int64(most) {
			return invalid(name, "invalid_value", "%s: the batch has %d, the model %q takes %d at most", name, t.Shape[0], m.Name, most)
		}
	}
	return nil
}

// asFault returns what went wrong in a node as clients are told it, nil where it is none of ours: the words of other servers are, their addresses are not.
func (s *Server) asFault(err error) *apiError {
	var step *ensemble.StepError
	if errors.As(err, &step) {
		inner := *s.asAPIError(step.Err)
		inner.message, inner.param = step.Where()+": "+inner.message, ""
		return &inner
	}
	var remote *ensemble.RemoteError
	if errors.As(err, &remote) {
		if remote.Err != nil {
			s.log.Warn("another server failed", "err", remote.Err)
		}
		e := &apiError{status: remote.Status, kind: kindBusy, code: "remote_failed", message: remote.Message}
		switch remote.Status {
		case 400:
			e.kind, e.code = kindRequest, "remote_refused"
		case 503:
			e.retry = remoteRetry
		case 504:
			e.code = "deadline_exceeded"
		}
		return e
	}
	if errors.Is(err, ensemble.ErrBytes) {
		return invalid("", "tensors_too_large", "%v", err)
	}
	return nil
}
