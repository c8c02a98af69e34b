package server

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"llmc/runtime/metrics"
)

// modelTable looks models up by name and version, and the adapters beside them. What it hands out may leave it at any time: a request holds its model by
// the model's door (holding).
type modelTable struct {
	mu     sync.RWMutex
	list   []*Model // the versions of a name together, in ascending order
	added  []*Model // adapters, in order of their loading
	byName map[string]*Model
}

// firstVersion is the version of a model that has none.
const firstVersion = "1"

// prepare checks a model and gives what it leaves open.
func (m *Model) prepare() error {
	planned := m.Node == nil && (m.Backend == nil) != (m.Encoder == nil) && (m.Tokenizer != nil || m.encodesImages())
	if m.Name == "" || !planned && (m.Node == nil || m.Backend != nil || m.Encoder != nil) {
		return fmt.Errorf("model %q: name, tokenizer, or one of backend, encoder and node is missing", m.Name)
	}
	m.Version = cmp.Or(m.Version, firstVersion)
	if m.MaxContext <= 0 {
		m.MaxContext = m.Info.MaxContext
	}
	if m.Metrics == nil { // observations go where nobody reads them
		m.Metrics, _ = metrics.New().Model(metrics.ModelOptions{Name: m.Name, MaxContext: m.MaxContext})
	}
	m.requests, m.stats = &inflight{}, &statistics{}
	if m.Node != nil {
		m.node = &nodeState{}
	}
	return nil
}

// number orders versions.
func (m *Model) number() int {
	n, _ := strconv.Atoi(m.Version)
	return n
}

func newModelTable(models []Model) (*modelTable, error) {
	t := &modelTable{byName: map[string]*Model{}}
	for i := range models {
		m := models[i]
		if err := m.prepare(); err != nil {
			return t, err
		}
		if t.byName[m.Name] != nil {
			return t, fmt.Errorf("model %q: another model has this name", m.Name)
		}
		t.byName[m.Name] = &m
		t.list = append(t.list, &m)
	}
	return t, nil
}

// set puts versions, in ascending order, and the adapters beside them in place of what is offered under a name, at once. It returns what is offered no more.
func (t *modelTable) set(name string, versions, adapters []*Model) (gone []*Model) {
	t.mu.Lock()
	defer t.mu.Unlock()
	named := func(m *Model) bool { return m.Name == name }
	at := slices.IndexFunc(t.list, named)
	if at < 0 {
		at = len(t.list)
	}
	for _, m := range t.list {
		if named(m) && !slices.Contains(versions, m) {
			gone = append(gone, m)
		}
	}
	t.list = slices.Insert(slices.DeleteFunc(slices.Clone(t.list), named), at, versions...)
	t.added = slices.DeleteFunc(slices.Clone(t.added), func(m *Model) bool {
		if m.Parent == name {
			delete(t.byName, m.Name)
		}
		return m.Parent == name
	})
	delete(t.byName, name)
	if len(versions) > 0 {
		t.byName[name] = versions[len(versions)-1]
	}
	for _, m := range adapters {
		t.added, t.byName[m.Name] = append(t.added, m), m
	}
	return gone
}

// anyName are what clients of Text Generation Inference, which has one model and looks at no names, call it: its documentation, and huggingface_hub.
var anyName = map[string]bool{"tgi": true, "dummy": true}

// errNoModel is what a server answers that has none.
var errNoModel = &apiError{status: 404, kind: kindRequest, code: "model_not_found", param: "model", message: "no model is loaded here"}

// only returns the model of a server that has one with a plan. The caller holds the lock.
func (t *modelTable) only() (only *Model) {
	for _, m := range t.list {
		if only != nil && m.Node == nil && m.Name != only.Name {
			return nil
		}
		if m.Node == nil {
			only = m
		}
	}
	return only
}

// first returns the first of the models with plans, nil where there is none.
func (t *modelTable) first() *Model {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, m := range t.list {
		if m.Node == nil {
			return t.byName[m.Name]
		}
	}
	return nil
}

