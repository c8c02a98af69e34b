package bench

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"llmc/engine"
)

// Part is the time that the launches of one kernel took, per step.
type Part struct {
	Phase       string  `json:"phase"` // "prefill" or "decode"
	Kernel      string  `json:"kernel"`
	Launches    int     `json:"launches"`
	Micros      float64 `json:"us"`
	Share       float64 `json:"share"`
	WeightBytes int64   `json:"weight_bytes"`
	GBPerSecond float64 `json:"gb_per_s"` // of weights
}

// Explain profiles one prompt and its decode steps, launch by launch.
func Explain(ctx context.Context, model engine.Model, vocab int, c Config) ([]Part, error) {
	profiler, ok := model.(engine.Profiler)
	if !ok {
		return nil, fmt.Errorf("this device cannot time launches")
	}
	limits, pages := model.Limits()
	batch := c.Batches[0]
	if err := check(c, batch, limits, pages); err != nil {
		return nil, err
	}
	p := &profiled{Model: model, profiler: profiler, times: profiler.Launches()}
	r := newRun(p, limits, vocab, batch, c, 0)
	last := make([]int32, batch)
	if err := r.prefill(ctx, last); err != nil {
		return nil, err
	}
	parts := p.parts("prefill")
	for i := range c.Gen {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := r.decode(last, i); err != nil {
			return nil, err
		}
	}
	return append(parts, p.parts("decode")...), nil
}

// profiled is a model whose steps are profiled.
type profiled struct {
	engine.Model
	profiler engine.Profiler
	times    []engine.LaunchTime
	steps    int
}

// Step implements engine.Model.
func (p *profiled) Step(step *engine.Step, out []engine.Sampled) error {
	p.steps++
	return p.profiler.Profile(step, out, p.times)
}

// parts sums up by kernel, per step, the longest first, and begins anew.
func (p *profiled) parts(phase string) []Part {
	var parts []Part
	total := 0.0
	for _, t := range p.times {
		i := slices.IndexFunc(parts, func(q Part) bool { return q.Kernel == t.Kernel })
		if i < 0 {
			i = len(parts)
			parts = append(parts, Part{Phase: phase, Kernel: t.Kernel})
		}
		micros := 1e6 * t.Seconds / float64(max(1, p.steps))
		parts[i].Launches++
		parts[i].Micros += micros
		parts[i].WeightBytes += t.WeightBytes
		total += micros
	}
	for i := range parts {
		q := &parts[i]
		q.Share = q.Micros / total
		q.GBPerSecond = float64(q.WeightBytes) / q.Micros / 1e3
	}
	slices.SortStableFunc(parts, func(a, b Part) int {
		if a.Micros > b.Micros {
			return -1
		}
		return 1
	})
	p.times, p.steps = p.profiler.Launches(), 0
	return parts
}

// WriteParts prints the parts for people.
func WriteParts(w io.Writer, parts []Part) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "phase\tkernel\tlaunches\tus a step\tshare\tweights GB/s\t")
	for _, p := range parts {
		fmt.Fprintf(t, "%s\t%s\t%d\t%.0f\t%.1f %%\t%.1f\t\n", p.Phase, p.Kernel, p.Launches, p.Micros, 100*p.Share, p.GBPerSecond)
	}
	return t.Flush()
}
