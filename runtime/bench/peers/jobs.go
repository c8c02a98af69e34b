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
	keys               []sample.Key // of what it is run for; it may find more
	once               bool         // it is not repeated: its figures do not vary
	again              bool         // it is run whatever is known: others need what it finds
	run                func(ctx context.Context, want wanted) ([]sample.Sample, error)
}

// jobs returns the jobs of a round: the machine, then format by format what each peer has of it. What is not there is said.
func (r *run) jobs() []job {
	var list []job
	if r.has("limits") || r.has("prefill") {
		list = append(list, job{name: "limits", peer: sample.Machine, again: true, run: r.limits})
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
	return slices.DeleteFunc(slices.Concat(r.jobsOnce(p, v), r.jobsOfRounds(p, v)), func(j job) bool { return j.run == nil })
}

// jobsOnce are those whose figures do not vary.
func (r *run) jobsOnce(p *adapt.Peer, v adapt.Variant) []job {
	of := r.maker(p, v)
	list := []job{of("size", r.has("size") || r.has("perplexity"), []sample.Key{r.key(p, v, "bits", 0)}, func(context.Context, wanted) ([]sample.Sample, error) { return r.size(p, v), nil })}
	if p.Name != sample.Own {
		list = append(list, of("conversion", r.has("build"), []sample.Key{r.key(p, v, "build", 0)}, func(context.Context, wanted) ([]sample.Sample, error) { return r.converted(p, v) }))
	}
	list = append(list, of("perplexity", r.has("perplexity"), []sample.Key{r.key(p, v, "ppl", int64(r.windows))}, func(ctx context.Context, _ wanted) ([]sample.Sample, error) { return r.quality(ctx, p, v) }))
	for i := range list {
		list[i].once = true
	}
	return list
}

// jobsOfRounds are those that every round has. A program that measures all cases in one process tells there when its first token came; a server that takes
// long to start is started once for all loads.
func (r *run) jobsOfRounds(p *adapt.Peer, v adapt.Variant) []job {
	of := r.maker(p, v)
	var list []job
	if p.Name == sample.Own {
		list = append(list, of("build", r.has("build"), []sample.Key{r.key(p, v, "build", 0)}, func(ctx context.Context, _ wanted) ([]sample.Sample, error) { return r.build(ctx, v) }))
	}
	start, cases := r.key(p, v, "start", 0), r.cases()
	within := r.has("start") && !p.Single && len(cases) > 0
	list = append(list, of("start", r.has("start") && !within, []sample.Key{start}, func(ctx context.Context, _ wanted) ([]sample.Sample, error) { return r.begin(ctx, p, v) }))
	var keys []sample.Key
	for _, c := range cases {
		keys = append(keys, r.key(p, v, c.Metric, c.Size()))
	}
	if within {
		keys = append(keys, start)
	}
	list = append(list, of("run", len(cases) > 0, keys, func(ctx context.Context, want wanted) ([]sample.Sample, error) {
		return r.measureCases(ctx, p, v, cases, want)
	}))
	if p.Serve == nil {
		return list
	}
	loads, all := r.loads(p, v), []sample.Key(nil)
	for _, l := range loads {
		all = append(all, l.keys...)
		if !p.Once {
			list = append(list, of(l.name, true, l.keys, func(ctx context.Context, want wanted) ([]sample.Sample, error) {
				return r.load(ctx, p, v, []serverLoad{l}, want)
			}))
		}
	}
	return append(list, of("serve", p.Once && len(loads) > 0, all, func(ctx context.Context, want wanted) ([]sample.Sample, error) { return r.load(ctx, p, v, loads, want) }))
}

// maker returns what makes jobs of a variant; one that was not asked for has nothing to run.
func (r *run) maker(p *adapt.Peer, v adapt.Variant) func(section string, asked bool, keys []sample.Key, run func(context.Context, wanted) ([]sample.Sample, error)) job {
	return func(section string, asked bool, keys []sample.Key, run func(context.Context, wanted) ([]sample.Sample, error)) job {
		j := job{name: p.Name + " " + v.Name + ": " + section, peer: p.Name, format: v.Format, keys: keys}
		if asked {
			j.run = run
		}
		return j
	}
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
