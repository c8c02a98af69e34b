package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"llmc/cmd/registry"
	"llmc/engine"
	"llmc/internal/cli"
	"llmc/runtime"
	"llmc/runtime/device/cpu"
	"llmc/runtime/encode"
	"llmc/runtime/energy"
	"llmc/runtime/metrics"
	"llmc/runtime/repository"
	"llmc/runtime/server"
)

// serving loads plans for a server.
type serving struct {
	flags    *serveFlags
	log      *slog.Logger
	registry *metrics.Registry
	energy   *energy.Ledger // nil: it can not be read here
	trust    *registry.Trust
	lost     chan error // gets why a model lost its device

	mu     sync.Mutex
	hosted []*hosted
}

// hosted is a model that is served.
type hosted struct {
	name          string
	loaded, draft *runtime.Loaded // draft: nil if nothing drafts
	watching      context.Context // ends with the model
	stop          context.CancelFunc
	watchers      sync.WaitGroup
}

// close gives back what the model holds, once nothing runs on it.
func (h *hosted) close() error {
	h.stop()
	h.watchers.Wait()
	var err error
	if h.draft != nil {
		err = h.draft.Close()
	}
	return errors.Join(h.loaded.Close(), err)
}

// load implements repository.Loader.
func (s *serving) load(ctx context.Context, p repository.Plan) (*server.Model, error) {
	if err := s.trust.Check(p.Path); err != nil {
		return nil, err
	}
	settings, err := s.settings(p)
	if err != nil {
		return nil, err
	}
	ofDraft, err := s.flags.shareKV(p.Path, s.flags.device, &settings)
	if err != nil {
		return nil, err
	}
	loaded, err := s.flags.load(p.Path, s.flags.device, settings)
	if err != nil {
		return nil, err
	}
	for _, note := range loaded.Notes {
		fmt.Fprintf(os.Stderr, "note: %s: %s\n", p.Path, note)
	}
	h := &hosted{name: p.Name, loaded: loaded}
	h.watching, h.stop = context.WithCancel(context.Background())
	ofDraft.LaterPlans, ofDraft.LaterBytes, ofDraft.MaxAdapters = 0, 0, 0
	model, err := s.offer(ctx, h, p, ofDraft)
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	model.Close = inTurn(model.Close, h.close, func() error { s.forget(h); return nil })
	if err := sameTensors(model, p.Config); err != nil {
		return nil, errors.Join(err, model.Close())
	}
	s.mu.Lock()
	s.hosted = append(s.hosted, h)
	s.mu.Unlock()
	return model, nil
}

// settings are those of the command line, and of the model's configuration.
func (s *serving) settings(p repository.Plan) (engine.Settings, error) {
	settings, err := s.flags.resolved()
	if err != nil {
		return settings, err
	}
	settings.KVBytes = p.KVBytes
	if c := p.Config; c != nil {
		for _, limit := range []struct {
			to *int
			by int
		}{{&settings.MaxSequences, c.MaxSequences}, {&settings.MaxContext, c.MaxContext}, {&settings.MaxStepTokens, c.MaxStepTokens}} {
			if limit.by > 0 {
				*limit.to = limit.by
			}
		}
	}
	if err := s.flags.limit(p.Path, &settings); err != nil {
		return settings, err
	}
	later := p.Later
	if draft := s.flags.draftFlags.plan(); draft != "" {
		later = append(slices.Clone(later), draft)
	}
	for _, path := range later {
		if info, err := os.Stat(path); err == nil {
			settings.LaterPlans, settings.LaterBytes = settings.LaterPlans+1, settings.LaterBytes+info.Size()
		}
	}
	s.flags.reserve(&settings)
	return settings, nil
}

// offer makes a model of a loaded plan.
func (s *serving) offer(ctx context.Context, h *hosted, p repository.Plan, ofDraft engine.Settings) (*server.Model, error) {
	queue, delay := s.flags.queueLimit, s.flags.delay
	if p.Config != nil {
		queue, delay = cmp.Or(p.Config.QueueLimit, queue), cmp.Or(p.Config.QueueDelay, delay)
	}
	if h.loaded.Info.Encoder != nil {
		if draft := s.flags.draftFlags.plan(); draft != "" {
			return nil, cli.Usagef("--draft %s guesses tokens; %s makes embeddings or scores of texts and generates none", draft, p.Path)
		}
		if err := s.verifyFirst(ctx, p.Serving, h.loaded); err != nil {
			return nil, err
		}
		model, service, err := server.NewEncoder(p.Name, h.loaded, s.registry, encode.ServiceOptions{Queue: queue, Delay: delay, StallAfter: s.flags.stall})
		if err != nil {
			return nil, err
		}
		s.watch(h, service)
		return &model, nil
	}
	if p.Config != nil && p.Config.QueueDelay > 0 {
		return nil, errors.New("config.pbtxt: dynamic_batching.max_queue_delay_microseconds: the model generates, and takes requests in at every step; remove it")
	}
	drafting, draft, err := s.flags.drafting(h.loaded, s.flags.device, ofDraft)
	if err != nil {
		return nil, err
	}
	checked := []*runtime.Loaded{h.loaded}
	if h.draft = draft; draft != nil {
		checked = append(checked, draft)
	}
	if err := s.verifyFirst(ctx, p.Serving, checked...); err != nil {
		return nil, err
	}
	options := runtime.Options{
		QueueLimit: queue, QueueTimeout: s.flags.queueTimeout, NoPrefixCache: s.flags.noPrefixCache, Drafting: drafting, StallAfter: s.flags.stall, Log: s.log,
	}
	if h.loaded.Device == (cpu.Device{}).Name() { // the counters are those of processors
		options.Energy = s.energy
	}
	s.flags.eventFlags.of(h.loaded, &options)
	model, e, err := server.NewModel(p.Name, h.loaded, s.registry, options)
	if err != nil {
		return nil, err
	}
	model.Adapters, model.MaxImages, model.Prefiller = adaptersOf(h.loaded, e, s.trust), s.flags.limitImages, s.prefiller(h.loaded, e)
	s.watch(h, e)
	return &model, nil
}

