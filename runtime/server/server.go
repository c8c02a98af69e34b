package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
	"google.golang.org/grpc"

	"llmc/runtime/metrics"
	"llmc/runtime/otlp"
	"llmc/runtime/requestlog"
	"llmc/runtime/rest"
)

// Config says what a server offers and to whom.
type Config struct {
	Models     []Model    // that are offered from the beginning
	Repository Repository // of which models are loaded and unloaded by requests; nil: none are
	Version    string

	Metrics     *metrics.Registry // nil: no /metrics
	OpenMetrics bool              // /metrics needs no key

	Keys         *Keys    // nil: no key is needed
	AllowOrigins []string // origins of web pages that may call the API; "*" is any; empty: none
	CertFile     string   // with KeyFile: serve TLS
	KeyFile      string

	// Requests gets a line of JSON for each request to a model; nil: nobody does. Prompts are in it only if LogPrompts says so.
	Requests   *requestlog.Log
	LogPrompts bool
	Traces     *otlp.Exporter // gets a span for each such request; nil: nobody does

	ComputePrompts bool // for other servers

	Limits Limits
	Log    *slog.Logger // nil: nowhere
}

// Limits bound what a client can take. Zero values mean the defaults.
type Limits struct {
	BodyBytes   int // of a request
	RoomBytes   int // of all requests that are being received or answered, but what each may have in any case
	HeaderBytes int
	Connections int

	HeaderTimeout time.Duration // to send a request's header, and a TLS handshake
	BodyTimeout   time.Duration // to send its body
	IdleTimeout   time.Duration // between requests on a connection
	WriteTimeout  time.Duration // for each write: a client that reads nothing for so long is cut off
}

// roomForBodies is how many of the largest bodies there is room for at least.
const roomForBodies = 16

var defaultLimits = Limits{
	BodyBytes:     8 << 20,
	RoomBytes:     512 << 20,
	HeaderBytes:   16 << 10,
	Connections:   16384,
	HeaderTimeout: 10 * time.Second,
	BodyTimeout:   time.Minute,
	IdleTimeout:   2 * time.Minute,
	WriteTimeout:  30 * time.Second,
}

func (l Limits) orDefaults() Limits {
	fill(&l.BodyBytes, defaultLimits.BodyBytes)
	fill(&l.RoomBytes, max(defaultLimits.RoomBytes, roomForBodies*l.BodyBytes))
	fill(&l.HeaderBytes, defaultLimits.HeaderBytes)
	fill(&l.Connections, defaultLimits.Connections)
	fill(&l.HeaderTimeout, defaultLimits.HeaderTimeout)
	fill(&l.BodyTimeout, defaultLimits.BodyTimeout)
	fill(&l.IdleTimeout, defaultLimits.IdleTimeout)
	fill(&l.WriteTimeout, defaultLimits.WriteTimeout)
	return l
}

func fill[T int | time.Duration](value *T, otherwise T) {
	if *value <= 0 {
		*value = otherwise
	}
}

// strangerBody is what a request without a valid key may bring: it is read only so that it can be answered.
const strangerBody = 64 << 10

// Server answers requests. Serve starts it, Shutdown ends it; it can not be used again.
type Server struct {
	config  Config
	models  *modelTable
	loading sync.Mutex // what is offered changes one after the other: loading reads files
	// retiring are models that are offered no more, while requests have them.
	retiring sync.WaitGroup
	http     *fasthttp.Server
	offers   []route // of which the OpenAPI document tells
	// certificate is nil when TLS is off.
	certificate *reloaded[*tls.Certificate]
	log         *slog.Logger
	inflight    inflight
	room        room
	imageBodies bool // bodies may be larger where a model reads images: nobody said how large

	mu        sync.Mutex
	listeners []*listener
	grpc      *grpc.Server // nil: no gRPC is served
	stopped   bool

	// Every request's context ends with this one.
	base   context.Context
	cancel context.CancelCauseFunc

	now   func() time.Time // stamps answers; tests fix it
	newID func() string    // names answers; tests fix it
}

