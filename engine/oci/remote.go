package oci

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"llmc/internal/retry"
	"llmc/internal/version"
)

// remoteStore is a repository of a registry: the OCI distribution protocol 1.1 over HTTP.
type remoteStore struct {
	ref    Ref
	client *Client
	http   *auth.Client
	base   *url.URL // of the repository, without the end
	scope  []string

	reached atomic.Bool // it has answered once: what goes wrong later may pass
}

const (
	dialTimeout   = 20 * time.Second
	answerTimeout = 2 * time.Minute // a registry may hash a whole layer before it answers
)

// openRemote prepares access to a registry. It asks nothing of it, except on this machine which of HTTP and HTTPS it speaks.
func (c *Client) openRemote(ctx context.Context, ref Ref, write bool) (store, error) {
	credential, err := c.credentials()
	if err != nil {
		return nil, ref.at(fmt.Errorf("%w: credentials: %w; look at ~/.docker/config.json, or DOCKER_CONFIG", ErrDenied, err))
	}
	transport, err := c.transport()
	if err != nil {
		return nil, err
	}
	named := registry.Reference{Registry: ref.Registry, Repository: ref.Repository}
	s := &remoteStore{ref: ref, client: c, base: &url.URL{Scheme: "https", Host: named.Host(), Path: "/v2/" + ref.Repository}, scope: []string{auth.ActionPull}}
	if write {
		s.scope = append(s.scope, auth.ActionPush)
	}
	s.http = &auth.Client{Client: &http.Client{Transport: transport, CheckRedirect: checkRedirect}, Credential: credential, Cache: auth.NewCache(), ClientID: "llmc"}
	s.http.SetUserAgent("llmc/" + version.Full())
	if ref.onLoopback() {
		s.http.BlockedRealmPrefixes = []netip.Prefix{} // a registry here may have its tokens made here
	}
	if c.PlainHTTP || ref.onLoopback() && speaksHTTP(ctx, transport, s.base.Host) {
		s.base.Scheme = "http"
	}
	return s, nil
}

// transport makes connections as the environment and the flags say.
func (c *Client) transport() (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout, t.MaxIdleConnsPerHost = answerTimeout, parallel
	t.DisableCompression = true // digests are of the bytes as they are stored
	if c.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca-file %s: holds no certificate in PEM", c.CAFile)
	}
	t.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return t, nil
}

// speaksHTTP tells whether a registry answers HTTPS with HTTP.
func speaksHTTP(ctx context.Context, t *http.Transport, host string) bool {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+host+"/v2/", nil)
	if err != nil {
		return false
	}
	resp, err := (&http.Client{Transport: t}).Do(req)
	if err == nil {
		resp.Body.Close()
	}
	return errors.Is(err, http.ErrSchemeMismatch)
}

const maxRedirects = 5

// checkRedirect follows a registry to where it keeps blobs, but not out of TLS.
func checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= maxRedirects:
		return errors.New("it redirects too often")
	case via[0].URL.Scheme == "https" && req.URL.Scheme != "https":
		return errors.New("it redirects from HTTPS to HTTP")
	}
	return nil
}

// request is one question to a registry.
type request struct {
	method string
	url    *url.URL
	header http.Header
	body   func() (io.ReadCloser, error) // nil: none
	size   int64
}

// do asks once. Every answer but those of ok is an error, transient where another try may help.
func (s *remoteStore) do(ctx context.Context, r request, ok ...int) (*http.Response, error) {
	ctx = auth.AppendRepositoryScope(ctx, registry.Reference{Registry: s.ref.Registry, Repository: s.ref.Repository}, s.scope...)
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), nil)
	if err != nil {
		return nil, err
	}
	for key, values := range r.header {
		req.Header[key] = values
	}
	if r.body != nil {
		req.ContentLength, req.GetBody = r.size, r.body
		if req.Body, err = r.body(); err != nil {
			return nil, err
		}
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, s.unreached(ctx, err)
	}
	s.reached.Store(true)
	if slices.Contains(ok, resp.StatusCode) {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	var said struct{ Errors errcode.Errors }
	_ = json.Unmarshal(text, &said)
	return nil, s.refused(resp.StatusCode, said.Errors, retry.AskedPause(resp, time.Now()))
}

const maxErrorBytes = 64 << 10

// unreached words an error that came without an answer, or while a token was asked for.
func (s *remoteStore) unreached(ctx context.Context, err error) error {
	var answer *errcode.ErrorResponse
	var cert *tls.CertificateVerificationError
	switch {
	case context.Cause(ctx) != nil && !errors.Is(context.Cause(ctx), errStalled):
		return context.Cause(ctx)
	case errors.As(err, &answer):
		return s.refused(answer.StatusCode, answer.Errors, -1)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return fmt.Errorf("%w: %s wants a name and a password, and none are known: log in with 'docker login %s' or another tool that writes ~/.docker/config.json (or DOCKER_CONFIG)",
			ErrDenied, s.ref.Registry, s.ref.Registry)
	case errors.As(err, &cert):
		return fmt.Errorf("%w: the certificate of %s is not trusted: %v; give the authority's with --ca-file, or in SSL_CERT_FILE", ErrServer, s.base.Host, cert.Err)
	case errors.Is(err, http.ErrSchemeMismatch):
		return fmt.Errorf("%w: %s speaks HTTP without TLS: give --plain-http if the network to it is to be trusted", ErrServer, s.base.Host)
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" && !dial.Timeout() && !s.reached.Load() {
		return fmt.Errorf("%w from %s: %v; is that the registry's name, and is there a network?", ErrServer, s.base.Host, innermost(ctx, err))
	}
	return &retry.Transient{Err: fmt.Errorf("%w from %s: %v; try again, what is there is kept", ErrServer, s.base.Host, innermost(ctx, err)), Pause: -1}
}

// innermost drops the address, which may be signed, and what wraps the cause.
func innermost(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(err) {
		err = next
	}
	return err
}

// refused makes an error of an answer that is no success.
func (s *remoteStore) refused(status int, errs errcode.Errors, pause time.Duration) error {
	said := ""
	if len(errs) > 0 {
		said = fmt.Sprintf(" (it says: %.200s)", strings.Map(printable, errs[0].Error()))
	}
	host := s.base.Host
	switch {
	case status == http.StatusUnauthorized:
		return fmt.Errorf("%w: %s does not take the credentials%s: log in with 'docker login %s' or another tool that writes ~/.docker/config.json (or DOCKER_CONFIG)", ErrDenied, host, said, s.ref.Registry)
	case status == http.StatusForbidden:
		return fmt.Errorf("%w: %s does not allow it%s: ask for the right to %s %s", ErrDenied, host, said, strings.Join(s.scope, " and "), s.ref.Repository)
	case status == http.StatusNotFound:
		return fmt.Errorf("%w: %s has none%s: check the name and the tag; 'llmc list' shows the tags", ErrNotFound, host, said)
	case retry.Passing(status):
		text := "try again later, what is there is kept"
		if pause > s.client.times().patience {
			text = "try again in " + pause.Round(time.Minute).String()
		}
		return &retry.Transient{Err: fmt.Errorf("%w: %s answers %d%s: %s", ErrServer, host, status, said, text), Pause: pause}
	}
	return &statusError{fmt.Errorf("%w: %s answers %d%s", ErrServer, host, status, said), status}
}

// statusError is an answer that some requests know what to do about.
type statusError struct {
	error
	status int
}

func (e *statusError) Unwrap() error { return e.error }

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}
