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
var arrival = arrivalSize{load.Arrival{Streams: 8, Prompt: streamPrompt, Tokens: 2048, Settle: 8, Long: 4000}}

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
func (r *run) serve(ctx context.Context, p *adapt.Peer, v adapt.Variant, slots, positions int, prompts *load.Prompts) (s *serving, stop func(), err error) {
	port, err := freePort()
	if err != nil {
		return nil, nil, err
	}
	running, err := r.start(ctx, p.Serve(&r.bench, v, adapt.Serving{Port: port, Slots: slots, Context: positions}))
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

// stream loads a server with clients.
func (r *run) stream(ctx context.Context, p *adapt.Peer, v adapt.Variant, want wanted) ([]sample.Sample, error) {
	prompts := load.NewPrompts(r.bench.IDs)
	most := slices.Max(r.clients)
	s, stop, err := r.serve(ctx, p, v, most, streamContext, prompts)
	if err != nil {
		return nil, err
	}
	defer stop()
	samples := []sample.Sample{s.start}
	for _, clients := range r.clients {
		if !want(r.key(p, v, "stream", int64(clients))) {
			continue
		}
		s.Meter.Mark()
		result, err := load.Level{Clients: clients, Requests: streamRequests, Prompt: streamPrompt, Tokens: streamTokens}.Run(s.ctx, s.server, prompts)
		if err != nil {
			return samples, fmt.Errorf("%d clients: %w%s", clients, err, s.Said())
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
	return append(samples, sample.Sample{Key: r.key(p, v, "memory_server", int64(most)), Value: float64(s.PeakBytes()) / 1e6}), nil
}

// arrive lets a long prompt arrive at a server that is busy with streams.
func (r *run) arrive(ctx context.Context, p *adapt.Peer, v adapt.Variant) ([]sample.Sample, error) {
	prompts := load.NewPrompts(r.bench.IDs)
	s, stop, err := r.serve(ctx, p, v, arrival.Streams+1, arrival.context(), prompts)
	if err != nil {
		return nil, err
	}
	defer stop()
	s.Meter.Mark()
	result, err := arrival.Run(s.ctx, s.server, prompts)
	if err != nil {
		return nil, fmt.Errorf("%w%s", err, s.Said())
	}
	foreign := rounded(s.Meter.Foreign())
	return []sample.Sample{
		{Key: r.key(p, v, "arrival_p99", int64(arrival.Long)), Value: 1e3 * sample.Percentile(result.Between, 99), Foreign: foreign},
		{Key: r.key(p, v, "arrival_first", int64(arrival.Long)), Value: 1e3 * result.First, Foreign: foreign},
	}, nil
}
