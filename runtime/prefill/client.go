package prefill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"llmc/internal/dial"
	"llmc/runtime"
)

// Options say who computes prompts.
type Options struct {
	Servers []string // http or https, with host and port
	Files   dial.Files
	// MinTokens is how many tokens of a prompt have to be unknown here for it to be worth the way; 0: DefaultMinTokens.
	MinTokens int
	Timeout   time.Duration // from the question to the last page; 0: DefaultTimeout
}

// Defaults of Options.
const (
	DefaultMinTokens = 256
	DefaultTimeout   = time.Minute
)

// Client asks servers for the pages of prompts. Its methods may be called at the same time.
type Client struct {
	options Options
	servers *servers
	token   string

	mu      sync.Mutex
	figures Figures // under mu
}

// Figures count what has come of prompts that were long enough.
type Figures struct {
	Taken  uint64 // prompts whose pages came, all of them
	Failed uint64 // prompts some of whose pages did not come
	Busy   uint64 // prompts for which no server, or no room here, was free
	Pages  uint64
	Bytes  uint64
}

// maxRefusal bounds what is read of an answer that holds no pages.
const maxRefusal = 4 << 10

// New prepares a client. Nothing is sent yet.
func New(o Options) (*Client, error) {
	c := &Client{options: o}
	if c.options.MinTokens <= 0 {
		c.options.MinTokens = DefaultMinTokens
	}
	if c.options.Timeout <= 0 {
		c.options.Timeout = DefaultTimeout
	}
	var err error
	if c.servers, err = newServers(o.Servers, &o.Files); err != nil {
		return nil, err
	}
	c.token, err = o.Files.ReadToken()
	return c, err
}

// Close ends the connections.
func (c *Client) Close() { c.servers.close() }

// Figures returns what has come of prompts so far.
func (c *Client) Figures() Figures {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.figures
}

// Fetch has the prompt of a request computed elsewhere where that is worth it, and returns when its pages are there; the request finds them while they are held. The
// caller releases them; nil: there is nothing to release. An error says why some have not come, which the request then computes. prefer is the HOST:PORT of one of
// the servers that should be asked first; others mean nothing.
func (c *Client) Fetch(ctx context.Context, e *runtime.Engine, plan string, r *runtime.Request, prefer string) (*runtime.Pages, error) {
	if len(r.Prompt) < c.options.MinTokens || len(r.Pictures) > 0 || r.Adapter != nil || r.PromptLogprobs >= 0 {
		return nil, nil
	}
	format, pageBytes, err := e.PageFormat()
	if err != nil {
		return nil, err
	}
	pages, err := e.HoldPages(r)
	if err != nil {
		if errors.Is(err, runtime.ErrPagesTaken) {
			c.count(func(f *Figures) { f.Busy++ })
		}
		return nil, err
	}
	known, most := pages.Known(), pages.Most()
	if len(r.Prompt)-known*e.PageSize() < c.options.MinTokens {
		return pages, nil
	}
	if !pages.Reserve() {
		pages.Release()
		c.count(func(f *Figures) { f.Busy++ })
		return nil, runtime.ErrPagesTaken
	}
	ask := Ask{Plan: plan, Format: format, Prompt: r.Prompt, Known: pages.Known(), Salt: []byte(r.CacheSalt), Priority: r.Priority}
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	got, err := c.ask(ctx, &ask, prefer, most, pageBytes, pages.Write)
	pages.Share(ask.Known + got)
	c.count(func(f *Figures) {
		switch {
		case err == nil:
			f.Taken++
		case errors.Is(err, errBusy):
			f.Busy++
		default:
			f.Failed++
		}
		f.Pages += uint64(got)
		f.Bytes += uint64(got) * uint64(pageBytes)
	})
	return pages, err
}

func (c *Client) count(what func(f *Figures)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what(&c.figures)
}

// errBusy is why nobody was asked, or nobody had time.
var errBusy = errors.New("no server of prompts is free")

// ask asks a server, and another one where the first gives nothing, and returns how many pages have come.
func (c *Client) ask(ctx context.Context, ask *Ask, prefer string, most, pageBytes int, take func(i int, page []byte) error) (got int, err error) {
	body, err := json.Marshal(ask)
	if err != nil {
		return 0, err
	}
	c.servers.resolve(ctx)
	err = errBusy
	var tried []*server
	for range 2 {
		s := c.servers.choose(ask, prefer, tried)
		if s == nil {
			return 0, err
		}
		tried = append(tried, s)
		got, err = c.askServer(ctx, s, body, ask.Known, most, pageBytes, take)
		c.servers.leave(s, err)
		if err == nil || got > 0 || ctx.Err() != nil {
			return got, err
		}
	}
	return got, err
}

// laterError is the answer of a server that has no time, for so long. It wraps errBusy.
type laterError struct {
	said  string
	after time.Duration
}

func (e *laterError) Error() string { return e.said }

// Unwrap makes errors.Is(err, errBusy) true.
func (e *laterError) Unwrap() error { return errBusy }

func (c *Client) askServer(ctx context.Context, s *server, body []byte, first, most, pageBytes int, take func(i int, page []byte) error) (got int, err error) {
	request, err := http.NewRequestWithContext(ctx, "POST", s.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	answer, err := s.http.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, refusal(s, answer)
	}
	got, err = readPages(answer.Body, first, most, pageBytes, take)
	if err != nil {
		return got, fmt.Errorf("%s: %w", s.url, err)
	}
	_, _ = io.CopyN(io.Discard, answer.Body, 1) // its end, so that the connection is used again
	return got, nil
}

// refusal is why a server sends no pages.
func refusal(s *server, answer *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxRefusal))
	var body struct {
		Error struct{ Message string }
	}
	said := http.StatusText(answer.StatusCode)
	if json.Unmarshal(text, &body) == nil && body.Error.Message != "" {
		said = body.Error.Message
	}
	said = fmt.Sprintf("%s: %d: %.300s", s.url, answer.StatusCode, said)
	if answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusServiceUnavailable {
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return &laterError{said: said, after: max(time.Second, time.Duration(seconds)*time.Second)}
	}
	return errors.New(said)
}
