package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"llmc/engine"
	"llmc/internal/cli"
	"llmc/internal/version"
	"llmc/runtime"
	"llmc/runtime/device/cpu"
	"llmc/runtime/encode"
	"llmc/runtime/energy"
	"llmc/runtime/metrics"
	"llmc/runtime/server"
)

type serveFlags struct {
	deviceFlags
	draftFlags
	adapterFlags
	host, keyFile   string
	port            int
	tlsCert, tlsKey string
	verify          string
	name            string
	queueLimit      int
	grace, stall    time.Duration
	openMetrics     bool
	origins         []string
	noPrefixCache   bool
	limitImages     int
	tellFlags
}

func serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:         "serve PLAN...",
		Short:       "Serve plans over HTTP: the OpenAI API (of encoders: embeddings, rerank and score), metrics, and a chat page at /",
		Example:     "  llmrun serve engine.plan\n  llmrun serve engine.plan --port 8080 --api-key-file keys.txt --max-batch 32\n  llmrun serve engine.plan --adapter support=./support-lora --adapter sql=sql.plan",
		Args:        cobra.MinimumNArgs(1),
		Annotations: map[string]string{cli.Drains: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.draftFlags.check(cmd); err != nil {
				return err
			}
			plans, err := f.adapterFlags.check(args)
			if err != nil {
				return err
			}
			return f.run(cmd.Context(), plans)
		},
	}
	f.deviceFlags.add(cmd)
	f.draftFlags.add(cmd)
	f.adapterFlags.add(cmd)
	f.addLimits(cmd)
	f.tellFlags.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.host, "host", "127.0.0.1", "address to listen on")
	flags.IntVar(&f.port, "port", 8000, "port to listen on; 0: any free one")
	flags.StringVar(&f.keyFile, "api-key-file", "", "file with one API key a line; re-read when it changes. Behind a tab: name=TEXT priority=N requests-per-minute=N max-concurrent=N prefix-cache=own|shared")
	flags.StringVar(&f.tlsCert, "tls-cert", "", "certificate file; with --tls-key the server speaks TLS")
	flags.StringVar(&f.tlsKey, "tls-key", "", "key file of the certificate")
	flags.StringVar(&f.verify, "verify", "background", "when to check the hashes of weights: full (before serving), background, off")
	flags.StringVar(&f.name, "served-model-name", "", "name of the model in requests (default: the plan's file name)")
	flags.IntVar(&f.queueLimit, "queue-limit", 0, "requests that may wait before more are answered 429 (default 1024)")
	flags.DurationVar(&f.grace, "shutdown-timeout", 30*time.Second, "how long running requests may take to end after SIGTERM")
	flags.DurationVar(&f.stall, "stall-timeout", 2*time.Minute, "how long a step may take before /health, /livez and /readyz answer 503")
	flags.BoolVar(&f.openMetrics, "open-metrics", false, "/metrics needs no API key")
	flags.StringSliceVar(&f.origins, "allow-origin", nil, "web origins that may call the API from a browser")
	flags.BoolVar(&f.noPrefixCache, "no-prefix-cache", false, "compute every prompt from its first token")
	flags.IntVar(&f.limitImages, "limit-images", 0, "images that a request may show a model that reads them (default 8)")
	cli.CompleteFlag(cmd, "verify", verifyModes...)
	cli.AddPlanned(cmd, []cli.Planned{
		{Name: "model-repository", Why: "name the plans one after the other"},
		{Name: "grpc-port", Why: "clients speak HTTP", Harmless: []string{"0"}},
		{Name: "tp", Why: onOneDevice, Harmless: []string{"1"}},
		{Name: "pp", Why: onOneDevice, Harmless: []string{"1"}},
		{Name: "nnodes", Why: onOneDevice, Harmless: []string{"1"}},
		{Name: "node-rank", Why: onOneDevice, Harmless: []string{"0"}},
		{Name: "leader-addr", Why: onOneDevice},
	})
	return cmd
}

const onOneDevice = "a plan runs on one device of one machine"

// verifyModes are the values of --verify.
var verifyModes = []string{"full", "background", "off"}

