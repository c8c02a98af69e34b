package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"llmc/runtime/bench/peers/adapt"
	"llmc/runtime/bench/peers/sample"
)

// sections are what can be measured.
var sections = []string{"limits", "build", "size", "decode", "prefill", "long", "start", "stream", "arrival", "perplexity"}

func (o *options) has(section string) bool { return slices.Contains(o.what, section) }

// wanted tells which samples of a job are to be taken.
type wanted func(sample.Key) bool

// job is what runs without another peer in between.
type job struct {
	name, peer, format string
	once               bool // it is not repeated: its figures do not vary
	run                func(ctx context.Context, want wanted) ([]sample.Sample, error)
}

// jobs returns the jobs of a round: the machine, then format by format what each peer has of it. What is not there is said.
func (r *run) jobs() []job {
	var list []job
	if r.has("limits") || r.has("prefill") {
		list = append(list, job{name: "limits", peer: sample.Machine, run: r.limits})
	}
	for _, format := range formats {
		for i := range adapt.Peers {
			p := &adapt.Peers[i]
			for _, v := range r.variants(p) {
				if v.Format == format {
					list = append(list, r.jobsOf(p, v)...)
				}
			}
		}
	}
	return list
}

// variants returns what was asked for of a peer. This project's is always there: others are compared with it.
func (r *run) variants(p *adapt.Peer) []adapt.Variant {
	if len(r.only) > 0 && p.Name != sample.Own && !slices.ContainsFunc(r.only, func(n string) bool { return strings.EqualFold(n, p.Name) }) {
		return nil
	}
	var list []adapt.Variant
	for _, v := range p.Variants {
		if slices.Contains(r.formats, v.Format) && (r.every || !v.Also) {
			list = append(list, v)
		}
	}
	return list
}

func (r *run) jobsOf(p *adapt.Peer, v adapt.Variant) []job {
	name := p.Name + " " + v.Name
	switch {
	case !p.Installed(&r.bench):
		fmt.Fprintf(r.progress, "%s: not installed, there is no %s: make peers PEERS=%s\n", name, p.Needs, r.peers)
		return nil
	case !p.Prepared(&r.bench, v):
		fmt.Fprintf(r.progress, "%s: no file of the model at %s: make peers PEERS=%s MODEL=%s\n", name, r.bench.Path(v), r.peers, r.model)
		return nil
	}
	var list []job
	add := func(section string, asked, can bool, j job) {
		if asked && can {
			j.name, j.peer, j.format = name+": "+section, p.Name, v.Format
			list = append(list, j)
		}
	}
	own := p.Name == sample.Own
	add("size", r.has("size"), true, job{once: true, run: func(context.Context, wanted) ([]sample.Sample, error) { return r.size(p, v), nil }})
	add("conversion", r.has("build"), !own, job{once: true, run: func(context.Context, wanted) ([]sample.Sample, error) { return r.converted(p, v) }})
	add("build", r.has("build"), own, job{run: func(ctx context.Context, _ wanted) ([]sample.Sample, error) { return r.build(ctx, v) }})
	add("perplexity", r.has("perplexity"), p.Quality != nil, job{once: true, run: func(ctx context.Context, _ wanted) ([]sample.Sample, error) { return r.quality(ctx, p, v) }})
	add("start", r.has("start"), p.Start != nil, job{run: func(ctx context.Context, _ wanted) ([]sample.Sample, error) { return r.begin(ctx, p, v) }})
	cases := r.cases()
	add("run", len(cases) > 0, p.Measure != nil, job{run: func(ctx context.Context, want wanted) ([]sample.Sample, error) {
		return r.measureCases(ctx, p, v, cases, want)
	}})
	add("serve", r.has("stream"), p.Serve != nil, job{run: func(ctx context.Context, want wanted) ([]sample.Sample, error) { return r.stream(ctx, p, v, want) }})
	add("serve while a prompt arrives", r.has("arrival") && r.context >= arrival.context(), p.Serve != nil,
		job{run: func(ctx context.Context, _ wanted) ([]sample.Sample, error) { return r.arrive(ctx, p, v) }})
	return list
}

// key is what all samples of a variant have in common.
func (r *run) key(p *adapt.Peer, v adapt.Variant, metric string, size int64) sample.Key {
	return sample.Key{Model: r.bench.Model, Peer: p.Name, Format: v.Format, Variant: v.Name, Metric: metric, Size: size}
}

// size is what the weights take.
func (r *run) size(p *adapt.Peer, v adapt.Variant) []sample.Sample {
	bytes := float64(p.Bytes(&r.bench, v))
	return []sample.Sample{
		{Key: r.key(p, v, "file", 0), Value: bytes / 1e6},
		{Key: r.key(p, v, "bits", 0), Value: 8 * bytes / float64(r.parameters)},
	}
}

// converted is what setup noted of a peer's conversions.
func (r *run) converted(p *adapt.Peer, v adapt.Variant) ([]sample.Sample, error) {
	text, err := os.ReadFile(filepath.Join(r.bench.Peers, adapt.Conversions))
	if err != nil {
		return nil, err
	}
	c, ok := p.ReadConversions(string(text), r.bench.Model)[v.Name]
	if !ok {
		return nil, nil // it reads the checkpoint as it is
	}
	return []sample.Sample{
		{Key: r.key(p, v, "build", 0), Value: c.Seconds},
		{Key: r.key(p, v, "build_memory", 0), Value: float64(c.Bytes) / 1e6},
	}, nil
}
