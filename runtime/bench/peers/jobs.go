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
var sections = []string{"limits", "build", "size", "decode", "prefill", "long", "start", "stream", "arrival", "perplexity", hostSection}

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
		if p.Name == sample.Own && len(r.own) > 0 && !slices.Contains(r.own, v.Name) {
			continue
		}
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
	l := &jobList{run: r, peer: p, variant: v}
	l.once()
	if p.Name == sample.Own && r.has("build") {
		l.add("build", l.keys("build"), func(ctx context.Context, _ wanted) ([]sample.Sample, error) { return r.build(ctx, v) })
	}
	l.programs()
	if p.Serve != nil {
		l.servers()
	}
	return l.list
}

// jobList is filled with the jobs of a variant.
type jobList struct {
	run     *run
	peer    *adapt.Peer
	variant adapt.Variant
	list    []job
}

func (l *jobList) add(section string, keys []sample.Key, run func(context.Context, wanted) ([]sample.Sample, error)) *job {
	name := l.peer.Name + " " + l.variant.Name + ": " + section
	l.list = append(l.list, job{name: name, peer: l.peer.Name, format: l.variant.Format, keys: keys, run: run})
	return &l.list[len(l.list)-1]
}

// keys are those of one figure without a size.
func (l *jobList) keys(metric string) []sample.Key {
	return []sample.Key{l.run.key(l.peer, l.variant, metric, 0)}
}

// once adds what does not vary.
func (l *jobList) once() {
	r, p, v := l.run, l.peer, l.variant
	if r.has("size") || r.has("perplexity") {
		l.add("size", l.keys("bits"), func(context.Context, wanted) ([]sample.Sample, error) { return r.size(p, v), nil }).once = true
	}
	if r.has("build") && p.Name != sample.Own {
		l.add("conversion", l.keys("build"), func(context.Context, wanted) ([]sample.Sample, error) { return r.converted(p, v) }).once = true
	}
	if r.has("perplexity") {
		keys := []sample.Key{r.key(p, v, "ppl", int64(r.windows))}
		l.add("perplexity", keys, func(ctx context.Context, _ wanted) ([]sample.Sample, error) { return r.quality(ctx, p, v) }).once = true
	}
}

// programs adds what is measured without a server. A program that measures all cases in one process tells there when its first token came.
func (l *jobList) programs() {
	r, p, v, cases := l.run, l.peer, l.variant, l.run.cases()
	var keys []sample.Key
	for _, c := range cases {
		keys = append(keys, r.key(p, v, c.Metric, c.Size()))
	}
	switch {
	case r.has("start") && !p.Single && len(cases) > 0:
		keys = append(keys, l.keys("start")...)
	case r.has("start"):
		l.add("start", l.keys("start"), func(ctx context.Context, _ wanted) ([]sample.Sample, error) { return r.begin(ctx, p, v) })
	}
	if len(cases) > 0 {
		l.add("run", keys, func(ctx context.Context, want wanted) ([]sample.Sample, error) {
			return r.measureCases(ctx, p, v, cases, want)
		})
	}
}

// servers adds a server for each load, or one for all where that takes long to start.
func (l *jobList) servers() {
	r, p, v, loads := l.run, l.peer, l.variant, l.run.loads(l.peer, l.variant)
	serve := func(name string, loads []serverLoad) {
		var keys []sample.Key
		for _, s := range loads {
			keys = append(keys, s.keys...)
		}
		l.add(name, keys, func(ctx context.Context, want wanted) ([]sample.Sample, error) { return r.load(ctx, p, v, loads, want) })
	}
	if p.Once && len(loads) > 0 {
		serve("serve", loads)
		return
	}
	for i := range loads {
		serve(loads[i].name, loads[i:i+1])
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