// New checks the configuration and returns a server that does not listen yet.
func New(config Config) (*Server, error) {
	s := &Server{config: config, log: config.Log, now: time.Now, newID: randomID}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if s.models, err = newModelTable(config.Models); err != nil {
		return nil, err
	}
	for _, m := range s.models.list {
		s.models.tell(m)
	}
	if err := s.offerNodes(s.models.list); err != nil {
		return nil, err
	}
	s.imageBodies = config.Limits.BodyBytes <= 0
	s.config.Limits = config.Limits.orDefaults()
	if s.certificate, err = s.loadCertificate(); err != nil {
		return nil, err
	}
	s.room.most = int64(s.config.Limits.RoomBytes)
	s.base, s.cancel = context.WithCancelCause(context.Background())
	limits := s.config.Limits
	s.http = &fasthttp.Server{
		Handler:            s.router().Handler,
		ErrorHandler:       s.unreadable,
		HeaderReceived:     s.bodyLimits,
		Name:               "llmrun",
		Concurrency:        limits.Connections,
		ReadBufferSize:     limits.HeaderBytes,
		WriteBufferSize:    8 << 10,
		ReadTimeout:        limits.HeaderTimeout,
		IdleTimeout:        limits.IdleTimeout,
		MaxRequestBodySize: s.bodyBytes(),
		// Thousands of idle connections must cost no buffers.
		ReduceMemoryUsage: true,
		// Those that served connections end before memory is given back: they are looked through as often.
		MaxIdleWorkerDuration:        rest.After / 3,
		DisablePreParseMultipartForm: true,
		SecureErrorLogMessage:        true,
		CloseOnShutdown:              true,
		Logger:                       httpLog{s.log},
	}
	return s, nil
}

// Serve answers connections of ln until Shutdown, or until ctx ends, which stops everything at once.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	l := newListener(ln, s.config.Limits.WriteTimeout, &s.room)
	s.mu.Lock()
	stopped := s.stopped
	s.listeners = append(s.listeners, l)
	s.mu.Unlock()
	if stopped {
		return errors.Join(errStopping, ln.Close())
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		_ = s.Shutdown(ctx)
	})
	err := s.http.Serve(s.secured(l))
	if !stop() {
		<-ended
	}
	return err
}

// Shutdown ends the server: requests that run are finished, new ones are refused with 503, and when the last has been answered
// all connections and all models are closed. What still runs when ctx ends is cancelled, and the cause returned. Calling it again with a
// context that has ended hurries a Shutdown that waits.
func (s *Server) Shutdown(ctx context.Context) error {
	var err error
	select {
	case <-s.inflight.drain():
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s.cancel(errStopping)
	s.mu.Lock()
	s.stopped = true
	listeners := s.listeners
	s.mu.Unlock()
	s.stopGRPC()
	for _, l := range listeners {
		_ = l.Close()
		l.closeConns(false) // fasthttp would wait for connections that never spoke
	}
	// The last answers are on their way out.
	const lastWords = 2 * time.Second
	closing, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	if s.http.ShutdownWithContext(closing) != nil {
		for _, l := range listeners {
			l.closeConns(true)
		}
	}
	s.loading.Lock() // what is being loaded is offered, and closed, or refused
	for _, m := range s.models.where(func(*Model) bool { return true }) {
		s.retire(m)
	}
	s.loading.Unlock()
	s.retiring.Wait()
	return err
}

// bodyBytes is how large a body may be now.
func (s *Server) bodyBytes() int {
	if s.imageBodies && len(s.models.where((*Model).readsImages)) > 0 {
		return imageBody
	}
	return s.config.Limits.BodyBytes
}

// loadCertificate reads the TLS files, if the configuration names any; they are read again when they change.
func (s *Server) loadCertificate() (*reloaded[*tls.Certificate], error) {
	if s.config.CertFile == "" && s.config.KeyFile == "" {
		return nil, nil
	}
	if s.config.CertFile == "" || s.config.KeyFile == "" {
		return nil, errors.New("tls needs both a certificate and a key file")
	}
	failed := func(err error) { s.log.Error("certificate unchanged: the files can not be used", "err", err) }
	return readFiles(failed, func(contents [][]byte) (*tls.Certificate, error) {
		c, err := tls.X509KeyPair(contents[0], contents[1])
		return &c, err
	}, s.config.CertFile, s.config.KeyFile)
}

// secured speaks TLS on a listener if there is a certificate.
func (s *Server) secured(l net.Listener) net.Listener {
	if s.certificate == nil {
		return l
	}
	return tls.NewListener(l, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate.get(), nil },
	})
}

// randomID returns 32 hexadecimal digits.
func randomID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// httpLog takes what fasthttp has to say: mostly that peers broke the protocol or left.
type httpLog struct{ log *slog.Logger }

func (l httpLog) Printf(format string, args ...any) { l.log.Debug(fmt.Sprintf(format, args...)) }
