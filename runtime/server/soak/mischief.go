package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
)

// mischief lists what clients do that no server has to like, each with what it must be answered, if anything.
var mischief = []struct {
	name string
	do   func(ctx context.Context, t *traffic, r *rand.Rand) error
}{
	{"cancel", leaves(false)},
	{"reset in a stream", leaves(true)},
	{"leaves at once", func(_ context.Context, t *traffic, r *rand.Rand) error {
		return t.raw(r.IntN(2) == 0, postOf(t.any(r), true), nil)
	}},
	{"slow reader", slowReader},
	{"garbage", func(_ context.Context, t *traffic, r *rand.Rand) error {
		bytes := make([]byte, 1+r.IntN(3000))
		for i := range bytes {
			bytes[i] = byte(r.Uint32())
		}
		return t.raw(false, string(bytes)+"\r\n\r\n", nil)
	}},
	{"half a header", func(_ context.Context, t *traffic, r *rand.Rand) error {
		return t.raw(r.IntN(2) == 0, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Ty", pause)
	}},
	{"half a body", func(_ context.Context, t *traffic, r *rand.Rand) error {
		whole := postOf(t.any(r), false)
		return t.raw(r.IntN(2) == 0, whole[:len(whole)-20], pause)
	}},
	{"bytes behind a request", pipelined},
	{"not JSON", refused("POST", "/v1/completions", `{"prompt":`, 400)},
	{"deep JSON", refused("POST", "/v1/chat/completions", strings.Repeat("[", 5000), 400)},
	{"unknown model", refused("POST", "/v1/completions", `{"model":"../../etc","prompt":"x"}`, 404)},
	{"too long", refused("POST", "/v1/completions", `{"prompt":"`+strings.Repeat("word ", 20_000)+`"}`, 400)},
	{"wrong field", refused("POST", "/generate", `{"inputs":"x","parameters":{"max_new_tokens":-1}}`, 422)},
	{"bad grammar", refused("POST", "/v1/completions", `{"prompt":"x","guided_regex":"(((("}`, 400)},
	{"unknown path", refused("GET", "/v1/nothing", "", 404)},
	{"wrong method", refused("DELETE", "/v1/models", "", 405)},
	{"large body", func(_ context.Context, t *traffic, _ *rand.Rand) error {
		return t.raw(false, "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n{", status(413))
	}},
	{"opened and reset", func(_ context.Context, t *traffic, r *rand.Rand) error {
		for range 1 + r.IntN(20) {
			if err := t.raw(true, "", nil); err != nil {
				return err
			}
		}
		return nil
	}},
	{"scrape", refused("GET", "/metrics", "", 200)},
	{"models", refused("GET", "/v1/models", "", 200)},
}

// leaves ends a stream after some events, by closing the connection or by a reset.
func leaves(reset bool) func(context.Context, *traffic, *rand.Rand) error {
	return func(_ context.Context, t *traffic, r *rand.Rand) error {
		events := 1 + r.IntN(6)
		return t.raw(reset, postOf(t.any(r), true), func(c *net.TCPConn) error {
			in := bufio.NewReader(c)
			for range 4 * events {
				if _, err := in.ReadString('\n'); err != nil {
					return nil // a short answer ends before
				}
			}
			return nil
		})
	}
}

// slowReader reads a stream slower than it comes, to its end.
func slowReader(ctx context.Context, t *traffic, r *rand.Rand) error {
	q := t.any(r)
	_, err := check(ctx, t.client, t.url, q, q.dialect.stream != "", func(*reading) error {
		time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
		return nil
	})
	return t.excuse(q, err)
}

// pipelined sends two requests at once; both are answered, in order.
func pipelined(_ context.Context, t *traffic, _ *rand.Rand) error {
	const get = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
	return t.raw(false, get+get, func(c *net.TCPConn) error {
		in := bufio.NewReader(c)
		for range 2 {
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
				return fmt.Errorf("status %d, %w", resp.StatusCode, err)
			}
		}
		return nil
	})
}

func pause(*net.TCPConn) error {
	time.Sleep(20 * time.Millisecond)
	return nil
}

// status requires an answer with a status.
func status(want int) func(c *net.TCPConn) error {
	return func(c *net.TCPConn) error {
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != want {
			return fmt.Errorf("status %d, want %d", resp.StatusCode, want)
		}
		return nil
	}
}

// refused sends a request that has to be answered with a status.
func refused(method, path, body string, want int) func(context.Context, *traffic, *rand.Rand) error {
	return func(ctx context.Context, t *traffic, _ *rand.Rand) error {
		ctx, cancel := context.WithTimeout(ctx, askLimit)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, method, t.url+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := t.client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if resp.StatusCode != want {
			return fmt.Errorf("%s %s %.60q: %d %.300s, want %d", method, path, body, resp.StatusCode, text, want)
		}
		return err
	}
}

// postOf is a question as it goes over the wire.
func postOf(q *question, stream bool) string {
	path, body := q.dialect.request(q, stream && q.dialect.stream != "")
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

// raw opens a connection, writes text, lets read look at the answer and closes the connection, by a reset if that is asked for.
func (t *traffic) raw(reset bool, text string, read func(c *net.TCPConn) error) error {
	nc, err := net.DialTimeout("tcp", t.addr, askLimit)
	if err != nil {
		return err
	}
	c := nc.(*net.TCPConn)
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(askLimit)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, text); err != nil && !hungUp(err) {
		return err
	}
	if read != nil {
		if err := read(c); err != nil {
			return err
		}
	}
	if reset {
		return c.SetLinger(0)
	}
	return nil
}

// hungUp tells whether the server ended the connection, as it may where nonsense is sent.
func hungUp(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
}
