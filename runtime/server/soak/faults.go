package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// beside starts a server of the bundled model and learns the answers to some long questions. Each client asks one of them again and again until the traffic ends.
func (o *options) beside(ctx context.Context, args ...string) (*process, *traffic, error) {
	plan, err := o.build(ctx, o.demo, served, "--quant", "int8")
	if err != nil {
		return nil, nil, err
	}
	p, err := o.serve(append([]string{plan, "--kv-memory", "64M"}, args...)...)
	if err != nil {
		return nil, nil, err
	}
	t := newTraffic(p, o.clients)
	t.questions = longStreams(served, o.clients, 200)
	if t.questions, err = learn(ctx, p.url, t.questions); err != nil {
		p.kill()
		return nil, nil, err
	}
	return p, t, nil
}

// streams asks long questions until ctx ends, and waits for the answers that have begun.
func (t *traffic) streams(ctx context.Context) (wait func()) {
	var clients sync.WaitGroup
	for _, q := range t.questions {
		clients.Go(func() {
			for ctx.Err() == nil {
				t.ask(context.WithoutCancel(ctx), q, true)
			}
		})
	}
	return clients.Wait
}

const (
	aloneFor = 10 * time.Second // streams alone, to compare with
	warmUp   = 2 * time.Second
)

// compare lets streams run alone, then beside what disturb does, and wants the server to be at the end what it was.
func (o *options) compare(ctx context.Context, disturb func(ctx context.Context, p *process, t *traffic) error, args ...string) error {
	p, t, err := o.beside(ctx, args...)
	if err != nil {
		return err
	}
	defer p.kill()
	start, err := t.quiet(p, func(state) bool { return true })
	if err != nil {
		return err
	}
	for _, phase := range []struct {
		name string
		run  func() error
	}{
		{"alone", func() error { time.Sleep(aloneFor); return nil }},
		{"disturbed", func() error { return disturb(ctx, p, t) }},
	} {
		running, stop := context.WithCancel(ctx)
		wait := t.streams(running)
		time.Sleep(warmUp)
		t.forget()
		err := phase.run()
		stop()
		wait()
		o.say("%-10s %s", phase.name, t.summary())
		if err != nil {
			return err
		}
	}
	s, err := t.quiet(p, start.holds)
	if err != nil {
		return err
	}
	o.say("at rest: %d goroutines, %d descriptors, %.1f MB; at first %d, %d, %.1f MB", s.goroutines, s.descriptors, float64(s.anon)/1e6,
		start.goroutines, start.descriptors, float64(start.anon)/1e6)
	if err := t.result(); err != nil {
		return err
	}
	return p.stop()
}

// forget begins new figures.
func (t *traffic) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gaps, t.firsts = nil, nil
	clear(t.counts)
}

// resets opens connections and resets them: as they are, behind half a request, behind a whole one.
func resets(ctx context.Context, o *options) error {
	return o.compare(ctx, func(_ context.Context, _ *process, t *traffic) error {
		began, r := time.Now(), rand.New(rand.NewPCG(o.seed, 2))
		for range o.connections {
			text := ""
			switch r.IntN(4) {
			case 0:
				text = "POST /v1/comp"
			case 1:
				text = postOf(t.any(r), true)
			}
			if err := t.raw(true, text, nil); err != nil {
				return err
			}
		}
		o.say("%d connections opened and reset in %.1f s", o.connections, time.Since(began).Seconds())
		return nil
	})
}

const (
	deafClients = 32
	// deafLimit is when a server must have given up clients that do not read: its limit of a write, and some more.
	deafLimit = 30*time.Second + 20*time.Second
	deafRead  = 4 << 10 // bytes that the client's kernel takes
)

