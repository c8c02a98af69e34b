package repository

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"llmc/runtime/server"
)

// Plan is a plan that is to be loaded as a version of a model.
type Plan struct {
	Name, Version, Path string
	Config              *Config  // nil: the command line names the plan
	KVBytes             int64    // memory for its KV pages; 0: what the device gives
	Later               []string // plans that are loaded after it, which the device has to leave room for
	Serving             bool     // requests are answered while it is loaded
}

// Loader loads a plan. Closing the model gives back all that it took.
type Loader func(ctx context.Context, p Plan) (*server.Model, error)

// Offers is where loaded models are served: a server.
type Offers interface {
	Offer(ctx context.Context, name string, versions ...*server.Model) error
	Offered(name string) []*server.Model
}

// Mode says what makes models of a repository come and go.
type Mode string

// The modes, in the words of Triton.
const (
	None     Mode = "none"     // all are loaded at the start, and stay
	Explicit Mode = "explicit" // those that are named are loaded at the start, others by requests
	Poll     Mode = "poll"     // what is in the repository is served, as it changes
)

// Modes are all of them.
var Modes = []string{string(None), string(Explicit), string(Poll)}

// All, as the name of a model to load, means every model.
const All = "*"

// Options of a Host.
type Options struct {
	Fixed   []Plan // that the command line names
	Dir     string // of the repository; "": there is none
	Mode    Mode
	Initial []string // models to load at the start, in mode Explicit
	KVBytes int64    // memory for the KV pages of all models together; 0: each takes what its device gives
	Places  int      // models that share it; 0: those of the start, and one where models come and go
	Load    Loader
	Log     *slog.Logger
}

// Host has models come and go. It implements server.Repository.
type Host struct {
	options Options
	offers  Offers
	budget  *budget

	changing sync.Mutex // one change at a time

	mu     sync.Mutex // guards what follows
	states map[string]map[string]*state
}

// state is what became of a version.
type state struct {
	model  *server.Model // nil: it is not served
	stamp  string        // of the files that it was loaded of
	tried  string        // of the files that could not be loaded
	reason string        // why
}

// New returns a host that has loaded nothing.
func New(o Options) *Host {
	return &Host{options: o, states: map[string]map[string]*state{}}
}

