package main

import (
	"fmt"

	"llmc/runtime/bench/peers/adapt"
	"llmc/runtime/bench/peers/load"
	"llmc/runtime/bench/peers/sample"
)

// What a server takes of processors for each token that it streams. Of a model that takes next to no time (tiny.py) it is what the host costs.
const (
	hostSection = "host" // measured when it is asked for: of a model of any size it says little
	hostTokens  = 128    // of each stream
	hostWarmUp  = 16     // tokens of each stream that is not counted
)

// hostLoad loads a server with clients and counts its processors, all processes of it together.
func (r *run) hostLoad(p *adapt.Peer, v adapt.Variant, clients int) serverLoad {
	key := func(metric string) sample.Key { return r.key(p, v, metric, int64(clients)) }
	return serverLoad{fmt.Sprintf("serve %d for their host's cost", clients), clients, streamContext, []sample.Key{key("host_token")},
		func(s *serving, prompts *load.Prompts, _ wanted) ([]sample.Sample, error) {
			warm := load.Level{Clients: clients, Requests: 1, Prompt: streamPrompt, Tokens: hostWarmUp}
			if _, err := warm.Run(s.ctx, s.server, prompts); err != nil {
				return nil, fmt.Errorf("%d clients: %w", clients, err)
			}
			device, err := r.deviceSeconds(s, p)
			if err != nil {
				return nil, err
			}
			before := s.Processors()
			s.Meter.Mark()
			level := load.Level{Clients: clients, Requests: max(1, r.streams/clients), Prompt: streamPrompt, Tokens: hostTokens}
			result, err := level.Run(s.ctx, s.server, prompts)
			if err != nil {
				return nil, fmt.Errorf("%d clients: %w", clients, err)
			}
			spent, foreign := (s.Processors() - before).Seconds(), rounded(s.Meter.Foreign())
			streams := float64(clients * level.Requests)
			samples := []sample.Sample{
				{Key: key("host_token"), Value: 1e6 * spent / float64(result.Tokens), Foreign: foreign},
				{Key: key("host_stream"), Value: 1e3 * spent / streams, Foreign: foreign},
				{Key: key("host_rate"), Value: result.PerSecond, Foreign: foreign},
			}
			if p.StepSeconds == nil {
				return samples, nil
			}
			after, err := r.deviceSeconds(s, p)
			if err != nil {
				return nil, err
			}
			alone := max(0, spent-(after-device)*float64(r.threads))
			return append(samples, sample.Sample{Key: key("host_alone"), Value: 1e6 * alone / float64(result.Tokens), Foreign: foreign}), nil
		}}
}

// deviceSeconds is what the server's steps have taken of the device, 0 of a peer that does not tell.
func (r *run) deviceSeconds(s *serving, p *adapt.Peer) (float64, error) {
	if p.StepSeconds == nil {
		return 0, nil
	}
	text, err := s.server.Metrics(s.ctx)
	if err != nil {
		return 0, err
	}
	return p.StepSeconds(text), nil
}