// deaf opens streams of long events, all told more than the kernels' buffers hold, and reads nothing of them.
func deaf(ctx context.Context, o *options) error {
	return o.compare(ctx, func(ctx context.Context, p *process, t *traffic) error {
		q := &question{dialect: &dialects[1], model: served, prompt: "Tell me everything.", tokens: 400, fields: map[string]any{
			"temperature": 0, "ignore_eos": true, "logprobs": true, "top_logprobs": 20, "n": 4}}
		dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
			if e := c.Control(func(fd uintptr) {
				err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, deafRead)
			}); e != nil {
				return e
			}
			return err
		}}
		before, err := p.look()
		if err != nil {
			return err
		}
		for range deafClients {
			c, err := dialer.DialContext(ctx, "tcp", t.addr)
			if err != nil {
				return err
			}
			defer c.Close()
			if _, err := c.Write([]byte(postOf(q, true))); err != nil {
				return err
			}
		}
		most := int64(0)
		for end := time.Now().Add(deafLimit); ; time.Sleep(200 * time.Millisecond) {
			s, err := p.look()
			if err != nil {
				return err
			}
			most = max(most, s.anon)
			if time.Since(end.Add(-deafLimit)) > warmUp && s.descriptors <= before.descriptors {
				break
			}
			if time.Now().After(end) {
				return fmt.Errorf("after %v %d descriptors are open, before %d", deafLimit, s.descriptors, before.descriptors)
			}
		}
		o.say("%d clients that read nothing were cut off; meanwhile the server had %.1f MB at most, %.1f before", deafClients, float64(most)/1e6, float64(before.anon)/1e6)
		return nil
	}, "--max-batch", "256")
}

// drain sends SIGTERM under load. Whoever has had an event gets all of his answer; who comes later is told that the server drains, or finds no server.
func drain(ctx context.Context, o *options) error {
	p, t, err := o.beside(ctx)
	if err != nil {
		return err
	}
	defer p.kill()
	var begun, whole, late atomic.Int64
	errs := make(chan error, len(t.questions))
	var clients sync.WaitGroup
	stopped := make(chan struct{})
	for _, q := range t.questions {
		clients.Go(func() {
			for {
				had := false
				_, err := check(ctx, t.client, t.url, q, true, func(*reading) error {
					if !had {
						had = true
						begun.Add(1)
					}
					return nil
				})
				switch {
				case err == nil:
					whole.Add(1)
					continue
				case had || errors.Is(err, errText):
					errs <- err
				default:
					late.Add(1)
				}
				select {
				case <-stopped:
					return
				default:
					errs <- fmt.Errorf("before SIGTERM: %w", err)
					return
				}
			}
		})
	}
	time.Sleep(warmUp)
	sent := time.Now()
	close(stopped)
	if err := p.stop(); err != nil {
		return err
	}
	took := time.Since(sent)
	clients.Wait()
	close(errs)
	o.say("%d streams began, %d of them ended whole, %d came too late and were told so; the server ended %.2f s after SIGTERM with exit code 0",
		begun.Load(), whole.Load(), late.Load(), took.Seconds())
	if begun.Load() != whole.Load() {
		return errors.New("streams were cut")
	}
	return <-errs
}

// kill ends the server with SIGKILL under load and starts it again, from the same plan. Until it was ended all texts were right, and afterwards they are.
func kill(ctx context.Context, o *options) error {
	p, t, err := o.beside(ctx)
	if err != nil {
		return err
	}
	questions := t.questions
	for round := range o.rounds {
		running, stop := context.WithCancel(ctx)
		wait := t.streams(running)
		time.Sleep(warmUp)
		t.mu.Lock()
		failed, texts := t.failed, t.counts["completions streamed"]
		t.mu.Unlock()
		p.kill()
		stop()
		wait()
		if failed > 0 || t.wrong() {
			return fmt.Errorf("round %d: %w", round, t.result())
		}
		if p, err = o.serve(p.cmd.Args[4+len(o.server):]...); err != nil {
			return err
		}
		o.say("round %d: %d whole streams, then SIGKILL; started again in %.3f s", round+1, texts, p.ready.Seconds())
		t = newTraffic(p, o.clients)
		t.questions = questions
		for _, q := range t.questions[:min(4, len(t.questions))] {
			if _, err := check(ctx, t.client, t.url, q, true, nil); err != nil {
				p.kill()
				return err
			}
		}
	}
	return p.stop()
}

// wrong tells whether an error is of a text.
func (t *traffic) wrong() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, err := range t.errs {
		if errors.Is(err, errText) {
			return true
		}
	}
	return false
}
