package repository

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"llmc/runtime/server"
)

// unloaded is the reason of a model that was withdrawn.
const unloaded = "unloaded"

// Load implements server.Repository.
func (h *Host) Load(ctx context.Context, name string) error {
	if err := h.controlled(name); err != nil {
		return err
	}
	h.changing.Lock()
	defer h.changing.Unlock()
	err := h.loadWithNeeds(ctx, name)
	if err != nil {
		return &server.RepositoryError{Absent: errors.Is(err, errAbsent), Message: "load: " + err.Error()}
	}
	return nil
}

// Unload implements server.Repository. Ensembles that need the model stay, and say that it is not there.
func (h *Host) Unload(ctx context.Context, name string, dependents bool) error {
	if err := h.controlled(name); err != nil {
		return err
	}
	h.changing.Lock()
	defer h.changing.Unlock()
	offered := h.offers.Offered(name)
	if len(offered) == 0 {
		return &server.RepositoryError{Absent: true, Message: fmt.Sprintf("unload: no model %.200q is loaded", name)}
	}
	if err := h.withdraw(ctx, name); err != nil || !dependents {
		return err
	}
	return h.withdrawNeeds(ctx, offered)
}

// controlled refuses changes by requests where something else decides.
func (h *Host) controlled(name string) error {
	switch {
	case h.options.Mode != Explicit:
		return &server.RepositoryError{Message: fmt.Sprintf("requests load and unload no models in --model-control-mode %s: start with explicit", h.options.Mode)}
	case h.fixed(name):
		return &server.RepositoryError{Message: fmt.Sprintf("the model %q is none of the repository: the command line names its plan", name)}
	}
	return nil
}

// withdraw offers no version of a model any more. The caller holds changing.
func (h *Host) withdraw(ctx context.Context, name string) error {
	if err := h.offers.Offer(ctx, name); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.states[name] {
		*s = state{reason: unloaded}
	}
	return nil
}

// Index implements server.Repository: the versions that were ever loaded or tried, and the models that were not.
func (h *Host) Index() []server.IndexEntry {
	there, _ := names(h.options.Dir) // of one that can not be read, what is loaded is told
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []server.IndexEntry
	for name, versions := range h.states {
		for number, s := range versions {
			e := server.IndexEntry{Name: name, Version: number, State: server.Ready}
			if s.model == nil {
				e.State, e.Reason = server.Unavailable, s.reason
			} else if err := s.model.Available(); err != nil {
				e.State, e.Reason = server.Unavailable, err.Error()
			}
			list = append(list, e)
		}
	}
	for _, name := range there {
		if len(h.states[name]) == 0 {
			list = append(list, server.IndexEntry{Name: name})
		}
	}
	slices.SortFunc(list, func(a, b server.IndexEntry) int {
		x, _ := strconv.Atoi(a.Version)
		y, _ := strconv.Atoi(b.Version)
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(x, y))
	})
	return list
}

// served returns the model of a version that is served, if it was loaded of the same files.
func (h *Host) served(name, number, stamp string) *server.Model {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.states[name][number]; s != nil && s.stamp == stamp {
		return s.model
	}
	return nil
}

// changed tells whether a source is other than what is served of it, and has not been tried in vain.
func (h *Host) changed(s *source) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.states[s.name]
	served := 0
	for _, was := range known {
		if was.model != nil {
			served++
		}
	}
	fresh := served != len(s.versions)
	for _, v := range s.versions {
		was := known[strconv.Itoa(v.number)]
		switch {
		case was != nil && was.tried == v.stamp:
			return false
		case was == nil || was.stamp != v.stamp:
			fresh = true
		}
	}
	return fresh
}

// loaded lists the models that are served.
func (h *Host) loaded() (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, versions := range h.states {
		for _, s := range versions {
			if s.model != nil {
				list = append(list, name)
				break
			}
		}
	}
	return list
}

// note records why a version could not be loaded, "" of the model as a whole. What is served of it goes on being served. For lack of memory it may be tried again.
func (h *Host) note(name, number, stamp string, why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.entry(name, number)
	s.reason = why.Error()
	if !errors.Is(why, errNoRoom) {
		s.tried = stamp
	}
}

// entry returns the state of a version, a new one if there was none. The caller holds mu.
func (h *Host) entry(name, number string) *state {
	versions := h.states[name]
	if versions == nil {
		versions = map[string]*state{}
		h.states[name] = versions
	}
	s := versions[number]
	if s == nil {
		s = &state{}
		versions[number] = s
	}
	return s
}

// settle records what is served of a source now.
func (h *Host) settle(s *source, models []*server.Model) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.states[s.name], "")
	for _, was := range h.states[s.name] {
		if was.model != nil {
			*was = state{reason: unloaded}
		}
	}
	for i, v := range s.versions {
		*h.entry(s.name, strconv.Itoa(v.number)) = state{stamp: v.stamp, model: models[i]}
	}
}