// inTurn calls all, the first time.
func inTurn(all ...func() error) func() error {
	return sync.OnceValue(func() (err error) {
		for _, f := range all {
			err = errors.Join(err, f())
		}
		return err
	})
}

// sameTensors refuses a configuration that describes another model.
func sameTensors(m *server.Model, c *repository.Config) error {
	if c == nil {
		return nil
	}
	inputs, outputs := m.Tensors()
	for _, list := range []struct {
		kind       string
		named, has []string
	}{{"input", c.Inputs, inputs}, {"output", c.Outputs, outputs}} {
		for _, name := range list.named {
			if !slices.Contains(list.has, name) {
				return fmt.Errorf("config.pbtxt: %s %.64q: the model has none; it has %s", list.kind, name, strings.Join(list.has, ", "))
			}
		}
	}
	return nil
}

func (s *serving) forget(h *hosted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosted = slices.DeleteFunc(s.hosted, func(other *hosted) bool { return other == h })
}

// names are what the ready line says is served: models with plans, adapters beside them, and models of the index that have no plan.
func (s *serving) names(adapters []namedAdapter, index []server.IndexEntry) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, h := range s.hosted {
		if !slices.Contains(names, h.name) {
			names = append(names, h.name)
		}
	}
	for _, a := range adapters {
		names = append(names, a.Name)
	}
	for _, e := range index {
		if e.State == server.Ready && !slices.Contains(names, e.Name) {
			names = append(names, e.Name)
		}
	}
	if len(names) == 0 {
		return "no model yet"
	}
	return strings.Join(names, ", ")
}

// verifyFirst checks the weights of plans before they are served, if that is asked for, and of plans that come while others are served: those may still be being
// written.
func (s *serving) verifyFirst(ctx context.Context, others bool, plans ...*runtime.Loaded) error {
	if s.flags.verify != "full" && (!others || s.flags.verify == "off") {
		return nil
	}
	for _, l := range plans {
		if err := l.Plan.VerifyWeights(ctx, 0, nil); err != nil {
			return err
		}
	}
	return nil
}

// verifyAfter is how long a server is left to its first requests before it checks the weights: hashing takes a processor of those that answers need.
const verifyAfter = time.Second

// verifyInBackground checks the weights of the start while requests already run. A plan that is damaged, or can not be read, ends the process:
// its answers are worth nothing.
func (s *serving) verifyInBackground(ctx context.Context) {
	if s.flags.verify != "background" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	start := time.Now()
	var before chan struct{} // closed when the plan before has been checked
	for _, h := range s.hosted {
		turn, done := before, make(chan struct{})
		h.watchers.Go(func() {
			defer close(done)
			select {
			case <-time.After(time.Until(start.Add(verifyAfter))):
			case <-h.watching.Done():
				return
			case <-ctx.Done():
				return
			}
			if turn != nil {
				select {
				case <-turn:
				case <-h.watching.Done():
					return
				}
			}
			s.verify(h)
		})
		before = done
	}
}

func (s *serving) verify(h *hosted) {
	for _, l := range []*runtime.Loaded{h.loaded, h.draft} {
		if l == nil {
			continue
		}
		err := l.Plan.VerifyWeights(h.watching, 1, nil)
		switch {
		case err == nil || h.watching.Err() != nil:
			continue
		case errors.Is(err, engine.ErrChecksum):
			s.log.Error("plan is damaged", "error", err)
		default: // a step would find the same, as a fault
			s.log.Error("plan can not be read", "error", err)
		}
		os.Exit(cli.ExitFailed)
	}
}

// service is what may lose its device.
type service interface {
	Lost() <-chan struct{}
	Health() error
}

// watch tells when a model loses its device.
func (s *serving) watch(h *hosted, e service) {
	h.watchers.Go(func() {
		select {
		case <-e.Lost():
			select {
			case s.lost <- fmt.Errorf("model %s: %w; start again", h.name, e.Health()):
			default: // another was first
			}
		case <-h.watching.Done():
		}
	})
}
