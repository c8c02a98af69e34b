package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	soakPart  = 90 * time.Second // traffic pauses so often for a look, but 3 to 12 times in all
	soakKV    = "16M"            // so little that sequences are preempted
	leakBytes = 32 << 20         // of memory that may be more at the end than after the first part: what heaps of Go differ by from one collection to the next
	served    = "demo"
	tuned     = "tuned" // the adapter, which comes and goes
)

// soak is random traffic for a long time.
func soak(ctx context.Context, o *options) error {
	p, t, err := o.prepare(ctx)
	if err != nil {
		return err
	}
	defer p.kill()
	start, err := t.quiet(p, func(state) bool { return true })
	if err != nil {
		return err
	}
	o.say("%8s %9s %10s %11s %10s", "time", "answers", "goroutines", "descriptors", "memory")
	o.say("%8s %9d %10d %11d %7.1f MB", "start", 0, start.goroutines, start.descriptors, float64(start.anon)/1e6)
	var anon []int64
	traffic, stop := context.WithCancel(ctx)
	defer stop()
	var clients sync.WaitGroup
	for i := range o.clients {
		clients.Go(func() { t.run(traffic, rand.New(rand.NewPCG(o.seed, uint64(i)))) })
	}
	clients.Go(func() { t.changeAdapters(traffic, o.dir) })
	clients.Go(func() { t.watch(traffic) })
	began, parts := time.Now(), min(max(o.length/soakPart, 3), 12)
	for i := time.Duration(0); i < parts && err == nil; i++ {
		select {
		case <-time.After(o.length / parts):
		case <-p.ended:
			return fmt.Errorf("the server ended: %w: %s", p.err, p.said.Last())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		var s state
		s, err = t.quiet(p, start.holds)
		anon = append(anon, s.anon)
		o.say("%8s %9d %10d %11d %7.1f MB", time.Since(began).Round(time.Second), t.answers(), s.goroutines, s.descriptors, float64(s.anon)/1e6)
	}
	stop()
	clients.Wait()
	o.say("%s", t.summary())
	if err = errors.Join(err, t.result()); err != nil {
		return err
	}
	if last := anon[len(anon)-1]; last > anon[0]+leakBytes {
		return fmt.Errorf("memory grows: %d bytes after the first part, %d at the end", anon[0], last)
	}
	return p.stop()
}

// holds tells whether goroutines and descriptors of a server at rest are no more than they were.
func (start state) holds(s state) bool {
	return s.goroutines <= start.goroutines && s.descriptors <= start.descriptors
}

// prepare starts a server of all that traffic asks, and learns the answers.
func (o *options) prepare(ctx context.Context) (*process, *traffic, error) {
	plan, err := o.build(ctx, o.demo, served, "--quant", "int8")
	if err != nil {
		return nil, nil, err
	}
	plans := []string{plan}
	if o.encoder != "" {
		plan, err := o.build(ctx, o.encoder, "encoder")
		if err != nil {
			return nil, nil, err
		}
		plans = append(plans, plan)
	}
	if err := writeAdapter(o.dir, o.seed); err != nil {
		return nil, nil, err
	}
	p, err := o.serve(append(plans, "--kv-memory", soakKV, "--enable-lora", "--max-loras", "2")...)
	if err != nil {
		return nil, nil, err
	}
	t := newTraffic(p, o.clients)
	r := rand.New(rand.NewPCG(o.seed, 0))
	t.questions = append(book(served, r), book(tuned, r)...)
	if t.comes = tuned; o.encoder != "" {
		t.questions = append(t.questions, embeddings("encoder")...)
	}
	if err = t.change("load", tuned, o.dir); err == nil {
		t.questions, err = learn(ctx, p.url, t.questions)
	}
	if err != nil {
		p.kill()
		return nil, nil, err
	}
	return p, t, nil
}

// changeAdapters lets the adapter go and come back, all the time.
func (t *traffic) changeAdapters(ctx context.Context, dir string) {
	for ctx.Err() == nil {
		t.pausing.RLock()
		err := t.change("unload", tuned, "")
		if err == nil {
			time.Sleep(20 * time.Millisecond)
			err = t.change("load", tuned, dir)
		}
		t.note("adapter changed", err)
		t.pausing.RUnlock()
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// change loads or unloads an adapter. While others still use it under the same name its place is taken, which passes.
func (t *traffic) change(what, name, dir string) error {
	body := fmt.Sprintf(`{"lora_name":%q}`, name)
	if what == "load" {
		body = fmt.Sprintf(`{"lora_name":%q,"lora_path":%q}`, name, dir)
	}
	for end := time.Now().Add(askLimit); ; time.Sleep(5 * time.Millisecond) {
		err := refused(http.MethodPost, "/v1/"+what+"_lora_adapter", body, 200)(context.Background(), t, nil)
		if err == nil || !strings.Contains(err.Error(), "as many adapters are loaded") || time.Now().After(end) {
			return err
		}
	}
}

// watch wants the server to call itself alive all the time.
func (t *traffic) watch(ctx context.Context) {
	for ctx.Err() == nil {
		t.pausing.RLock()
		t.note("alive", refused(http.MethodGet, "/livez", "", 200)(ctx, t, nil))
		t.pausing.RUnlock()
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (t *traffic) answers() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, count := range t.counts {
		n += count
	}
	return n
}

// summary counts what was done, and says how streams were.
func (t *traffic) summary() string {
	latencies := t.latencies()
	t.mu.Lock()
	defer t.mu.Unlock()
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(t.counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", t.counts[name], name))
	}
	return fmt.Sprintf("%s\nstreams: %s; errors: %d", strings.Join(parts, ", "), latencies, t.failed)
}
