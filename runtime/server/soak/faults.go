package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
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
