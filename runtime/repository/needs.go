package repository

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"llmc/runtime/server"
)

// plans are the files of a source.
func (s *source) plans() (paths []string) {
	for _, v := range s.versions {
		if v.path != "" {
			paths = append(paths, v.path)
		}
	}
	return paths
}

// needs are the names of the models that a source is made of.
func (s *source) needs() (list []string) {
	if s.config == nil {
		return nil
	}
	for _, n := range s.config.needs {
		list = append(list, n.Name)
	}
	return list
}

// node makes a version of a model without a plan.
func (h *Host) node(s *source, number string) (*server.Model, error) {
	node, err := s.config.node()
	if err != nil {
		return nil, err
	}
	m := &server.Model{Name: s.name, Version: number, Node: node, Created: time.Now()}
	m.Close = afterwards(func() error {
		if c, ok := node.(io.Closer); ok {
			return c.Close()
		}
		return nil
	}, func() {})
	return m, nil
}

// circleError are models that need each other.
type circleError struct{ names []string }

func (e *circleError) Error() string {
	return fmt.Sprintf("models need each other: %s", strings.Join(append(e.names, e.names[0]), ", "))
}

// inOrder brings sources into an order in which each comes behind those that it needs, plans first; what they need of the repository beside them is added.
// Models that need each other are an error that names them.
func (h *Host) inOrder(list []*source, without ...string) (ordered []*source, err error) {
	byName := map[string]*source{}
	for _, s := range list {
		byName[s.name] = s
	}
	for at := 0; at < len(list); at++ { // what is found is looked at too
		for _, name := range list[at].needs() {
			if byName[name] != nil || slices.Contains(without, name) || len(h.offers.Offered(name)) > 0 || h.fixed(name) {
				continue
			}
			s, err := h.read(name)
			if errors.Is(err, errAbsent) || err != nil && h.options.Mode == Poll {
				continue // what needs it says that it is not there
			}
			if err != nil {
				return nil, fmt.Errorf("model %s needs the model %s: %w", list[at].name, name, err)
			}
			list, byName[name] = append(list, s), s
		}
	}
	var path []string
	done := map[string]bool{}
	var visit func(s *source) error
	visit = func(s *source) error {
		if at := slices.Index(path, s.name); at >= 0 {
			return &circleError{slices.Clone(path[at:])}
		}
		if done[s.name] {
			return nil
		}
		path = append(path, s.name)
		for _, name := range s.needs() {
			if need := byName[name]; need != nil {
				if err := visit(need); err != nil {
					return err
				}
			}
		}
		path = path[:len(path)-1]
		done[s.name] = true
		ordered = append(ordered, s)
		return nil
	}
	for _, plans := range []bool{true, false} {
		for _, s := range list {
			if plans == (s.config == nil || s.config.node == nil) {
				if err := visit(s); err != nil {
					return nil, err
				}
			}
		}
	}
	return ordered, nil
}

// loadWithNeeds loads a model, and before it what it needs that is not loaded. The caller holds changing.
func (h *Host) loadWithNeeds(ctx context.Context, name string) error {
	s, err := h.read(name)
	if err != nil {
		return err
	}
	ordered, err := h.inOrder([]*source{s})
	if err != nil {
		h.note(name, "", "", err)
		return err
	}
	for _, s := range ordered {
		h.stamped(s)
		if err := h.change(ctx, s, nil, true); err != nil {
			return err
		}
	}
	return nil
}

// readAll reads models in the order in which they can be loaded. What can not be read, or is in a circle, is logged and left out.
func (h *Host) readAll(names []string) []*source {
	var list []*source
	for _, name := range names {
		s, err := h.read(name)
		if err != nil {
			h.options.Log.Error("model unchanged", "model", name, "err", err)
			continue
		}
		list = append(list, s)
	}
	ordered, err := h.withoutCircles(list)
	if err != nil {
		h.options.Log.Error("models unchanged", "err", err)
	}
	return ordered
}

// withoutCircles is inOrder of what is left when models that need each other are left out, which is logged.
func (h *Host) withoutCircles(list []*source, without ...string) ([]*source, error) {
	for {
		ordered, err := h.inOrder(list, without...)
		var circle *circleError
		if !errors.As(err, &circle) {
			return ordered, err
		}
		h.options.Log.Error("models unchanged", "err", err)
		without = append(without, circle.names...)
		list = slices.DeleteFunc(list, func(s *source) bool { return slices.Contains(circle.names, s.name) })
	}
}

// stamped adds to the stamps of a model without a plan those of what it needs: it is looked at anew when they change, and not before.
func (h *Host) stamped(s *source) {
	if s.config == nil || s.config.node == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var stamps []string
	for _, name := range s.needs() {
		for number, was := range h.states[name] {
			if was.model != nil {
				stamps = append(stamps, name+"/"+number+" "+was.stamp)
			}
		}
	}
	slices.Sort(stamps)
	for i := range s.versions {
		s.versions[i].stamp += strings.Join(slices.Compact(stamps), "")
	}
}

// withdrawNeeds withdraws what models that went were made of, but what other models need, or the command line names. The caller holds changing.
func (h *Host) withdrawNeeds(ctx context.Context, gone []*server.Model) error {
	for len(gone) > 0 {
		m := gone[0]
		gone = gone[1:]
		if m.Node == nil {
			continue
		}
		for _, need := range m.Node.Needs() {
			offered := h.offers.Offered(need.Name)
			if len(offered) == 0 || h.fixed(need.Name) || h.needed(need.Name) {
				continue
			}
			if err := h.withdraw(ctx, need.Name); err != nil {
				return err
			}
			gone = append(gone, offered...)
		}
	}
	return nil
}

// needed tells whether a model that is offered is made of another.
func (h *Host) needed(name string) bool {
	for _, other := range h.loaded() {
		for _, m := range h.offers.Offered(other) {
			if m.Node == nil {
				continue
			}
			for _, n := range m.Node.Needs() {
				if n.Name == name {
					return true
				}
			}
		}
	}
	return false
}
