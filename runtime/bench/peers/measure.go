package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"llmc/runtime/bench/peers/adapt"
	"llmc/runtime/bench/peers/proc"
	"llmc/runtime/bench/peers/sample"
)

// Sizes of what is measured without a server.
const (
	decodePrompt  = 32
	decodeTokens  = 128
	sharedTokens  = 64 // of each, where several sequences decode together
	shortPrompt   = adapt.Predicted
	longPrompt    = 4096
	contextPrompt = 7500
	contextTokens = 32
	repeat        = 3 // of what takes less than a second
)

// cases are what every peer is asked to do, where the model can.
func (r *run) cases() []adapt.Case {
	var list []adapt.Case
	add := func(section string, c adapt.Case) {
		if r.has(section) && c.Prompt+c.Gen < r.context {
			list = append(list, c)
		}
	}
	// One sequence first: some engines have a pipeline of their own for it, which is loaded once.
	add("prefill", adapt.Case{Metric: "prefill", Batch: 1, Prompt: shortPrompt, Repeat: repeat})
	add("long", adapt.Case{Metric: "prefill", Batch: 1, Prompt: longPrompt, Repeat: 1})
	add("long", adapt.Case{Metric: "context", Batch: 1, Prompt: contextPrompt, Gen: contextTokens, Repeat: 1})
	for _, b := range slices.Sorted(slices.Values(r.batches)) {
		c := adapt.Case{Metric: "decode", Batch: b, Prompt: decodePrompt, Gen: sharedTokens, Repeat: 1}
		if b == 1 {
			c.Gen, c.Repeat = decodeTokens, repeat
		}
		add("decode", c)
	}
	return list
}

// measureCases measures those cases whose samples are wanted, in one process or in one each.
func (r *run) measureCases(ctx context.Context, p *adapt.Peer, v adapt.Variant, cases []adapt.Case, want wanted) ([]sample.Sample, error) {
	var asked []adapt.Case
	for _, c := range cases {
		if want(r.key(p, v, c.Metric, c.Size())) {
			asked = append(asked, c)
		}
	}
	if !p.Single {
		return r.oneProcess(ctx, p, v, asked, r.has("start") && want(r.key(p, v, "start", 0)))
	}
	var samples []sample.Sample
	for _, c := range asked {
		more, err := r.oneProcess(ctx, p, v, []adapt.Case{c}, false)
		samples = append(samples, more...)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil { // the other cases may go
			samples = append(samples, sample.Sample{Key: r.key(p, v, c.Metric, c.Size()), Failed: oneLine(err)})
		}
	}
	return samples, nil
}

// oneProcess measures cases in one process, and maybe when its first token came.
func (r *run) oneProcess(ctx context.Context, p *adapt.Peer, v adapt.Variant, cases []adapt.Case, start bool) (samples []sample.Sample, err error) {
	command, err := p.Measure(&r.bench, v, cases)
	if err != nil {
		return nil, err
	}
	told := make([]bool, len(cases))
	_, err = r.lines(ctx, command, func(running *proc.Process, line string) error {
		found, err := p.Parse(line, cases)
		for _, f := range found {
			if f.First && start {
				samples = append(samples, r.started(p, v, time.Since(running.Begun), running.Meter.Foreign(), running.PeakBytes())...)
			}
			if f.First || f.Begin {
				running.Meter.Mark()
				continue
			}
			c := cases[f.Case]
			s := sample.Sample{Key: r.key(p, v, c.Metric, c.Size()), Value: f.Value, Share: f.Share, Failed: f.Error, Foreign: rounded(running.Meter.Foreign())}
			if p.Name == sample.Own && c.Gen == 0 && c.Prompt == adapt.Predicted {
				s.Share = r.shareOfPeak(v, f.Value)
			}
			samples, told[f.Case] = append(samples, s), true
			running.Meter.Mark()
		}
		return err
	})
	for i, c := range cases {
		if !told[i] && err == nil {
			err = fmt.Errorf("nothing was said of a prompt of %d, %d together", c.Prompt, c.Batch)
		}
	}
	return samples, err
}

