package ensemble

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"llmc/internal/dial"
)

// RemoteOptions say where a model of another server is, and what it computes. They come from files of the repository alone.
type RemoteOptions struct {
	URL      string // http, https, grpc or grpcs, with host and port
	Model    string // as that server calls it
	Version  string // "": the server's choice
	Inputs   []Spec
	Outputs  []Spec
	MaxBatch int           // 0: the first size is no batch
	Timeout  time.Duration // of a call; 0: DefaultTimeout
	MaxBytes int64         // of an answer; 0: DefaultMaxAnswer
	JSON     bool          // HTTP: tensors as JSON, for servers without the extension for binary ones
	Files    dial.Files
}

// Defaults and bounds of remote models.
const (
	DefaultTimeout   = 30 * time.Second
	LongestTimeout   = time.Hour
	DefaultMaxAnswer = 64 << 20
	maxMessage       = 500 // bytes of another server's words that are told
)

// Remote is a model that another server computes. Its methods may be called at the same time.
type Remote struct {
	options RemoteOptions
	speaks  protocol
	token   string
}

// protocol is how a server is asked.
type protocol interface {
	infer(ctx context.Context, r *Remote, inputs Tensors) (Tensors, error)
	close() error
}

// RemoteError is what went wrong at another server.
type RemoteError struct {
	Status  int    // of HTTP, or what is like it
	Message string // may be told to clients
	Err     error  // may not: it can hold addresses; nil: there is no more to say
}

func (e *RemoteError) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *RemoteError) Unwrap() error { return e.Err }

// schemes are the protocols that there are.
var schemes = map[string]struct {
	secure bool
	open   func(address *url.URL, o *RemoteOptions, security *tls.Config) (protocol, error)
}{"http": {false, openHTTP}, "https": {true, openHTTP}, "grpc": {false, openGRPC}, "grpcs": {true, openGRPC}}

// Check tells what is wrong with options, as far as no file has to be read for it.
func (o *RemoteOptions) Check() error {
	address, err := url.Parse(o.URL)
	if err != nil {
		return errors.New("url: is none")
	}
	scheme, known := schemes[address.Scheme]
	switch {
	case !known:
		return fmt.Errorf("url: scheme %.16q: must be http, https, grpc or grpcs", address.Scheme)
	case address.Hostname() == "" || address.Port() == "" || address.User != nil || address.RawQuery != "" || address.Fragment != "":
		return errors.New("url: must be SCHEME://HOST:PORT, without names of users and queries")
	case strings.HasPrefix(address.Scheme, "grpc") && strings.Trim(address.Path, "/") != "":
		return errors.New("url: gRPC has no path")
	case !scheme.secure && (o.Files.CA != "" || o.Files.Cert != "" || o.Files.Key != ""):
		return errors.New("url: certificates need https or grpcs")
	case o.Model == "":
		return errors.New("model: must name the model of the other server")
	case len(o.Inputs) == 0 || len(o.Outputs) == 0:
		return errors.New("input and output: must list the tensors of the model")
	}
	for _, s := range append(o.Inputs[:len(o.Inputs):len(o.Inputs)], o.Outputs...) {
		if s.Name == "" || !IsType(s.Type) || len(s.Dims) > MaxRank {
			return fmt.Errorf("tensor %.64q: has no name, no data_type or too many dims", s.Name)
		}
	}
	return nil
}

// NewRemote prepares calls to a model of another server. Nothing is sent yet.
func NewRemote(o RemoteOptions) (*Remote, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	address, err := url.Parse(o.URL)
	if err != nil {
		return nil, err
	}
	scheme := schemes[address.Scheme]
	o.Timeout = orDefault(o.Timeout, DefaultTimeout)
	o.MaxBytes = orDefault(o.MaxBytes, DefaultMaxAnswer)
	r := &Remote{options: o}
	var security *tls.Config
	if scheme.secure {
		if security, err = o.Files.TLS(); err != nil {
			return nil, err
		}
	}
	if r.token, err = o.Files.ReadToken(); err != nil {
		return nil, err
	}
	if r.speaks, err = scheme.open(address, &r.options, security); err != nil {
		return nil, err
	}
	return r, nil
}

func orDefault[T time.Duration | int64](value, otherwise T) T {
	if value == 0 {
		return otherwise
	}
	return value
}

// Signature implements Function.
func (r *Remote) Signature() Signature { return Signature{r.options.Inputs, r.options.Outputs} }

// Needs implements Function.
func (r *Remote) Needs() []Need { return nil }

// MaxBatch is the largest batch; 0: there are none.
func (r *Remote) MaxBatch() int { return r.options.MaxBatch }

// Close ends the connections.
func (r *Remote) Close() error { return r.speaks.close() }

// Compute implements Function. It ends with ctx, and after the timeout of a call.
func (r *Remote) Compute(ctx context.Context, inputs Tensors, _ TextModel) (Tensors, error) {
	bounded, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	outputs, err := r.speaks.infer(bounded, r, inputs)
	switch {
	case err == nil:
	case ctx.Err() != nil: // of the whole request
		return nil, context.Cause(ctx)
	case bounded.Err() != nil:
		return nil, &RemoteError{504, fmt.Sprintf("the other server did not answer in %v", r.options.Timeout), err}
	default:
		return nil, err
	}
	for i := range r.options.Outputs {
		spec := &r.options.Outputs[i]
		t := outputs[spec.Name]
		if t == nil {
			return nil, &RemoteError{502, fmt.Sprintf("the other server gave no output %q", spec.Name), nil}
		}
		if outputs[spec.Name], err = spec.conform(t); err != nil {
			return nil, &RemoteError{502, fmt.Sprintf("the other server's output %q: %v", spec.Name, err), nil}
		}
	}
	return outputs, nil
}

// clip bounds the words of another server.
func clip(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, text)
	return strings.ToValidUTF8(text[:min(len(text), maxMessage)], "")
}

// malformed is an answer that is none.
func malformed(format string, args ...any) error {
	return &RemoteError{502, "the other server's answer can not be read: " + clip(fmt.Sprintf(format, args...)), nil}
}
