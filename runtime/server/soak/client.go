package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// question is one request whose answer is always the same: greedy, or drawn with a seed.
type question struct {
	dialect *dialect
	model   string
	prompt  string
	tokens  int
	fields  map[string]any // further members of the body
	want    string         // the text, once it is known
}

// reading is what came of a question.
type reading struct {
	status int
	text   string
	began  time.Time
	times  []time.Duration // of a stream's events with text, since it began
}

// askLimit is how long any answer may take.
const askLimit = 2 * time.Minute

// longestEvent bounds a line of a stream.
const longestEvent = 4 << 20

// errStatus: the answer has another status than 200.
var errStatus = errors.New("another status than 200")

// newClient returns a client that keeps as many connections.
func newClient(connections int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}}
}

// ask asks a question. each, if not nil, is called after each event with text; it may end the stream by an error, which is returned as it is.
func ask(ctx context.Context, c *http.Client, url string, q *question, stream bool, each func(r *reading) error) (r reading, err error) {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	path, body := q.dialect.request(q, stream)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+path, bytes.NewReader(body))
	if err != nil {
		return r, err
	}
	req.Header.Set("Content-Type", "application/json")
	r.began = time.Now()
	resp, err := c.Do(req)
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	if r.status = resp.StatusCode; r.status != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
		r.text = string(text)
		return r, errors.Join(fmt.Errorf("%w: %d %.300s", errStatus, r.status, text), err)
	}
	if stream {
		return r, r.follow(q.dialect, resp.Body, each)
	}
	var whole wire
	if err := json.NewDecoder(resp.Body).Decode(&whole); err != nil {
		return r, err
	}
	r.text = q.dialect.whole(&whole)
	_, err = io.Copy(io.Discard, resp.Body)
	return r, err
}

// follow reads a stream to its end.
func (r *reading) follow(d *dialect, body io.Reader, each func(r *reading) error) error {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, longestEvent)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		if data = bytes.TrimSpace(data); !ok || string(data) == "[DONE]" {
			continue
		}
		var e wire
		if err := json.Unmarshal(data, &e); err != nil {
			if cut := lines.Err(); cut != nil {
				return cut
			}
			return fmt.Errorf("an event that is no JSON: %.100q", data)
		}
		if len(e.Error) > 0 && string(e.Error) != "null" || e.Type == "error" {
			return fmt.Errorf("the stream ends with an error: %.300s", data)
		}
		text := d.event(&e)
		if text == "" {
			continue
		}
		r.text += text
		r.times = append(r.times, time.Since(r.began))
		if each != nil {
			if err := each(r); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}

// learn asks every question once, one after the other, and keeps the answers. It returns those that have text, of each API some.
func learn(ctx context.Context, url string, list []*question) (known []*question, err error) {
	c := newClient(1)
	defer c.CloseIdleConnections()
	texts := map[*dialect]int{}
	for _, q := range list {
		r, err := ask(ctx, c, url, q, false, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", q, err)
		}
		texts[q.dialect] += len(r.text)
		if q.want = r.text; q.want != "" {
			known = append(known, q)
		}
	}
	for d, n := range texts {
		if n == 0 {
			return nil, fmt.Errorf("%s: no question is answered with text", d.name)
		}
	}
	return known, nil
}

// check asks a question whose answer is known and compares.
func check(ctx context.Context, c *http.Client, url string, q *question, stream bool, each func(r *reading) error) (reading, error) {
	r, err := ask(ctx, c, url, q, stream, each)
	switch {
	case err != nil && !strings.HasPrefix(q.want, r.text) && r.status == http.StatusOK:
		return r, fmt.Errorf("%s, stream %v: %w after %q, which %q does not begin with", q, stream, err, r.text, q.want)
	case err == nil && r.text != q.want:
		return r, fmt.Errorf("%s, stream %v: %w: %q, want %q", q, stream, errText, r.text, q.want)
	}
	return r, err
}

// errText: an answer has another text than it had when the server was idle.
var errText = errors.New("another text")

func (q *question) String() string {
	return fmt.Sprintf("%s %s %.30q", q.dialect.name, q.model, q.prompt)
}
