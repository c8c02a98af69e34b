// Package bench measures how fast a loaded plan runs, without scheduler, server or prefix cache in between.
package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"llmc/engine"
)

// Config says what to measure.
type Config struct {
	Prompt  int   // tokens of each prompt
	Gen     int   // tokens decoded after it, per sequence
	Batches []int // sequences at a time
	Repeat  int   // the figures are medians of this many runs
}

// Row is the result for one batch size, medians over the repeats. The names are those of the command's JSON.
type Row struct {
	Batch     int     `json:"batch"`
	Prompt    int     `json:"prompt"`
	Gen       int     `json:"gen"`
	PrefillTS float64 `json:"prefill_tps"` // prompt tokens a second, all sequences together
	DecodeTS  float64 `json:"decode_tps"`  // decoded tokens a second, all sequences together
	// BandwidthFrac is what decoding reads (weights once a step, the KV of every sequence) over time, as a fraction of the
	// read bandwidth that the same process measures on memory larger than the caches. Above 1 part of it stays in the cache.
	BandwidthFrac float64 `json:"bandwidth_frac"`
	// HostMicros is what the host does for a decode step of a device beside it, IdleMicros when the device does nothing for one that is waited for.
	HostMicros float64 `json:"host_us,omitempty"`
	IdleMicros float64 `json:"idle_us,omitempty"`
	PeakRSS    int64   `json:"peak_rss"` // bytes
}

// Run measures model. Prompts are random tokens below vocab and differ from run to run.
func Run(ctx context.Context, model engine.Model, vocab int, c Config) ([]Row, error) {
	limits, pages := model.Limits()
	rows := make([]Row, 0, len(c.Batches))
	for _, batch := range c.Batches {
		if err := check(c, batch, limits, pages); err != nil {
			return rows, err
		}
		var prefill, decode []float64
		for repeat := range c.Repeat {
			r := newRun(model, limits, vocab, batch, c, uint64(repeat))
			p, d, err := r.measure(ctx)
			if err != nil {
				return rows, fmt.Errorf("batch %d: %w", batch, err)
			}
			prefill, decode = append(prefill, p.Seconds()), append(decode, d.Seconds())
		}
		row := Row{Batch: batch, Prompt: c.Prompt, Gen: c.Gen, PeakRSS: peakRSS()}
		row.PrefillTS = float64(batch*c.Prompt) / Median(prefill)
		if seconds := Median(decode); c.Gen > 0 && seconds > 0 {
			row.DecodeTS = float64(batch*c.Gen) / seconds
		}
		host, err := newRun(model, limits, vocab, batch, c, uint64(c.Repeat)).hostTimes(ctx)
		if err != nil {
			return rows, fmt.Errorf("batch %d: %w", batch, err)
		}
		row.HostMicros, row.IdleMicros = host.work, host.idle
		rows = append(rows, row)
	}
	return rows, nil
}

// Compare fills in what part of the memory bandwidth decoding used. Measuring the bandwidth takes memory: it comes after Run, so
// that the peak does not count it.
func Compare(rows []Row, traffic engine.Traffic) {
	if traffic.Bandwidth <= 0 {
		return
	}
	for i := range rows {
		r := &rows[i]
		r.BandwidthFrac = r.StepBytes(traffic) * r.DecodeTS / float64(r.Batch) / traffic.Bandwidth
	}
}

// StepBytes is what a decode step of the row reads: weights once, and the cache of every sequence as long as it is on average.
func (r *Row) StepBytes(traffic engine.Traffic) float64 {
	context := float64(r.Prompt) + float64(r.Gen)/2
	return traffic.Weights(r.Batch) + float64(r.Batch)*context*float64(traffic.KVTokenBytes)
}

func check(c Config, batch int, limits engine.Settings, pages int) error {
	perSequence := (c.Prompt + c.Gen + limits.PageSize) / limits.PageSize
	switch {
	case c.Prompt < 1 || c.Gen < 0 || c.Repeat < 1 || batch < 1:
		return fmt.Errorf("prompt, batch and repeat must be at least 1")
	case c.Prompt+c.Gen > limits.MaxContext:
		return fmt.Errorf("prompt and gen take %d positions, the context has %d", c.Prompt+c.Gen, limits.MaxContext)
	case batch > limits.MaxSequences || batch > limits.MaxRows:
		return fmt.Errorf("batch %d: the model was loaded for %d sequences", batch, min(limits.MaxSequences, limits.MaxRows))
	case perSequence*batch > pages:
		return fmt.Errorf("batch %d takes %d KV pages, there are %d: raise --kv-memory", batch, perSequence*batch, pages)
	}
	return nil
}

