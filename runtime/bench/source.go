package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"llmc/engine"
	"llmc/runtime"
)

// RunSource measures a loaded encoder-decoder: PrefillTS of its rows are tokens of texts that are encoded, each whole in one step, DecodeTS those that are
// decoded beside them, with the ones that outputs come behind counted as one step of each sequence.
func RunSource(ctx context.Context, loaded *runtime.Loaded, c Config) ([]Row, error) {
	rows := make([]Row, 0, len(c.Batches))
	for _, batch := range c.Batches {
		var encode, decode []float64
		for repeat := range c.Repeat {
			r, err := newSourceRun(loaded, loaded.Model, batch, c, uint64(repeat))
			if err != nil {
				return rows, err
			}
			e, d, err := r.measure(ctx)
			if err != nil {
				return rows, fmt.Errorf("batch %d: %w", batch, err)
			}
			encode, decode = append(encode, e.Seconds()), append(decode, d.Seconds())
		}
		row := Row{Batch: batch, Prompt: c.Prompt, Gen: c.Gen, PrefillTS: float64(batch*c.Prompt) / Median(encode), PeakRSS: peakRSS()}
		if seconds := Median(decode); c.Gen > 0 && seconds > 0 {
			row.DecodeTS = float64(batch*c.Gen) / seconds
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// ProfileSource times the launches of encoding one batch of texts, of the first size, and of the steps that decode beside them.
func ProfileSource(ctx context.Context, loaded *runtime.Loaded, c Config) ([]Phase, error) {
	model, err := newProfiledFunctions(loaded.Model)
	if err != nil {
		return nil, err
	}
	for repeat := range 2 { // the first run finds code and memory that nobody has touched
		clear(model.of)
		model.phase("")
		r, err := newSourceRun(loaded, model, c.Batches[0], c, uint64(repeat))
		if err != nil {
			return nil, err
		}
		if _, _, err := r.measure(ctx); err != nil {
			return nil, err
		}
	}
	phases := model.function(engine.EncodeFunc)
	if c.Gen > 0 {
		phases = append(phases, model.phase("decode"))
	}
	return phases, nil
}

// sourceRun drives one batch: its texts through the encoder, then its decode steps.
type sourceRun struct {
	model  engine.Runner
	limits engine.Settings
	c      Config
	start  []int32   // that every output comes behind
	texts  [][]int32 // of each sequence
	pages  struct{ text, own int }
	step   engine.Step // that is being filled
	out    []engine.Sampled
	last   []int32 // that each sequence decoded
}

func newSourceRun(loaded *runtime.Loaded, model engine.Model, batch int, c Config, seed uint64) (*sourceRun, error) {
	runner, ok := model.(engine.Runner)
	if !ok || loaded.Info.Source == nil {
		return nil, fmt.Errorf("%s has no function %s", loaded.Plan.Path(), engine.EncodeFunc)
	}
	limits, pages := model.Limits()
	r := &sourceRun{model: runner, limits: limits, c: c, start: loaded.Info.Source.Start, out: make([]engine.Sampled, batch), last: make([]int32, batch)}
	r.pages.text = (c.Prompt + limits.PageSize - 1) / limits.PageSize
	r.pages.own = (len(r.start) + c.Gen + limits.PageSize - 1) / limits.PageSize
	if err := r.check(batch, pages); err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(seed, uint64(batch)))
	for range batch {
		text := make([]int32, c.Prompt)
		for i := range text {
			text[i] = random.Int32N(int32(loaded.Info.Vocab))
		}
		r.texts = append(r.texts, text)
	}
	return r, nil
}

func (r *sourceRun) check(batch, pages int) error {
	c, l := &r.c, &r.limits
	switch {
	case c.Prompt < 1 || c.Gen < 0 || c.Repeat < 1 || batch < 1:
		return fmt.Errorf("prompt, batch and repeat must be at least 1")
	case c.Prompt > min(l.MaxContext, l.MaxStepTokens):
		return fmt.Errorf("texts of %d tokens, at most %d are encoded", c.Prompt, min(l.MaxContext, l.MaxStepTokens))
	case len(r.start)+c.Gen > l.MaxContext:
		return fmt.Errorf("gen takes %d positions, the context has %d", len(r.start)+c.Gen, l.MaxContext)
	case batch > min(l.MaxSequences, l.MaxRows) || batch*len(r.start) > l.MaxStepTokens:
		return fmt.Errorf("batch %d: the model was loaded for %d sequences in steps of %d tokens", batch, min(l.MaxSequences, l.MaxRows), l.MaxStepTokens)
	case batch*(r.pages.text+r.pages.own) > pages:
		return fmt.Errorf("batch %d takes %d KV pages, there are %d: raise --kv-memory", batch, batch*(r.pages.text+r.pages.own), pages)
	}
	return nil
}

func (r *sourceRun) measure(ctx context.Context) (encode, decode time.Duration, err error) {
	begin := time.Now()
	if err := r.encode(ctx); err != nil {
		return 0, 0, err
	}
	encode = time.Since(begin)
	begin = time.Now()
	for i := range r.c.Gen {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		if err := r.decode(i); err != nil {
			return 0, 0, err
		}
	}
	return encode, time.Since(begin), nil
}

// encode fills each step with as many whole texts as it takes.
func (r *sourceRun) encode(ctx context.Context) error {
	s := &r.step
	s.Reset()
	for b, text := range r.texts {
		s.IDs, s.Pages = append(s.IDs, text...), r.appendPages(s.Pages, b, 0, r.pages.text)
		s.EndSequence(0, len(text), r.limits.PageSize)
		if b+1 < len(r.texts) && s.T()+len(text) <= r.limits.MaxStepTokens {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.model.Run(engine.EncodeFunc, s, nil); err != nil {
			return err
		}
		s.Reset()
	}
	return nil
}

// decode runs decode step i: every sequence by one token, in the first step by those that outputs come behind.
func (r *sourceRun) decode(i int) error {
	s := &r.step
	s.Reset()
	for b := range r.texts {
		tokens, at := r.start, 0
		if i > 0 {
			tokens, at = r.last[b:b+1], len(r.start)+i-1
		}
		s.IDs = append(s.IDs, tokens...)
		s.Pages = r.appendPages(s.Pages, b, r.pages.text, (at+len(tokens)+r.limits.PageSize-1)/r.limits.PageSize)
		s.EndSequence(at, len(r.start), r.limits.PageSize)
		s.Source.Add(r.appendPages(nil, b, 0, r.pages.text), r.c.Prompt)
		s.Rows = append(s.Rows, s.NextRow())
	}
	if err := r.model.Step(s, r.out); err != nil {
		return err
	}
	for b := range r.last {
		r.last[b] = max(r.out[b].Token, 0) // -1 where there was nothing to choose
	}
	return nil
}

// appendPages appends count of a sequence's pages from one of them on: those of its text, then its own.
func (r *sourceRun) appendPages(to []int32, sequence, first, count int) []int32 {
	for p := range count {
		to = append(to, int32(sequence*(r.pages.text+r.pages.own)+first+p))
	}
	return to
}
