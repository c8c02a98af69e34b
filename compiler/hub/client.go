package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"llmc/internal/cachedir"
	"llmc/internal/cli"
	"llmc/internal/retry"
	"llmc/internal/version"
)

// Connections at once, in all and for one file.
const (
	maxConnections     = 8
	maxFileConnections = 4
)

// pieceBytes is what one request asks of a large file, and what an interruption costs at most for each connection. Hubs count requests, so it is not small.
const pieceBytes = 64 << 20

const maxRedirects = 10

// Client downloads from one Hub into one cache. Its methods may be called from several goroutines.
type Client struct {
	Settings
	Progress *cli.Progress

	http        *http.Client
	connections chan struct{}
	pieceBytes  int64
	wait        func(context.Context, time.Duration) error
	free        func(dir string) int64
	lock        func(path string) (*fileLock, error) // nil when another has it
}

// New returns a client. Nothing is asked of the Hub until Fetch.
func New(s *Settings) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = maxConnections
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true) // HTTP/2 would put all parts of a file on one connection
	return &Client{
		Settings:    *s,
		http:        &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		connections: make(chan struct{}, maxConnections),
		pieceBytes:  pieceBytes,
		wait:        retry.Sleep,
		free:        cachedir.FreeBytes,
		lock:        tryLock,
	}
}

// request is one question to the Hub.
type request struct {
	method  string
	url     *url.URL
	ranges  string // value of Range, "" for all
	timeout time.Duration
	// final tells whether a redirect is an answer by itself.
	final func(*http.Response) bool
}

// answer is a response whose body ends when nothing comes for the request's timeout.
type answer struct {
	*http.Response
	url *url.URL // that was asked last
}

// ask sends a request and follows redirects. The token goes to the origin of the endpoint and nowhere else.
func (c *Client) ask(ctx context.Context, r *request) (*answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watch := &stallWatch{timeout: r.timeout, cancel: cancel}
	watch.timer = time.AfterFunc(r.timeout, watch.stalled)
	resp, last, err := c.follow(ctx, r)
	if err != nil {
		watch.stop()
		if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	watch.body, watch.ctx = resp.Body, ctx
	resp.Body = watch
	return &answer{resp, last}, nil
}

func (c *Client) follow(ctx context.Context, r *request) (*http.Response, *url.URL, error) {
	at := r.url
	for range maxRedirects {
		req, err := http.NewRequestWithContext(ctx, r.method, at.String(), nil)
		if err != nil {
			return nil, nil, err
		}
		req.Header.Set("User-Agent", "llmc/"+version.Full())
		req.Header.Set("Accept-Encoding", "identity") // sizes and ranges are of the file
		if r.ranges != "" {
			req.Header.Set("Range", r.ranges)
		}
		if c.Token != "" && sameOrigin(at, c.Endpoint) {
			req.Header.Set("Authorization", "Bearer "+c.Token)
		}
		resp, err := c.http.Do(req)
		if err != nil {
			return nil, nil, err
		}
		location := resp.Header.Get("Location")
		if resp.StatusCode < 300 || resp.StatusCode >= 400 || location == "" || r.final != nil && r.final(resp) {
			return resp, at, nil
		}
		_ = resp.Body.Close()
		next, err := at.Parse(location)
		if err != nil || next.Scheme != "https" && next.Scheme != "http" || next.Host == "" {
			return nil, nil, fmt.Errorf("%w: it redirects to %s", ErrAnswer, clip(location))
		}
		if at.Scheme == "https" && next.Scheme == "http" {
			return nil, nil, fmt.Errorf("%w: it redirects from https to http, at %s", ErrAnswer, clip(next.Host))
		}
		at = next
	}
	return nil, nil, fmt.Errorf("%w: more than %d redirects", ErrAnswer, maxRedirects)
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	switch port := u.Port(); {
	case port != "":
		return port
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

// path returns an address below the endpoint; parts are names that may hold slashes only where these separate.
func (c *Client) path(parts ...string) *url.URL {
	u := *c.Endpoint
	u.RawPath = strings.TrimRight(u.EscapedPath(), "/")
	for _, part := range parts {
		u.RawPath += "/" + part
	}
	u.Path, _ = url.PathUnescape(u.RawPath)
	return &u
}

// escape makes a name with slashes one that separates at them.
func escape(name string) string {
	parts := strings.Split(name, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

// errStalled is the cause of contexts of requests that nothing came for.
var errStalled = errors.New("nothing came for too long")

// stallWatch is a body that ends a request when it gives nothing for the timeout.
type stallWatch struct {
	body    io.ReadCloser
	ctx     context.Context
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	timeout time.Duration
}

func (w *stallWatch) stalled() { w.cancel(fmt.Errorf("%w (%s)", errStalled, w.timeout)) }

func (w *stallWatch) stop() { w.timer.Stop() }

// Read implements io.Reader.
func (w *stallWatch) Read(p []byte) (int, error) {
	w.timer.Reset(w.timeout)
	n, err := w.body.Read(p)
	if err != nil {
		w.stop()
		if cause := context.Cause(w.ctx); cause != nil && err != io.EOF {
			err = cause
		}
	}
	return n, err
}

// Close implements io.Closer.
func (w *stallWatch) Close() error {
	w.stop()
	err := w.body.Close()
	w.cancel(nil)
	return err
}
