package gpubench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"llmc/compiler"
	"llmc/engine"
	"llmc/internal/cli"
	"llmc/runtime/bench"
	"llmc/runtime/device/cuda"
	"llmc/runtime/device/gpu"
)

const (
	mostKV  = 40 << 30 // bytes of cache
	kvShare = 2        // of what memory is left beside weights, one part in so many
)

// loaded is a model that is measured.
type loaded struct {
	spec
	plan  *engine.Plan
	model *gpu.Model
	emit  func(Row) error
}

// measurePlan builds a model, loads it and measures it: whole first, then its launches alone.
func measurePlan(ctx context.Context, s spec, o *Options, emit func(Row) error) error {
	card, err := cuda.Device{}.Card()
	if err != nil {
		return err
	}
	path := filepath.Join(o.Scratch, "engine.plan")
	if err := build(ctx, s, &card, o, o.Scratch, path, emit); err != nil {
		return err
	}
	plan, err := engine.Open(path)
	if err != nil {
		return err
	}
	defer plan.Close()
	l := &loaded{spec: s, plan: plan, emit: emit}
	begin := time.Now()
	model, err := cuda.Device{}.Load(plan, l.settings(&card))
	if err != nil {
		return err
	}
	defer model.Close()
	l.model = model.(*gpu.Model)
	if err := l.tell(Row{Kind: "load", Seconds: time.Since(begin).Seconds()}); err != nil {
		return err
	}
	for _, measure := range []func(context.Context) error{l.whole, l.timeline(o.Out), l.launches} {
		if err := measure(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tell emits a row of this model.
func (l *loaded) tell(r Row) error {
	r.Model, r.Format = l.name, l.format
	return l.emit(r)
}

// build compiles the model for the best target of the card.
func build(ctx context.Context, s spec, card *gpu.Card, o *Options, dir, path string, emit func(Row) error) error {
	target := card.Target()
	if target == "" {
		return fmt.Errorf("no target for %v", card)
	}
	if err := s.writeModel(dir, o.Tokenizer); err != nil {
		return err
	}
	seed := uint64(1)
	report, err := compiler.Build(ctx, compiler.Options{Model: dir, Out: path, Quant: s.format, Archs: []string{target}, NoFallback: true, Random: &seed, Progress: cli.NewProgress()})
	if err != nil {
		return err
	}
	note := fmt.Sprintf("for %s, %s on disk, %d processors", target, cli.FormatBytes(report.PlanBytes), runtime.NumCPU())
	return emit(Row{Kind: "build", Model: s.name, Format: s.format, Seconds: report.Seconds, Note: note})
}

// settings leave room for the largest step and the most cache that is measured.
func (l *loaded) settings(card *gpu.Card) engine.Settings {
	weights := int64(0)
	for i := range l.plan.Weights() {
		weights += l.plan.Weights()[i].Bytes
	}
	s := engine.Settings{MaxContext: l.context, KVBytes: min(mostKV, (card.Memory-weights)/kvShare), MaxStepTokens: slices.Max(l.prefills)}
	for _, d := range l.decodes {
		s.MaxSequences = max(s.MaxSequences, d.sequences)
	}
	return s
}

// whole measures tokens a second.
func (l *loaded) whole(ctx context.Context) error {
	traffic, err := l.model.Traffic()
	if err != nil {
		return err
	}
	for _, b := range l.batches {
		rows, err := bench.Run(ctx, l.model, l.vocab, bench.Config{Prompt: b.prompt, Gen: b.gen, Batches: []int{b.sequences}, Repeat: b.repeat})
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, engine.ErrDeviceLost) {
				return err
			}
			err = l.tell(Row{Kind: "model", Sequences: b.sequences, Prompt: b.prompt, Gen: b.gen, Note: err.Error()})
			if err != nil {
				return err
			}
			continue
		}
		r := rows[0]
		step := float64(b.sequences) / r.DecodeTS // seconds
		read := r.StepBytes(traffic)
		if err := l.tell(Row{Kind: "model", Sequences: b.sequences, Prompt: b.prompt, Gen: b.gen, PrefillTPS: r.PrefillTS, DecodeTPS: r.DecodeTS, HostMicros: r.HostMicros, IdleMicros: r.IdleMicros,
			Micros: 1e6 * step, GBs: read / step / 1e9}); err != nil {
			return err
		}
	}
	return nil
}

// timeline keeps a page of what each launch of a step takes.
func (l *loaded) timeline(dir string) func(context.Context) error {
	return func(ctx context.Context) error {
		c := bench.Config{Prompt: l.profile.prompt, Gen: l.profile.gen, Batches: []int{l.profile.sequences}, Repeat: 1}
		phases, err := bench.Profile(ctx, l.model, l.vocab, c)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, fmt.Sprintf("timeline-%s-%s.html", l.name, l.format))
		if err := cli.WriteFile(path, func(w io.Writer) error { return bench.WriteTimeline(w, l.String(), c.Profiled(), phases) }); err != nil {
			return err
		}
		for _, p := range bench.Parts(phases) {
			if err := l.tell(Row{Kind: "part", Name: p.Phase, Kernel: p.Kernel, Sequences: c.Batches[0], Prompt: c.Prompt, Micros: p.Micros, GBs: p.Traffic, TFlops: p.TFlops}); err != nil {
				return err
			}
		}
		return nil
	}
}

