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

	"llmc/cmd/registry"
	"llmc/internal/cli"
	"llmc/internal/version"
	"llmc/runtime/encode"
	"llmc/runtime/energy"
	"llmc/runtime/metrics"
	"llmc/runtime/repository"
	"llmc/runtime/server"
)

type serveFlags struct {
	deviceFlags
	draftFlags
	adapterFlags
	repositoryFlags
	host, keyFile       string
	port, grpcPort      int
	tlsCert, tlsKey     string
	verify              string
	name                string
	queueLimit          int
	queueTimeout        time.Duration
	grace, delay, stall time.Duration
	openMetrics         bool
	origins             []string
	noPrefixCache       bool
	limitImages         int
	prefillFlags
	eventFlags
	tellFlags
}

func serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:         "serve PLAN...",
		Short:       "Serve plans over HTTP, and gRPC: the OpenAI API (of encoders: embeddings, rerank and score), KServe v2, metrics, and a chat page at /",
		Example:     "  llmrun serve engine.plan\n  llmrun serve --model-repository models --model-control-mode explicit --grpc-port 8001 --api-key-file keys.txt\n  llmrun serve engine.plan --port 8080 --api-key-file keys.txt --max-batch 32\n  llmrun serve engine.plan --adapter support=./support-lora --adapter sql=sql.plan",
		Args:        f.args,
		Annotations: map[string]string{cli.Drains: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.draftFlags.check(cmd); err != nil {
				return err
			}
			plans, err := f.adapterFlags.check(args)
			if err != nil {
				return err
			}
			if len(plans) == 0 && f.directory == "" {
				return cli.Usagef("no PLAN is given")
			}
			if err := f.repositoryFlags.check(cmd); err != nil {
				return err
			}
			if err := f.prefillFlags.check(cmd); err != nil {
				return err
			}
			if err := f.eventFlags.check(cmd, plans, f.directory); err != nil {
				return err
			}
			return f.asRank(cmd.Context(), plans)
		},
	}
	f.deviceFlags.add(cmd)
	f.draftFlags.add(cmd)
	f.adapterFlags.add(cmd)
	f.repositoryFlags.add(cmd)
	f.addLimits(cmd)
	f.prefillFlags.add(cmd)
	f.eventFlags.add(cmd)
	f.tellFlags.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.host, "host", "127.0.0.1", "address to listen on")
	flags.IntVar(&f.port, "port", 8000, "port to listen on; 0: any free one")
	flags.IntVar(&f.grpcPort, "grpc-port", -1, "port of gRPC: KServe v2 with Triton's extensions, health and reflection; 0: any free one (default: no gRPC)")
	flags.StringVar(&f.keyFile, "api-key-file", "", "file with one API key a line; re-read when it changes. Behind a tab: name=TEXT priority=N share=N requests-per-minute=N tokens-per-minute=N max-concurrent=N prefix-cache=own|shared")
	flags.StringVar(&f.tlsCert, "tls-cert", "", "certificate file; with --tls-key the server speaks TLS")
	flags.StringVar(&f.tlsKey, "tls-key", "", "key file of the certificate")
	flags.StringVar(&f.verify, "verify", "background", "when to check the hashes of weights: full (before serving), background, off")
	flags.StringVar(&f.name, "served-model-name", "", "name of the model in requests (default: the plan's file name)")
	flags.IntVar(&f.queueLimit, "queue-limit", 0, "requests that may wait before more are answered 429 (default 1024)")
	flags.DurationVar(&f.queueTimeout, "queue-timeout", 10*time.Minute, "how long a request may wait before it begins; then it is answered 503. 0: for ever. Clients bound a request by the headers X-Request-Timeout and X-First-Token-Timeout, in seconds")
	flags.DurationVar(&f.delay, "max-queue-delay", 0, "how long a step of an encoder that has room for more sequences waits for them, such as 2ms (default: not at all)")
	flags.DurationVar(&f.grace, "shutdown-timeout", 30*time.Second, "how long running requests may take to end after SIGTERM")
	flags.DurationVar(&f.stall, "stall-timeout", 2*time.Minute, "how long a step may take before /health, /livez and /readyz answer 503")
	flags.BoolVar(&f.openMetrics, "open-metrics", false, "/metrics needs no API key")
	flags.StringSliceVar(&f.origins, "allow-origin", nil, "web origins that may call the API from a browser")
	flags.BoolVar(&f.noPrefixCache, "no-prefix-cache", false, "compute every prompt from its first token")
	flags.IntVar(&f.limitImages, "limit-images", 0, "images that a request may show a model that reads them (default 8)")
	cli.CompleteFlag(cmd, "verify", verifyModes...)
	return cmd
}

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
	case f.draftFlags.plan() != "" && f.directory != "":
		return cli.Usagef("--draft %s drafts for one plan, a repository has many; ngram drafts for all", f.draft)
	case f.draftFlags.plan() != "" && len(plans) > 1:
		return cli.Usagef("--draft %s drafts for one plan, there are %d; ngram drafts for all", f.draft, len(plans))
	case f.port < 0 || f.port > math.MaxUint16:
		return cli.Usagef("--port is %d: must be within 0..%d", f.port, math.MaxUint16)
	case f.grpcPort < -1 || f.grpcPort > math.MaxUint16:
		return cli.Usagef("--grpc-port is %d: must be within 0..%d", f.grpcPort, math.MaxUint16)
	case !slices.Contains(verifyModes, f.verify):
		return cli.Usagef("--verify is %q: must be one of %s", f.verify, strings.Join(verifyModes, ", "))
	case (f.tlsCert == "") != (f.tlsKey == ""):
		return cli.Usagef("--tls-cert and --tls-key need each other")
	case f.logPrompts && f.requestLog == "":
		return cli.Usagef("--request-log-prompts needs --request-log")
	case f.limitImages < 0:
		return cli.Usagef("--limit-images is %d: must be at least 1, or 0 for the default", f.limitImages)
	case f.queueTimeout < 0:
		return cli.Usagef("--queue-timeout is %v: must not be below 0", f.queueTimeout)
	case f.delay < 0 || f.delay > encode.LongestDelay:
		return cli.Usagef("--max-queue-delay is %v: must be within 0..%v", f.delay, encode.LongestDelay)
	case f.stall <= 0:
		return cli.Usagef("--stall-timeout is %v: must be above 0", f.stall)
	case f.grace < 0:
		return cli.Usagef("--shutdown-timeout is %v: must not be below 0", f.grace)
	}
	if _, err := f.resolved(); err != nil {
		return err
	}
	return f.onePlan(plans, f.directory)
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
	f.makeRoom()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s := &serving{flags: f, log: log, registry: metrics.New(), lost: make(chan error, 1), trust: registry.TrustOf(ctx)}
	told, err := f.open(s.registry, log)
	if err != nil {
		return err
	}
	defer told.close()
	if s.energy, err = energy.Open(energy.Root); err == nil {
		defer s.energy.Close()
	}
	host := repository.New(f.hosting(plans, s))
	config := server.Config{
		Version: version.Full(), Metrics: s.registry, OpenMetrics: f.openMetrics, AllowOrigins: f.origins, CertFile: f.tlsCert, KeyFile: f.tlsKey, Log: log,
		Requests: told.requests, LogPrompts: f.logPrompts, Traces: told.traces, ComputePrompts: f.forOthers,
	}
	if f.directory != "" {
		config.Repository = host
	}
	f.prefillFlags.count(s.registry)
	if err := f.eventFlags.start(f, plans, s.registry, log); err != nil {
		return err
	}
	defer f.eventFlags.stop()
	if f.keyFile != "" {
		if config.Keys, err = server.LoadKeys(f.keyFile, log); err != nil {
			return err
		}
	}
	srv, err := server.New(config)
	if err != nil {
		return err
	}
	defer shutdownNow(srv)
	if err := host.Start(ctx, srv); err != nil {
		return err
	}
	if err := f.loadNamed(ctx, srv); err != nil {
		return err
	}
	l, err := f.listen(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "ready: %s://%s (%s) in %.3f s\n", l.scheme, l.http.Addr(), s.names(f.named, host.Index()), time.Since(start).Seconds())
	if l.grpc != nil {
		fmt.Fprintf(os.Stderr, "grpc: %s\n", l.grpc.Addr())
	}
	s.tellMemory()
	s.verifyInBackground(ctx)
	if f.mode == string(repository.Poll) && f.directory != "" {
		watching, stop := context.WithCancel(ctx)
		defer stop()
		go host.Watch(watching, f.every)
	}
	f.watchRanks(s.lost)
	return f.serve(ctx, srv, l, s.lost)
}