// run drives one batch through its prompts and its decode steps.
type run struct {
	model  engine.Model
	limits engine.Settings
	c      Config
	batch  int
	step   *engine.Step // that is being filled
	out    []engine.Sampled
	tokens [][]int32 // prompt of each sequence, then what it decoded last
	pages  int       // KV pages of one sequence
}

func newRun(model engine.Model, limits engine.Settings, vocab, batch int, c Config, seed uint64) *run {
	r := &run{model: model, limits: limits, c: c, batch: batch, step: &engine.Step{}, out: make([]engine.Sampled, batch)}
	r.pages = (c.Prompt + c.Gen + limits.PageSize) / limits.PageSize
	random := rand.New(rand.NewPCG(seed, uint64(batch)))
	for range batch {
		prompt := make([]int32, c.Prompt)
		for i := range prompt {
			prompt[i] = random.Int32N(int32(vocab))
		}
		r.tokens = append(r.tokens, prompt)
	}
	return r
}

func (r *run) measure(ctx context.Context) (prefill, decode time.Duration, err error) {
	last := make([]int32, r.batch)
	start := time.Now()
	if err := r.prefill(ctx, last); err != nil {
		return 0, 0, err
	}
	prefill = time.Since(start)
	start = time.Now()
	if ahead, ok := r.model.(engine.Starter); ok && ahead.Foresees() {
		err = r.decodeAhead(ctx, ahead, last)
	} else {
		err = r.decodeAll(ctx, last)
	}
	return prefill, time.Since(start), err
}

func (r *run) decodeAll(ctx context.Context, last []int32) error {
	for i := range r.c.Gen {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.decode(last, i); err != nil {
			return err
		}
	}
	return nil
}

// decode runs decode step i: every sequence by one token.
func (r *run) decode(last []int32, i int) error {
	r.fill(last, i)
	return r.run(last, 0)
}

// fill makes the step decode step i.
func (r *run) fill(last []int32, i int) {
	r.step.Reset()
	for b := range r.batch {
		r.add(b, last[b:b+1], r.c.Prompt+i, true)
	}
}

// prefill fills each step with as many prompt tokens as it takes, whole sequences first.
func (r *run) prefill(ctx context.Context, last []int32) error {
	r.step.Reset()
	room, first := r.limits.MaxStepTokens, 0
	for b := range r.batch {
		for at := 0; at < r.c.Prompt; {
			n := min(room, r.c.Prompt-at)
			r.add(b, r.tokens[b][at:at+n], at, at+n == r.c.Prompt)
			at, room = at+n, room-n
			if room > 0 && !(at == r.c.Prompt && b == r.batch-1) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := r.run(last, first); err != nil {
				return err
			}
			first += len(r.step.Rows)
			r.step.Reset()
			room = r.limits.MaxStepTokens
		}
	}
	return nil
}

// add appends tokens of sequence b at position at to the step, as sampled sequence when row is set.
func (r *run) add(b int, tokens []int32, at int, row bool) {
	s := r.step
	s.IDs = append(s.IDs, tokens...)
	for p := range (at + len(tokens) + r.limits.PageSize - 1) / r.limits.PageSize {
		s.Pages = append(s.Pages, int32(b*r.pages+p))
	}
	s.EndSequence(at, r.c.Prompt, r.limits.PageSize)
	if row {
		s.Rows = append(s.Rows, s.NextRow())
	}
}

// run runs the step; its sampled rows belong to the sequences from first on.
func (r *run) run(last []int32, first int) error {
	n := len(r.step.Rows)
	if err := r.model.Step(r.step, r.out[:n]); err != nil {
		return err
	}
	r.take(last[first:], n)
	return nil
}

// take keeps the tokens of n rows.
func (r *run) take(last []int32, n int) {
	for i := range n {
		last[i] = max(r.out[i].Token, 0) // -1 where there was nothing to choose
	}
}

// Median sorts its numbers, of which there must be one.
func Median(v []float64) float64 {
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func peakRSS() int64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return usage.Maxrss * 1024
}
