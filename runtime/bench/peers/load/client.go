// Package load drives servers with streaming requests of the OpenAI API, whichever server it is, and tells what its users would see: the time to
// the first token, the time between tokens, tokens a second.
package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"
)

// Server is where requests go.
type Server struct {
	URL   string         // http://host:port
	Model string         // its name in requests
	Extra map[string]any // fields of requests that this server has beside the API's
}

// Request is one completion.
type Request struct {
	Prompt []int32 // token ids
	Tokens int     // to be generated, no fewer
}

// Answer is how a request was answered, times counted from when it was sent.
type Answer struct {
	First  time.Duration   // until the first text
	Events []time.Duration // of each event with text
	Tokens int             // as the server counts them; events where it does not
}

// Gaps are the times between the answer's events, in seconds.
func (a *Answer) Gaps() []float64 {
	var gaps []float64
	for i := 1; i < len(a.Events); i++ {
		gaps = append(gaps, (a.Events[i] - a.Events[i-1]).Seconds())
	}
	return gaps
}

// A connection for each request: some servers close theirs after a stream.
func (s *Server) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
}

// event is what is of use in an event of the stream.
type event struct {
	Choices []struct {
		Text string `json:"text"`
	} `json:"choices"`
	Usage *struct {
		Completion int `json:"completion_tokens"`
	} `json:"usage"`
	Error json.RawMessage `json:"error"`
}

const (
	longestEvent = 1 << 20
	keptOfError  = 300
)

// Stream sends a request and reads its answer to the end; each, if not nil, is called for each event with text.
func (s *Server) Stream(ctx context.Context, r Request, each func(a *Answer)) (*Answer, error) {
	body := map[string]any{"model": s.Model, "prompt": r.Prompt, "max_tokens": r.Tokens, "temperature": 0, "stream": true,
		"stream_options": map[string]any{"include_usage": true}}
	maps.Copy(body, s.Extra)
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v1/completions", bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	began := time.Now()
	resp, err := s.client().Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, keptOfError))
		return nil, fmt.Errorf("%s answers %d: %s", s.URL, resp.StatusCode, strings.Join(strings.Fields(string(text)), " "))
	}
	a := &Answer{}
	if err := a.read(resp.Body, began, each); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Answer) read(r io.Reader, began time.Time, each func(a *Answer)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, longestEvent)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		if !ok {
			continue
		}
		at := time.Since(began)
		if data = bytes.TrimSpace(data); string(data) == "[DONE]" {
			return a.whole()
		}
		var e event
		if err := json.Unmarshal(data, &e); err != nil {
			if cut := lines.Err(); cut != nil {
				return cut // a part of an event comes before what ended the stream
			}
			return fmt.Errorf("an event that is no JSON: %w", err)
		}
		if len(e.Error) > 0 && string(e.Error) != "null" {
			return fmt.Errorf("the stream ends with an error: %.*s", keptOfError, e.Error)
		}
		if e.Usage != nil {
			a.Tokens = e.Usage.Completion
		}
		if len(e.Choices) == 0 || e.Choices[0].Text == "" {
			continue
		}
		if a.Events = append(a.Events, at); len(a.Events) == 1 {
			a.First = at
		}
		if each != nil {
			each(a)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return fmt.Errorf("the stream was cut off after %d events", len(a.Events))
}

// errNoText is what a stream of tokens that have no text ends with: special ones, or parts of a character.
var errNoText = errors.New("the stream had no text")

// whole is called at the end of the stream.
func (a *Answer) whole() error {
	if len(a.Events) == 0 {
		return errNoText
	}
	if a.Tokens == 0 {
		a.Tokens = len(a.Events)
	}
	return nil
}

const (
	askAgain   = 5 * time.Millisecond
	askLimit   = 10 * time.Second // an attempt
	readyLimit = 10 * time.Minute // some compile for minutes
)

// Ready asks for one token until there is one, for ten minutes at most, and returns when it came.
func (s *Server) Ready(ctx context.Context, r Request) (time.Time, error) {
	ctx, stop := context.WithTimeoutCause(ctx, readyLimit, errors.New("the server is not ready"))
	defer stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, askLimit)
		var at time.Time
		_, err := s.Stream(attempt, r, func(a *Answer) {
			if len(a.Events) == 1 {
				at = time.Now()
			}
		})
		cancel()
		if errors.Is(err, errNoText) {
			return time.Now(), nil
		}
		if err == nil {
			return at, nil
		}
		select {
		case <-ctx.Done():
			return at, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-time.After(askAgain):
		}
	}
}
