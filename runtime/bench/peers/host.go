package main

import (
	"fmt"
	"slices"

	"llmc/runtime/bench/peers/adapt"
	"llmc/runtime/bench/peers/load"
	"llmc/runtime/bench/peers/sample"
)

// What a server takes of processors for each token that it streams. Of a model that takes next to no time (tiny.py) most of it is
// what the host costs; decode of as many together says how much is the model's.
const (
	hostSection = "host" // measured when it is asked for: of a model of any size it says little
	hostTokens  = 128    // of each stream
	hostWarmUp  = 16     // tokens of each stream that is not counted
)

// hostLoad loads a server with ever more clients and counts its processors, all processes of it together.
func (r *run) hostLoad(p *adapt.Peer, v adapt.Variant) serverLoad {
	var keys []sample.Key
	for _, c := range r.clients {
		keys = append(keys, r.key(p, v, "host_token", int64(c)))
	}
	return serverLoad{name: "serve for its host's cost", slots: slices.Max(r.clients), positions: streamContext, keys: keys, aside: true,
		run: func(s *serving, prompts *load.Prompts, want wanted) (samples []sample.Sample, err error) {
			for i, clients := range r.clients {
				if !want(keys[i]) {
					continue
				}
				more, err := r.hostCost(s, p, v, prompts, clients)
				samples = append(samples, more...)
				if err != nil {
					return samples, fmt.Errorf("%d clients: %w", clients, err)
				}
			}
			return samples, nil
		}}
}

func (r *run) hostCost(s *serving, p *adapt.Peer, v adapt.Variant, prompts *load.Prompts, clients int) ([]sample.Sample, error) {
	warm := load.Level{Clients: clients, Requests: 1, Prompt: streamPrompt, Tokens: hostWarmUp}
	if _, err := warm.Run(s.ctx, s.server, prompts); err != nil {
		return nil, err
	}
	before := s.Processors()
	s.Meter.Mark()
	level := load.Level{Clients: clients, Requests: max(1, r.streams/clients), Prompt: streamPrompt, Tokens: hostTokens}
	result, err := level.Run(s.ctx, s.server, prompts)
	if err != nil {
		return nil, err
	}
	spent, foreign := (s.Processors() - before).Seconds(), rounded(s.Meter.Foreign())
	figure := func(metric string, value float64) sample.Sample {
		return sample.Sample{Key: r.key(p, v, metric, int64(clients)), Value: value, Foreign: foreign}
	}
	tokens, streams := float64(result.Tokens), float64(clients*level.Requests)
	return []sample.Sample{figure("host_token", 1e6*spent/tokens), figure("host_stream", 1e3*spent/streams), figure("host_rate", result.PerSecond)}, nil
}
