package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"

	"llmc/runtime/bench/peers/adapt"
	"llmc/runtime/bench/peers/load"
	"llmc/runtime/bench/peers/proc"
	"llmc/runtime/bench/peers/sample"
)

// Sizes of what clients ask.
const (
	streamPrompt   = 24
	streamTokens   = 64
	streamRequests = 2 // of each client
	streamContext  = 512
)

// arrival is a prompt that comes while others are being answered.
var arrival = arrivalSize{load.Arrival{Streams: 8, Prompt: streamPrompt, Tokens: 2048, Begin: 8, Settle: 40, Long: 4000}}

type arrivalSize struct{ load.Arrival }

// context is how many positions each sequence needs.
func (a arrivalSize) context() int { return max(a.Prompt+a.Tokens, a.Long) + 64 }

// serving is a server that has made its first token.
type serving struct {
	*proc.Process
	server *load.Server
	ctx    context.Context // ends with the server
	start  sample.Sample
}

// serve starts a server; stop ends it.
func (r *run) serve(ctx context.Context, p *adapt.Peer, v adapt.Variant, w adapt.Serving, prompts *load.Prompts) (s *serving, stop func(), err error) {
	port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	w.Port = port
	command, err := p.Serve(&r.bench, v, w)
	if err != nil {
		return nil, nil, err
	}
	running, err := r.start(ctx, command)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		err := running.Wait()
		cancel(fmt.Errorf("the server has ended: %w", err))
	}()
	stop = func() {
		running.Stop()
		r.spent += running.Took()
		cancel(nil)
	}
	s = &serving{Process: running, ctx: ctx, server: &load.Server{URL: "http://127.0.0.1:" + strconv.Itoa(port), Model: adapt.ServedName, Extra: p.Extra}}
	first, err := s.server.Ready(ctx, load.Request{Prompt: prompts.Take(decodePrompt), Tokens: 1})
	if err != nil {
		stop()
		return nil, nil, err
	}
	s.start = sample.Sample{Key: r.key(p, v, "start_server", 0), Value: first.Sub(running.Begun).Seconds(), Foreign: rounded(running.Meter.Foreign())}
	return s, stop, nil
}

func freePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// serverLoad is what is asked of a server.
type serverLoad struct {
	name             string
	slots, positions int
	keys             []sample.Key
	aside            bool // not the model counts, nor when its server was ready
	run              func(s *serving, prompts *load.Prompts, want wanted) ([]sample.Sample, error)
}

// loads are those that were asked for and that the model has room for.
func (r *run) loads(p *adapt.Peer, v adapt.Variant) []serverLoad {
	var list []serverLoad
	if r.has("stream") && len(r.clients) > 0 {
		var keys []sample.Key
		for _, c := range r.clients {
			keys = append(keys, r.key(p, v, "stream", int64(c)))
		}
		list = append(list, serverLoad{name: "serve", slots: slices.Max(r.clients), positions: streamContext, keys: keys,
			run: func(s *serving, prompts *load.Prompts, want wanted) ([]sample.Sample, error) {
				return r.stream(s, p, v, prompts, want)
			}})
	}
	if r.has(hostSection) && len(r.clients) > 0 {
		list = append(list, r.hostLoad(p, v))
	}
	if r.has("arrival") && r.context >= arrival.context() {
		keys := []sample.Key{r.key(p, v, "arrival_p99", int64(arrival.Long))}
		list = append(list, serverLoad{name: "serve while a prompt arrives", slots: arrival.Streams + 1, positions: arrival.context(), keys: keys,
			run: func(s *serving, prompts *load.Prompts, _ wanted) ([]sample.Sample, error) {
				return r.arrive(s, p, v, prompts)
			}})
	}
	return list
}

// load puts those loads of which something is wanted on a server that has room for the largest.
func (r *run) load(ctx context.Context, p *adapt.Peer, v adapt.Variant, loads []serverLoad, want wanted) ([]sample.Sample, error) {
	loads = slices.DeleteFunc(slices.Clone(loads), func(l serverLoad) bool { return !slices.ContainsFunc(l.keys, want) })
	if len(loads) == 0 {
		return nil, nil // only when the server was ready was noisy: that alone is not worth a start
	}
	w := adapt.Serving{Eager: !slices.ContainsFunc(loads, func(l serverLoad) bool { return !l.aside })}
	for _, l := range loads {
		w.Slots, w.Context = max(w.Slots, l.slots), max(w.Context, l.positions)
	}
	prompts := load.NewPrompts(r.bench.IDs)
	s, stop, err := r.serve(ctx, p, v, w, prompts)
	if err != nil {
		return nil, err
	}
	defer stop()
	var samples []sample.Sample
	if !w.Eager {
		samples = append(samples, s.start)
	}
	for _, l := range loads {
		s.Meter.Mark()
		more, err := l.run(s, prompts, want)
		samples = append(samples, more...)
		if err != nil {
			return samples, fmt.Errorf("%w%s", err, s.Said())
		}
	}
	return samples, nil
}

// stream loads a server with clients.
func (r *run) stream(s *serving, p *adapt.Peer, v adapt.Variant, prompts *load.Prompts, want wanted) (samples []sample.Sample, err error) {
	for _, clients := range r.clients {
		if !want(r.key(p, v, "stream", int64(clients))) {
			continue
		}
		s.Meter.Mark()
		result, err := load.Level{Clients: clients, Requests: streamRequests, Prompt: streamPrompt, Tokens: streamTokens}.Run(s.ctx, s.server, prompts)
		if err != nil {
			return samples, fmt.Errorf("%d clients: %w", clients, err)
		}
		foreign := rounded(s.Meter.Foreign())
		for _, f := range []struct {
			metric string
			value  float64
		}{
			{"stream", result.PerSecond},
			{"first_p50", 1e3 * sample.Percentile(result.First, 50)}, {"first_p99", 1e3 * sample.Percentile(result.First, 99)},
			{"between_p50", 1e3 * sample.Percentile(result.Between, 50)}, {"between_p99", 1e3 * sample.Percentile(result.Between, 99)},
		} {
			samples = append(samples, sample.Sample{Key: r.key(p, v, f.metric, int64(clients)), Value: f.value, Foreign: foreign})
		}
	}
	return append(samples, sample.Sample{Key: r.key(p, v, "memory_server", int64(slices.Max(r.clients))), Value: float64(s.PeakBytes()) / 1e6}), nil
}

// arrive lets a long prompt arrive at a server that is busy with streams.
func (r *run) arrive(s *serving, p *adapt.Peer, v adapt.Variant, prompts *load.Prompts) ([]sample.Sample, error) {
	result, err := arrival.Run(s.ctx, s.server, prompts)
	if err != nil {
		return nil, err
	}
	foreign, size := rounded(s.Meter.Foreign()), int64(arrival.Long)
	without, with := sample.Percentile(result.Before, 99), sample.Percentile(result.Between, 99)
	return []sample.Sample{
		{Key: r.key(p, v, "arrival_before", int64(arrival.Streams)), Value: 1e3 * without, Foreign: foreign},
		{Key: r.key(p, v, "arrival_p99", size), Value: 1e3 * with, Foreign: foreign},
		{Key: r.key(p, v, "arrival_times", size), Value: with / without, Foreign: foreign},
		{Key: r.key(p, v, "arrival_first", size), Value: 1e3 * result.First, Foreign: foreign},
	}, nil
}