// launches measures launches of the same kind, layer by layer, so that no cache holds their weights.
func (l *loaded) launches(ctx context.Context) error {
	groups := groupsOf(l.model.Launches())
	attention := slices.DeleteFunc(slices.Clone(groups), func(g group) bool { return g.kernel != "cuda.attention" })
	for _, tokens := range l.prefills {
		if err := l.step(ctx, groups, l.steps(decode{1, tokens}, tokens), Row{Tokens: tokens, Sequences: 1, Context: tokens}); err != nil {
			return err
		}
	}
	seen := map[int]bool{} // sequences; another context makes a difference to attention alone
	for _, d := range l.decodes {
		groups := groups
		if seen[d.sequences] {
			groups = attention
		}
		seen[d.sequences] = true
		if err := l.step(ctx, groups, l.steps(d, 1), Row{Tokens: d.sequences, Sequences: d.sequences, Context: d.context}); err != nil {
			return err
		}
	}
	return nil
}

// steps is the step in which each sequence has its last tokens, all of the same number, of which the last is sampled; nil where there is no room for it.
func (l *loaded) steps(d decode, tokens int) *engine.Step {
	limits, pages := l.model.Limits()
	each := (d.context + limits.PageSize - 1) / limits.PageSize
	if d.context > limits.MaxContext || each*d.sequences > pages || d.sequences > limits.MaxSequences {
		return nil
	}
	order := rand.New(rand.NewPCG(1, uint64(pages))).Perm(pages) // as pages lie that have been given out and taken back
	s := &engine.Step{}
	s.Reset()
	for b := range d.sequences {
		own := order[b*each:]
		for p := d.context - tokens; p < d.context; p++ {
			s.IDs = append(s.IDs, int32((7*b+p)%l.vocab))
		}
		for p := range each {
			s.Pages = append(s.Pages, int32(own[p]))
		}
		s.EndSequence(d.context-tokens, d.context, limits.PageSize)
		s.Rows = append(s.Rows, s.NextRow())
	}
	return s
}

// step measures each group of launches in a step.
func (l *loaded) step(ctx context.Context, groups []group, step *engine.Step, about Row) error {
	if step == nil {
		about.Kind, about.Note = "attention", "the cache has no room for it"
		return l.tell(about)
	}
	again, err := l.model.Repeat(step, make([]engine.Sampled, len(step.Rows)))
	if err != nil {
		return err
	}
	for i := range groups {
		if err := ctx.Err(); err != nil {
			return err
		}
		row := about
		if err := l.group(again, &groups[i], &row); err != nil {
			return fmt.Errorf("%s of %d tokens: %w", groups[i].kernel, about.Tokens, err)
		}
		if row.Micros > 0 {
			if err := l.tell(row); err != nil {
				return err
			}
		}
	}
	return nil
}

// group fills in what one launch of a group takes, if the step has such.
func (l *loaded) group(again *gpu.Repeater, g *group, row *Row) error {
	launches := g.alike(again)
	if len(launches) == 0 {
		return nil
	}
	round, err := again.Round(launches)
	if err != nil {
		return err
	}
	first, err := round.Seconds(1)
	if err != nil {
		return err
	}
	var times []float64
	for range 3 {
		t, err := round.Seconds(min(200, max(1, int(l.rounds/cmp.Or(first, 1)))))
		if err != nil {
			return err
		}
		times = append(times, t)
	}
	seconds, cost := bench.Median(times), again.Cost(launches)
	row.Kind, row.Name, row.Kernel = "launch", g.name, g.kernel
	row.Micros = 1e6 * seconds / float64(len(launches))
	if seconds > 0 {
		row.GBs, row.TFlops = cost.Traffic/seconds/1e9, cost.Flops/seconds/1e12
	}
	switch w, _, err := l.plan.Weight(g.label); {
	case g.kernel == "cuda.attention":
		row.Kind, row.Heads, row.KVHeads, row.Dim = "attention", l.heads, l.kvHeads, l.dim
	case err == nil && len(w.Shape) == 2 && g.kernel != "cuda.gather":
		row.Kind, row.N, row.K = "product", w.Shape[0], w.Shape[1]
		row.Tokens = int(cost.Flops/float64(2*row.N*row.K*int64(len(launches))) + 0.5) // the head has sampled rows alone
	}
	return nil
}