// Start loads what there is to be served from the beginning and offers it. In mode Poll a model that can not be loaded is passed over; else it is an error.
func (h *Host) Start(ctx context.Context, offers Offers) error {
	h.changing.Lock()
	defer h.changing.Unlock()
	h.offers = offers
	sources, err := h.initial()
	if err != nil {
		return err
	}
	order := h.inOrder
	if h.options.Mode == Poll {
		order = h.withoutCircles
	}
	if sources, err = order(sources); err != nil {
		return err
	}
	var paths []string
	for _, s := range sources {
		paths = append(paths, s.plans()...)
	}
	places := h.options.Places
	if places == 0 {
		places = len(paths)
		if h.options.Dir != "" && h.options.Mode != None {
			places++
		}
	}
	h.budget = newBudget(h.options.KVBytes, places)
	for _, s := range sources {
		paths = paths[len(s.plans()):]
		h.stamped(s)
		err := h.change(ctx, s, paths, false)
		if err != nil && h.options.Mode == Poll && s.config != nil {
			h.options.Log.Error("model is not served", "model", s.name, "err", err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// initial are the sources of the start, those that the command line names first.
func (h *Host) initial() (list []*source, err error) {
	for _, p := range h.options.Fixed {
		list = append(list, &source{name: p.Name, versions: []version{{number: 1, path: p.Path}}})
	}
	if h.options.Dir == "" {
		return list, nil
	}
	all, err := names(h.options.Dir)
	if err != nil {
		return nil, err
	}
	wanted := h.options.Initial
	if h.options.Mode != Explicit || slices.Contains(wanted, All) {
		wanted = all
	}
	for _, name := range wanted {
		s, err := h.read(name)
		if err != nil && h.options.Mode == Poll {
			h.options.Log.Error("model is not served", "model", name, "err", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// read reads a model of the repository. Its name must not be that of a plan that the command line names.
func (h *Host) read(name string) (*source, error) {
	if h.fixed(name) {
		return nil, fmt.Errorf("%q: the command line names a plan that is called so: rename one", name)
	}
	s, err := read(h.options.Dir, name)
	if err != nil && !errors.Is(err, errAbsent) {
		h.note(name, "", "", err)
	}
	return s, err
}

func (h *Host) fixed(name string) bool {
	return slices.ContainsFunc(h.options.Fixed, func(p Plan) bool { return p.Name == name })
}

// change has the versions of a source served in place of what is served under its name: those that are served already, of the same files, stay; the others are
// loaded first. Where one can not be, nothing changes. The caller holds changing.
func (h *Host) change(ctx context.Context, s *source, later []string, serving bool) (err error) {
	var offered, loaded []*server.Model
	defer func() {
		if err == nil {
			return
		}
		for _, m := range loaded {
			err = errors.Join(err, m.Close())
		}
	}()
	for i, v := range s.versions {
		number := strconv.Itoa(v.number)
		if m := h.served(s.name, number, v.stamp); m != nil {
			offered = append(offered, m)
			continue
		}
		rest := later
		for _, other := range s.versions[i+1:] {
			rest = append(slices.Clone(rest), other.path)
		}
		if s.config != nil && s.config.node != nil {
			m, err := h.node(s, number)
			if err != nil {
				h.note(s.name, number, v.stamp, err)
				return fmt.Errorf("model %s: %w", s.name, err)
			}
			loaded, offered = append(loaded, m), append(offered, m)
			continue
		}
		m, err := h.load(ctx, Plan{Name: s.name, Version: number, Path: v.path, Config: s.config, Later: rest, Serving: serving})
		if err != nil {
			h.note(s.name, number, v.stamp, err)
			if s.config == nil { // the command line named its file
				return err
			}
			return fmt.Errorf("model %s version %s: %w", s.name, number, err)
		}
		loaded, offered = append(loaded, m), append(offered, m)
	}
	if err := h.offers.Offer(ctx, s.name, offered...); err != nil {
		number, stamp := "", ""
		if s.config != nil && s.config.node != nil { // it is its files, or what it needs: until they change it need not be tried again
			number, stamp = strconv.Itoa(s.versions[0].number), s.versions[0].stamp
		}
		h.note(s.name, number, stamp, err)
		return err
	}
	h.settle(s, offered)
	return nil
}

// load loads a plan within the memory that is left.
func (h *Host) load(ctx context.Context, p Plan) (*server.Model, error) {
	wanted := int64(0)
	if p.Config != nil {
		wanted = p.Config.KVBytes
	}
	bytes, give, err := h.budget.take(wanted)
	if err != nil {
		return nil, err
	}
	p.KVBytes = bytes
	m, err := h.options.Load(ctx, p)
	if err != nil {
		give()
		return nil, err
	}
	m.Version = p.Version
	m.Close = afterwards(m.Close, give)
	return m, nil
}

// afterwards calls then when close has returned, the first time.
func afterwards(close func() error, then func()) func() error {
	return sync.OnceValue(func() (err error) {
		defer then()
		if close != nil {
			err = close()
		}
		return err
	})
}

// Watch looks at the repository at every so often, in mode Poll, until ctx ends. What can not be loaded is tried again when its files have changed.
func (h *Host) Watch(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			h.look(ctx)
		}
	}
}

// look brings what is served to what the repository holds.
func (h *Host) look(ctx context.Context) {
	h.changing.Lock()
	defer h.changing.Unlock()
	there, err := names(h.options.Dir)
	if err != nil { // a repository that can not be read says nothing of its models
		h.options.Log.Error("repository", "err", err)
		return
	}
	for _, s := range h.readAll(there) {
		if h.stamped(s); !h.changed(s) {
			continue
		}
		if err := h.change(ctx, s, nil, true); err != nil {
			h.options.Log.Error("model unchanged", "model", s.name, "err", err)
		}
	}
	for _, name := range h.loaded() {
		if !slices.Contains(there, name) && !h.fixed(name) {
			if err := h.withdraw(ctx, name); err != nil {
				h.options.Log.Error("model stays", "model", name, "err", err)
			}
		}
	}
}