// find returns the model of a request; "" means the only one.
func (t *modelTable) find(name string) (*Model, error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if only := t.only(); only != nil && (name == "" || anyName[name] && t.byName[name] == nil) {
		return only, nil
	}
	if len(t.list) == 0 {
		return nil, errNoModel
	}
	if name == "" {
		return nil, missing("model")
	}
	if m := t.byName[name]; m != nil {
		return m, nil
	}
	return nil, &apiError{
		status: 404, kind: kindRequest, code: "model_not_found", param: "model",
		message: fmt.Sprintf("the model %.200q does not exist here; GET /v1/models lists those that do", name),
	}
}

// version returns a version of a model; "" is the highest.
func (t *modelTable) version(name, version string) (*Model, error) {
	m, err := t.find(name)
	if err != nil || version == "" {
		return m, err
	}
	versions := t.versions(m)
	for _, other := range versions {
		if other.Version == version {
			return other, nil
		}
	}
	var has []string
	for _, other := range versions {
		has = append(has, other.Version)
	}
	return nil, &apiError{status: 404, kind: kindRequest, code: "model_not_found",
		message: fmt.Sprintf("the model %.200q has no version %.32q, only %s", name, version, strings.Join(has, ", "))}
}

// versions are those of a model; of an adapter its own.
func (t *modelTable) versions(m *Model) []*Model {
	if m.Adapter != nil {
		return []*Model{m}
	}
	return t.where(func(other *Model) bool { return other.Name == m.Name })
}

// where returns those of the models, adapters left out, that are as is asked for.
func (t *modelTable) where(holds func(*Model) bool) (some []*Model) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, m := range t.list {
		if holds(m) {
			some = append(some, m)
		}
	}
	return some
}

// all returns the models, and the adapters behind them.
func (t *modelTable) all() []*Model {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return append(slices.Clone(t.list), t.added...)
}

// current returns what names stand for: of each model the highest version, and the adapters.
func (t *modelTable) current() (some []*Model) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, m := range append(slices.Clone(t.list), t.added...) {
		if t.byName[m.Name] == m {
			some = append(some, m)
		}
	}
	return some
}

// named returns what a name stands for, nil where it is free.
func (t *modelTable) named(name string) *Model {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byName[name]
}

// adaptersOf are the adapters beside a model.
func (t *modelTable) adaptersOf(name string) (some []*Model) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, m := range t.added {
		if m.Parent == name {
			some = append(some, m)
		}
	}
	return some
}

// put takes in an adapter, at once in place of one of its name if there is one.
func (t *modelTable) put(m *Model) (before *Model) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before = t.byName[m.Name]
	t.added = append(slices.DeleteFunc(slices.Clone(t.added), func(other *Model) bool { return other == before }), m)
	t.byName[m.Name] = m
	return before
}

// remove takes an adapter out; nil: none is called that.
func (t *modelTable) remove(name string) *Model {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.byName[name]
	if m == nil || m.Adapter == nil {
		return nil
	}
	delete(t.byName, name)
	t.added = slices.DeleteFunc(slices.Clone(t.added), func(other *Model) bool { return other == m })
	return m
}

// host returns the model that is to get an adapter: the one of that name, or the only one that takes any.
func (t *modelTable) host(name string) (*Model, error) {
	hosts := slices.DeleteFunc(t.current(), func(m *Model) bool { return m.Adapter != nil || m.Adapters == nil || name != "" && m.Name != name })
	switch {
	case len(hosts) == 1:
		return hosts[0], nil
	case len(hosts) > 1:
		return nil, invalid("base_model_name", "missing_required_parameter", "several models take adapters: name one as base_model_name")
	case name != "":
		return nil, invalid("base_model_name", "invalid_value", "the model %.200q takes no adapters here", name)
	}
	return nil, invalid("", "adapters_off", "this server takes no adapters: start it with --max-loras N, and a plan that generates on a CPU")
}
