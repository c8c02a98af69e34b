package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Offer puts versions of a model in place of what is offered under the name, at once; none withdraws the name. New requests find the new versions, those that
// run end with what they have, and then what is offered no more is closed (Model.Close). Versions that stay are given as the server knows them (Offered).
// Adapters beside the model are loaded beside its highest version first. An error leaves all as it was, and the new versions with the caller.
func (s *Server) Offer(ctx context.Context, name string, versions ...*Model) error {
	s.loading.Lock()
	defer s.loading.Unlock()
	if s.inflight.isDraining() { // nobody would close them
		return errStopping
	}
	if m := s.models.named(name); m != nil && m.Adapter != nil {
		return invalid("model", "invalid_value", "the name %.200q is that of an adapter: unload it first", name)
	}
	versions = slices.Clone(versions)
	slices.SortFunc(versions, func(a, b *Model) int { return a.number() - b.number() })
	for i, m := range versions {
		if m.Name != name || i > 0 && versions[i-1].Version == m.Version {
			return fmt.Errorf("model %q: version %s is called %q, or is there twice", name, m.Version, m.Name)
		}
		if m.requests == nil {
			if err := m.prepare(); err != nil {
				return err
			}
		}
	}
	if err := s.offerNodes(versions); err != nil {
		return err
	}
	var highest *Model
	if len(versions) > 0 {
		highest = versions[len(versions)-1]
	}
	adapters, err := s.moveAdapters(ctx, name, highest)
	if err != nil {
		return err
	}
	if highest != nil {
		s.models.tell(highest)
	}
	for _, m := range s.models.set(name, versions, adapters) {
		s.retire(m)
	}
	return nil
}

// Offered returns the versions that are offered under a name, the lowest first.
func (s *Server) Offered(name string) []*Model {
	return s.models.where(func(m *Model) bool { return m.Name == name })
}

// retire closes a model that is offered no more, when its last request has ended.
func (s *Server) retire(m *Model) {
	empty := m.requests.drain()
	s.retiring.Go(func() {
		<-empty
		if m.Close == nil {
			return
		}
		if err := m.Close(); err != nil {
			s.log.Error("closing a model", "model", m.Name, "version", m.Version, "err", err)
		}
	})
}

// moveAdapters loads the adapters beside a model beside another that is to take its place. Nothing is offered yet. Those of a model that goes for good go with it.
func (s *Server) moveAdapters(ctx context.Context, name string, to *Model) (moved []*Model, err error) {
	old := s.models.adaptersOf(name)
	if to == nil {
		return nil, nil
	}
	defer func() {
		if err != nil {
			for _, m := range moved {
				if !slices.Contains(old, m) {
					m.Adapter.Unload()
				}
			}
			moved = nil
		}
	}()
	for _, m := range old {
		if m.parent == to {
			moved = append(moved, m)
			continue
		}
		next, err := s.loadBeside(ctx, to, m.Name, m.Root)
		if err != nil {
			return moved, fmt.Errorf("model %s: its adapter %s can not go along: %w; unload it first", name, m.Name, err)
		}
		moved = append(moved, next)
	}
	return moved, nil
}

// loadBeside loads an adapter beside a model.
func (s *Server) loadBeside(ctx context.Context, m *Model, name, path string) (*Model, error) {
	if m.Adapters == nil {
		return nil, invalid("", "adapters_off", "the model %.200q takes no adapters here", m.Name)
	}
	plan, err := m.Adapters.Open(ctx, path)
	if err != nil {
		return nil, adapterError(err, path)
	}
	adapter, err := m.Adapters.Host.LoadAdapter(plan)
	if err != nil {
		return nil, errors.Join(adapterError(err, path), plan.Close())
	}
	offered := *m
	offered.Name, offered.Root, offered.Parent, offered.Adapter, offered.parent, offered.Close = name, path, m.Name, adapter, m, nil
	offered.Created, offered.Fingerprint = s.now(), fingerprint(plan.Digest())
	return &offered, nil
}