// refuse refuses what is wrong whatever the plans hold, before any is loaded. The names of the models are those of the files.
func (f *serveFlags) refuse(plans []string) error {
	seen := map[string]string{}
	for _, path := range plans {
		name := f.modelName(path)
		if other, twice := seen[name]; twice && f.name == "" {
			return cli.Usagef("%s and %s would both be called %q: rename a file", other, path, name)
		}
		seen[name] = path
	}
	switch {
	case f.name != "" && len(plans) > 1:
		return cli.Usagef("--served-model-name names one model, there are %d plans", len(plans))
	case f.draftFlags.plan() != "" && len(plans) > 1:
		return cli.Usagef("--draft %s drafts for one plan, there are %d; ngram drafts for all", f.draft, len(plans))
	case f.port < 0 || f.port > math.MaxUint16:
		return cli.Usagef("--port is %d: must be within 0..%d", f.port, math.MaxUint16)
	case !slices.Contains(verifyModes, f.verify):
		return cli.Usagef("--verify is %q: must be one of %s", f.verify, strings.Join(verifyModes, ", "))
	case (f.tlsCert == "") != (f.tlsKey == ""):
		return cli.Usagef("--tls-cert and --tls-key need each other")
	case f.logPrompts && f.requestLog == "":
		return cli.Usagef("--request-log-prompts needs --request-log")
	case f.limitImages < 0:
		return cli.Usagef("--limit-images is %d: must be at least 1, or 0 for the default", f.limitImages)
	case f.stall <= 0:
		return cli.Usagef("--stall-timeout is %v: must be above 0", f.stall)
	case f.grace < 0:
		return cli.Usagef("--shutdown-timeout is %v: must not be below 0", f.grace)
	}
	_, err := f.resolved()
	return err
}

// modelName is what requests call the model of a plan.
func (f *serveFlags) modelName(path string) string {
	if f.name != "" {
		return f.name
	}
	return strings.TrimSuffix(filepath.Base(path), ".plan")
}

func (f *serveFlags) run(ctx context.Context, plans []string) error {
	start := time.Now()
	if err := f.refuse(plans); err != nil {
		return err
	}
	f.makeRoom()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s := serving{flags: f, log: log, registry: metrics.New()}
	defer s.close()
	told, err := f.open(s.registry, log)
	if err != nil {
		return err
	}
	defer told.close()
	if s.energy, err = energy.Open(energy.Root); err == nil {
		defer s.energy.Close()
	}
	for i := range plans {
		if err := s.load(ctx, plans, i); err != nil {
			return err
		}
	}
	config := server.Config{
		Models: s.models, Version: version.Full(), Metrics: s.registry, OpenMetrics: f.openMetrics, AllowOrigins: f.origins,
		CertFile: f.tlsCert, KeyFile: f.tlsKey, Log: log, Requests: told.requests, LogPrompts: f.logPrompts, Traces: told.traces,
	}
	if f.keyFile != "" {
		keys, err := server.LoadKeys(f.keyFile, log)
		if err != nil {
			return err
		}
		config.Keys = keys
	}
	srv, err := server.New(config)
	if err != nil {
		return err
	}
	if err := f.loadNamed(ctx, srv); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(f.host, strconv.Itoa(f.port)))
	if err != nil {
		return err
	}
	scheme := "http"
	if f.tlsCert != "" {
		scheme = "https"
	}
	for _, a := range f.named {
		s.names = append(s.names, a.Name)
	}
	fmt.Fprintf(os.Stderr, "ready: %s://%s (%s) in %.3f s\n", scheme, ln.Addr(), strings.Join(s.names, ", "), time.Since(start).Seconds())
	s.tellMemory()
	s.verifyInBackground(ctx)
	return f.serve(ctx, srv, ln, s.lost(ctx))
}

// serve runs until the first SIGTERM or interrupt, or until a device is lost, then lets running requests end; a second signal ends at once.
func (f *serveFlags) serve(ctx context.Context, srv *server.Server, ln net.Listener, lost <-chan error) error {
	serveCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(serveCtx, ln) }()
	var reason error
	select {
	case err := <-failed:
		return err
	case reason = <-lost: // its requests have ended; those of other models go on
	case <-ctx.Done():
	}
	fmt.Fprintf(os.Stderr, "draining: up to %v, signal again to stop now\n", f.grace)
	drainCtx, stop := signal.NotifyContext(serveCtx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	drainCtx, expire := context.WithTimeout(drainCtx, f.grace)
	defer expire()
	if err := srv.Shutdown(drainCtx); err != nil && reason == nil {
		return fmt.Errorf("requests were cut off: %w", err)
	}
	return reason
}

// serving holds what is open while the server runs.
type serving struct {
	flags    *serveFlags
	log      *slog.Logger
	registry *metrics.Registry
	energy   *energy.Ledger // nil: it can not be read here
	models   []server.Model
	names    []string
	loaded   []*runtime.Loaded
	drafts   []*runtime.Loaded          // that guess for these
	engines  map[string]*runtime.Engine // by name, of models that generate
	encoders []*encode.Service
}