// shareOfPeak is what part of the processor's operations a prompt reached whose tokens came at that rate.
func (r *run) shareOfPeak(v adapt.Variant, rate float64) float64 {
	peak := r.peaks[multiplied[v.Format]]
	if peak == 0 {
		peak = r.peaks["f32"] // a processor without instructions for bf16
	}
	if peak == 0 {
		return 0
	}
	return r.flops[v.Name] * rate / adapt.Predicted / peak
}

// multiplied is the type of numbers that a format's products are made of.
var multiplied = map[string]string{"int4": "int8", "int8": "int8", "bf16": "bf16", "f32": "f32"}

// limits measures the machine.
func (r *run) limits(ctx context.Context, _ wanted) (samples []sample.Sample, err error) {
	_, err = r.lines(ctx, r.bench.Roofline(), func(p *proc.Process, line string) error {
		samples, err = adapt.ParseRoofline(line)
		for i := range samples {
			samples[i].Foreign = rounded(p.Meter.Foreign())
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	clear(r.peaks)
	for _, s := range samples {
		if s.Metric == "peak" {
			kind, _, _ := strings.Cut(s.Variant, " ")
			r.peaks[kind] = max(r.peaks[kind], s.Value*1e9)
		}
	}
	return samples, nil
}

// build makes a plan.
func (r *run) build(ctx context.Context, v adapt.Variant) ([]sample.Sample, error) {
	var built adapt.Built
	p, err := r.lines(ctx, r.bench.Build(v), func(_ *proc.Process, line string) error {
		if b, ok := adapt.ParseBuild(line); ok {
			built = b
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if built.Parameters == 0 {
		return nil, fmt.Errorf("llmc build has said nothing of what it built")
	}
	r.parameters = built.Parameters
	own, foreign := &adapt.Peers[0], rounded(p.Meter.Foreign())
	return []sample.Sample{
		{Key: r.key(own, v, "build", 0), Value: p.Took().Seconds(), Foreign: foreign},
		{Key: r.key(own, v, "build_memory", 0), Value: float64(p.PeakBytes()) / 1e6},
	}, nil
}

// begin measures the time from the start of a process to its first token, and its memory.
func (r *run) begin(ctx context.Context, p *adapt.Peer, v adapt.Variant) ([]sample.Sample, error) {
	command, err := p.Start(&r.bench, v)
	if err != nil {
		return nil, err
	}
	var first time.Duration
	var foreign float64
	running, err := r.lines(ctx, command, func(running *proc.Process, line string) error {
		if p.Single {
			return nil // it ends after its first token
		}
		found, err := p.Parse(line, nil)
		if len(found) > 0 && found[0].First {
			first, foreign = time.Since(running.Begun), running.Meter.Foreign()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if p.Single {
		first, foreign = running.Took(), running.Meter.Foreign()
	}
	if first == 0 {
		return nil, fmt.Errorf("it has said nothing of a first token%s", running.Said())
	}
	return r.started(p, v, first, foreign, running.PeakBytes()), nil
}

func (r *run) started(p *adapt.Peer, v adapt.Variant, first time.Duration, foreign float64, peak int64) []sample.Sample {
	return []sample.Sample{
		{Key: r.key(p, v, "start", 0), Value: first.Seconds(), Foreign: rounded(foreign)},
		{Key: r.key(p, v, "memory", 0), Value: float64(peak) / 1e6},
	}
}

// quality measures perplexity.
func (r *run) quality(ctx context.Context, p *adapt.Peer, v adapt.Variant) ([]sample.Sample, error) {
	command, err := p.Quality(&r.bench, v)
	if err != nil {
		return nil, err
	}
	found := 0.0
	_, err = r.lines(ctx, command, func(_ *proc.Process, line string) error {
		if ppl, ok := p.Said(line); ok {
			found = ppl
		}
		return nil
	})
	if err == nil && found == 0 {
		err = fmt.Errorf("it has said no perplexity")
	}
	if err != nil {
		return nil, err
	}
	return []sample.Sample{{Key: r.key(p, v, "ppl", int64(r.windows)), Value: found}}, nil
}

// rounded is a part of the machine, to a tenth of a percent.
func rounded(part float64) float64 { return math.Round(part*1e3) / 1e3 }

// oneLine is an error without line breaks, and not long.
func oneLine(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	return text[:min(len(text), 300)]
}
