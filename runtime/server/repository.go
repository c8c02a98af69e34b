package server

import (
	"context"
	"slices"

	"github.com/valyala/fasthttp"

	"llmc/runtime/server/strictjson"
)

// Repository says which models there are to be loaded, and has them come and go by Offer. Its errors of type RepositoryError are shown to clients.
type Repository interface {
	// Index lists what there is, loaded or not, by name and version.
	Index() []IndexEntry
	// Load loads the versions of a model that its configuration asks for, anew where they have changed, in place of those that are offered.
	Load(ctx context.Context, name string) error
	// Unload withdraws a model, with dependents also the models that it is made of. It does not wait for the requests that have it.
	Unload(ctx context.Context, name string, dependents bool) error
}

// IndexEntry is one version of a model of a repository.
type IndexEntry struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	State   string `json:"state,omitempty"` // READY, UNAVAILABLE, LOADING; "": it was never loaded
	Reason  string `json:"reason,omitempty"`
}

// States of models: those that take requests, and those that do not, for a reason.
const (
	Ready       = "READY"
	Unavailable = "UNAVAILABLE"
)

// RepositoryError refuses to change what is loaded.
type RepositoryError struct {
	Absent  bool // there is no such model
	Message string
}

func (e *RepositoryError) Error() string { return e.Message }

// refusal is the error as clients see it.
func (e *RepositoryError) refusal() *apiError {
	if e.Absent {
		return &apiError{status: 404, kind: kindRequest, code: "model_not_found", message: e.Message}
	}
	return invalid("", "model_not_changed", "%s", e.Message)
}

// errNoRepository is what a server without one answers.
var errNoRepository = invalid("", "no_repository", "the models of this server are fixed: start it with --model-repository DIR --model-control-mode explicit")

// errNoKeys is what a server answers that can not tell who may change it.
var errNoKeys = &apiError{status: 403, kind: kindRequest, code: "keys_needed", message: "models are loaded and unloaded by clients with an API key: start the server with --api-key-file F"}

// index lists the models: of the repository, or those that are served.
func (s *Server) index(ready bool) []IndexEntry {
	list := []IndexEntry{}
	if s.config.Repository == nil {
		for _, m := range s.models.all() {
			e := IndexEntry{Name: m.Name, Version: m.Version, State: Ready}
			if err := m.Available(); err != nil {
				e.State, e.Reason = Unavailable, err.Error()
			}
			if !ready || e.State == Ready {
				list = append(list, e)
			}
		}
		return list
	}
	for _, e := range s.config.Repository.Index() {
		if !ready || e.State == Ready {
			list = append(list, e)
		}
	}
	return list
}

// kserveIndex answers POST /v2/repository/index.
func (s *Server) kserveIndex(c *fasthttp.RequestCtx) error {
	ready := false
	if body := c.PostBody(); len(body) > 0 {
		value, err := strictjson.Check(body)
		if err != nil {
			return invalid("", "invalid_json", "the body is not valid JSON: %v", err)
		}
		members, ok := value.Object()
		if !ok {
			return invalid("", "invalid_type", "the body must be a JSON object, not %s", value.Kind())
		}
		for _, m := range members {
			if ready, ok = m.Value.Bool(); m.Key != "ready" || !ok && !m.Value.IsNull() {
				return invalid(clip(m.Key, maxParam), "unknown_parameter", "unknown member %.64q: there is ready, a boolean", m.Key)
			}
		}
	}
	writeJSON(c, s.index(ready))
	return nil
}

// kserveLoad answers POST /v2/repository/models/MODEL/load. Files and configurations are not taken from requests.
func (s *Server) kserveLoad(c *fasthttp.RequestCtx) error {
	if _, err := repositoryParameters(c.PostBody()); err != nil {
		return err
	}
	name, _ := c.UserValue("model").(string)
	return s.load(s.base, name)
}

// kserveUnload answers POST /v2/repository/models/MODEL/unload.
func (s *Server) kserveUnload(c *fasthttp.RequestCtx) error {
	dependents, err := repositoryParameters(c.PostBody(), unloadDependents)
	if err != nil {
		return err
	}
	name, _ := c.UserValue("model").(string)
	return s.unload(s.base, name, dependents)
}

// unloadDependents is the parameter of an unload that withdraws the models of an ensemble with it.
const unloadDependents = "unload_dependents"

// repositoryParameters reads the body of a request for the repository, in which only a parameter that is named may be; it is returned.
func repositoryParameters(body []byte, known ...string) (set bool, err error) {
	if len(body) == 0 {
		return false, nil
	}
	value, err := strictjson.Check(body)
	if err != nil {
		return false, invalid("", "invalid_json", "the body is not valid JSON: %v", err)
	}
	members, ok := value.Object()
	if !ok {
		return false, invalid("", "invalid_type", "the body must be a JSON object, not %s", value.Kind())
	}
	for _, m := range members {
		if m.Key != "parameters" {
			return false, invalid(clip(m.Key, maxParam), "unknown_parameter", "unknown member %.64q", m.Key)
		}
		parameters, ok := m.Value.Object()
		if !ok && !m.Value.IsNull() {
			return false, wrongType(m.Value, "an object").of("parameters")
		}
		for _, p := range parameters {
			if err := knownParameter(p.Key, known); err != nil {
				return false, err
			}
			if set, ok = p.Value.Bool(); !ok && !p.Value.IsNull() {
				return false, wrongType(p.Value, "a boolean").of(clip(p.Key, maxParam))
			}
		}
	}
	return set, nil
}

func knownParameter(name string, known []string) error {
	if slices.Contains(known, name) {
		return nil
	}
	return invalid(clip(name, maxParam), "unknown_parameter",
		"parameter %.64q: models and their configurations are files of the repository, nothing is taken from requests", name)
}

// load has the repository load a model.
func (s *Server) load(ctx context.Context, name string) error {
	return s.change(func(r Repository) error { return r.Load(ctx, name) })
}

func (s *Server) unload(ctx context.Context, name string, dependents bool) error {
	return s.change(func(r Repository) error { return r.Unload(ctx, name, dependents) })
}

func (s *Server) change(do func(Repository) error) error {
	switch {
	case s.config.Repository == nil:
		return errNoRepository
	case s.config.Keys == nil:
		return errNoKeys
	case s.inflight.isDraining():
		return errStopping
	}
	return do(s.config.Repository)
}