// shutdownNow closes what is open, if it is.
func shutdownNow(srv *server.Server) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = srv.Shutdown(ctx)
}

// listeners are the ports of a server.
type listeners struct {
	http, grpc net.Listener // grpc: nil if none is asked for
	scheme     string
}

func (f *serveFlags) listen(ctx context.Context) (l listeners, err error) {
	if l.http, err = server.Listen(ctx, net.JoinHostPort(f.host, strconv.Itoa(f.port))); err != nil {
		return l, err
	}
	if l.scheme = "http"; f.tlsCert != "" {
		l.scheme = "https"
	}
	if f.grpcPort >= 0 {
		if l.grpc, err = server.Listen(ctx, net.JoinHostPort(f.host, strconv.Itoa(f.grpcPort))); err != nil {
			return l, errors.Join(err, l.http.Close())
		}
	}
	return l, nil
}

// serve runs until the first SIGTERM or interrupt, or until a device is lost, then lets running requests end; a second signal ends at once.
func (f *serveFlags) serve(ctx context.Context, srv *server.Server, l listeners, lost <-chan error) error {
	serveCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	failed := make(chan error, 2)
	go func() { failed <- srv.Serve(serveCtx, l.http) }()
	if l.grpc != nil {
		go func() { failed <- srv.ServeGRPC(l.grpc) }()
	}
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
