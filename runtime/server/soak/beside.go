package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"llmc/runtime/bench/peers/sample"
)

const (
	aloneFor = 10 * time.Second // streams alone, to compare with
	warmUp   = 2 * time.Second
)

// phase is something that goes on beside streams.
type phase struct {
	name string
	run  func(ctx context.Context, p *process, t *traffic) error
}

// compare lets streams run alone, then, in turns, beside what each phase does, tells for each how evenly tokens came and who took the processors, and wants the server to be at the end
// what it was. The first phase takes as much of the machine without harm, and says how much of what streams see is the machine's.
func (o *options) compare(ctx context.Context, phases []phase, args ...string) error {
	p, t, err := o.beside(ctx, args...)
	if err != nil {
		return err
	}
	defer p.kill()
	start, err := t.quiet(p, func(state) bool { return true })
	if err != nil {
		return err
	}
	alone := phase{"alone", func(context.Context, *process, *traffic) error { time.Sleep(aloneFor); return nil }}
	if _, err := o.watched(ctx, p, t, alone); err != nil {
		return err
	}
	p99 := make([][]float64, len(phases)) // between tokens, one of each turn
	for range o.turns {
		for i, ph := range phases {
			seconds, err := o.watched(ctx, p, t, ph)
			if err != nil {
				return err
			}
			p99[i] = append(p99[i], seconds)
		}
	}
	for i, ph := range phases[1:] {
		var times []float64
		for turn, harmless := range p99[0] {
			times = append(times, p99[i+1][turn]/harmless)
		}
		o.say("%s: p99 between tokens %.2f times that beside %s, the median of %.2f", ph.name, sample.Percentile(times, 50), phases[0].name, times)
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

// watched runs a phase beside streams and returns the p99 of the seconds between their tokens.
func (o *options) watched(ctx context.Context, p *process, t *traffic, ph phase) (p99 float64, err error) {
	running, stop := context.WithCancel(ctx)
	wait := t.streams(running)
	time.Sleep(warmUp)
	before, err := p.look()
	if err != nil {
		stop()
		wait()
		return 0, err
	}
	client, began := clientSeconds(), time.Now()
	t.forget()
	err = ph.run(ctx, p, t)
	took, spent := time.Since(began).Seconds(), clientSeconds()-client
	after, lost := p.look()
	ended := time.Now()
	stop()
	wait()
	t.mu.Lock()
	var gaps []float64
	for _, g := range t.gaps {
		if begins := g.end.Add(-time.Duration(g.seconds * float64(time.Second))); begins.Before(ended) && g.end.After(began) {
			gaps = append(gaps, g.seconds)
		}
	}
	t.mu.Unlock()
	if err := errors.Join(err, lost); err != nil {
		return 0, err
	}
	if len(gaps) == 0 {
		return 0, fmt.Errorf("%s: no stream had an event in %.1f s", ph.name, took)
	}
	p99 = sample.Percentile(gaps, 99)
	o.say("%-28s %5.1f s, between tokens p50 %.1f ms, p99 %.1f; processors: the server %.2f, clients %.2f; %s", ph.name, took, 1e3*sample.Percentile(gaps, 50), 1e3*p99,
		(after.seconds-before.seconds)/took, spent/took, t.summary())
	return p99, nil
}

// clientSeconds is what this process has taken of processors.
func clientSeconds() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// forget begins new figures.
func (t *traffic) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gaps, t.firsts = nil, nil
	clear(t.counts)
}

// resetsPerSecond is somewhat less than what two processors have time for, so that no listener is given more of them than another.
const resetsPerSecond = 8000

// resets opens connections and resets them: as they are, behind half a request, behind a whole one. First it does so to a listener of its own, which takes and closes them, and
// without whole requests, which are work that the server has to begin.
func resets(ctx context.Context, o *options) error {
	attack := func(addr string, t *traffic, requests bool) error {
		target, r := &traffic{addr: addr}, rand.New(rand.NewPCG(o.seed, 2))
		began := time.Now()
		for i := range o.connections {
			time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / resetsPerSecond)))
			text := ""
			switch n := r.IntN(4); {
			case n == 0:
				text = "POST /v1/comp"
			case n == 1 && requests:
				text = postOf(t.any(r), true)
			}
			if err := target.raw(true, text, nil); err != nil {
				return err
			}
		}
		return nil
	}
	return o.compare(ctx, []phase{
		{"resets of another listener", func(_ context.Context, _ *process, t *traffic) error {
			addr, end, err := closes()
			if err != nil {
				return err
			}
			defer end()
			return attack(addr, t, true)
		}},
		{"resets, no whole request", func(_ context.Context, p *process, t *traffic) error { return attack(p.addr, t, false) }},
		{"resets, requests too", func(_ context.Context, p *process, t *traffic) error { return attack(p.addr, t, true) }},
	})
}

// closes takes connections and closes them, until end is called.
func closes() (addr string, end func(), err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	return ln.Addr().String(), func() { _ = ln.Close() }, nil
}

const (
	deafClients = 32
	// deafLimit is when a server must have given up clients that do not read: its limit of a write, and some more.
	deafLimit = 30*time.Second + 20*time.Second
	deafRead  = 4 << 10 // bytes that the client's kernel takes
)

// longStream asks for long events, all told more than the kernels' buffers hold.
var longStream = question{dialect: &dialects[1], model: served, prompt: "Tell me everything.", tokens: 400, fields: map[string]any{
	"temperature": 0, "ignore_eos": true, "logprobs": true, "top_logprobs": 20, "n": 4}}

// deaf opens long streams and reads nothing of them. First the same streams are read.
func deaf(ctx context.Context, o *options) error {
	return o.compare(ctx, []phase{{"as many that read", readers}, {"clients that read nothing", o.readNothing}}, "--max-batch", "256")
}

// readers reads long streams to their ends.
func readers(_ context.Context, _ *process, t *traffic) error {
	errs := make([]error, deafClients)
	var clients sync.WaitGroup
	for i := range errs {
		clients.Go(func() {
			errs[i] = t.raw(false, postOf(&longStream, true), func(c *net.TCPConn) error {
				lines := bufio.NewScanner(c)
				lines.Buffer(nil, longestEvent)
				for lines.Scan() {
					if strings.HasSuffix(lines.Text(), "[DONE]") {
						return nil
					}
				}
				return errors.Join(lines.Err(), errors.New("a long stream was cut"))
			})
		})
	}
	clients.Wait()
	return errors.Join(errs...)
}

// readNothing opens the streams and waits until the server has cut them off.
func (o *options) readNothing(ctx context.Context, p *process, t *traffic) error {
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
		if _, err := c.Write([]byte(postOf(&longStream, true))); err != nil {
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
}