// load loads one of the plans, and leaves room for those behind it.
func (s *serving) load(ctx context.Context, plans []string, i int) error {
	path := plans[i]
	settings, err := s.flags.resolved()
	if err != nil {
		return err
	}
	loads := plans
	if draft := s.flags.draftFlags.plan(); draft != "" {
		loads = append(slices.Clone(plans), draft)
	}
	settings.KVBytes /= int64(len(plans))
	if err := s.flags.limit(path, &settings); err != nil {
		return err
	}
	for _, later := range loads[i+1:] {
		if info, err := os.Stat(later); err == nil {
			settings.LaterPlans, settings.LaterBytes = settings.LaterPlans+1, settings.LaterBytes+info.Size()
		}
	}
	s.flags.reserve(&settings)
	ofDraft, err := s.flags.shareKV(path, s.flags.device, &settings)
	if err != nil {
		return err
	}
	loaded, err := runtime.Load(path, s.flags.device, settings)
	if err != nil {
		return err
	}
	s.loaded = append(s.loaded, loaded)
	ofDraft.LaterPlans, ofDraft.LaterBytes, ofDraft.MaxAdapters = 0, 0, 0
	for _, note := range loaded.Notes {
		fmt.Fprintf(os.Stderr, "note: %s: %s\n", path, note)
	}
	if loaded.Info.Encoder != nil {
		return s.offerEncoder(ctx, path, loaded)
	}
	drafting, draft, err := s.flags.drafting(loaded, s.flags.device, ofDraft)
	if err != nil {
		return err
	}
	if draft != nil {
		s.drafts = append(s.drafts, draft)
	}
	if err := s.verifyFirst(ctx, append(s.loaded[i:], s.drafts...)...); err != nil {
		return err
	}
	return s.offer(path, loaded, drafting)
}

// offer offers a plan that generates.
func (s *serving) offer(path string, loaded *runtime.Loaded, drafting runtime.Drafting) error {
	name := s.flags.modelName(path)
	options := runtime.Options{
		QueueLimit: s.flags.queueLimit, NoPrefixCache: s.flags.noPrefixCache, Drafting: drafting, StallAfter: s.flags.stall, Log: s.log,
	}
	if loaded.Device == (cpu.Device{}).Name() { // the counters are those of processors
		options.Energy = s.energy
	}
	model, e, err := server.NewModel(name, loaded, s.registry, options)
	if err != nil {
		return err
	}
	model.Adapters, model.MaxImages = adaptersOf(loaded, e), s.flags.limitImages
	if s.engines == nil {
		s.engines = map[string]*runtime.Engine{}
	}
	s.models, s.names, s.engines[name] = append(s.models, model), append(s.names, name), e
	return nil
}

// offerEncoder offers a plan that makes vectors or scores.
func (s *serving) offerEncoder(ctx context.Context, path string, loaded *runtime.Loaded) error {
	if draft := s.flags.draftFlags.plan(); draft != "" {
		return cli.Usagef("--draft %s guesses tokens; %s makes embeddings or scores of texts and generates none", draft, path)
	}
	if err := s.verifyFirst(ctx, loaded); err != nil {
		return err
	}
	name := s.flags.modelName(path)
	model, service, err := server.NewEncoder(name, loaded, s.registry, encode.ServiceOptions{Queue: s.flags.queueLimit, StallAfter: s.flags.stall})
	if err != nil {
		return err
	}
	s.models, s.names, s.encoders = append(s.models, model), append(s.names, name), append(s.encoders, service)
	return nil
}

// verifyFirst checks the weights of plans before they are served, if that is asked for.
func (s *serving) verifyFirst(ctx context.Context, plans ...*runtime.Loaded) error {
	if s.flags.verify != "full" {
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

// verifyInBackground checks the weights while requests already run. A damaged plan ends the process: its answers are worth nothing.
func (s *serving) verifyInBackground(ctx context.Context) {
	if s.flags.verify != "background" {
		return
	}
	go func() {
		select {
		case <-time.After(verifyAfter):
		case <-ctx.Done():
			return
		}
		for _, l := range append(s.loaded, s.drafts...) {
			err := l.Plan.VerifyWeights(ctx, 1, nil)
			if errors.Is(err, engine.ErrChecksum) {
				s.log.Error("plan is damaged", "error", err)
				os.Exit(cli.ExitFailed)
			}
		}
	}()
}

// lost returns a channel that gets why a model lost its device.
func (s *serving) lost(ctx context.Context) <-chan error {
	reasons := make(chan error, len(s.engines))
	for name, e := range s.engines {
		go func() {
			select {
			case <-e.Lost():
				reasons <- fmt.Errorf("model %s: %w; start again", name, e.Health())
			case <-ctx.Done():
			}
		}()
	}
	return reasons
}

func (s *serving) close() {
	for _, e := range s.engines {
		_ = e.Close()
	}
	for _, e := range s.encoders {
		_ = e.Close()
	}
	for _, l := range append(s.loaded, s.drafts...) {
		_ = l.Close()
	}
}
