package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"llmc/compiler/calib"
	"llmc/engine"
	"llmc/internal/cli"
	"llmc/runtime"
	"llmc/runtime/encode"
)

// evaluation is a plan that is being measured, and what it is compared with.
type evaluation struct {
	plan      *runtime.Loaded
	reference *runtime.Loaded // nil: nothing
	text      string
	most      int // windows, pairs or lines
	progress  *cli.Progress
}

// evaluatedKind is what is measured of plans of a kind of model, on which text.
type evaluatedKind struct {
	is       func(info *engine.ModelInfo) bool
	most     int // windows, pairs or lines at most
	settings func(info *engine.ModelInfo) engine.Settings
	measure  func(ctx context.Context, e *evaluation) (quality, error)
}

// quality is what was found, as JSON and for people.
type quality interface{ print(w io.Writer) error }

// evaluatedKinds are asked in turn.
var evaluatedKinds = []evaluatedKind{
	{func(info *engine.ModelInfo) bool { return info.Encoder != nil }, calib.Pairs, encoderSettings, closeness},
	{func(info *engine.ModelInfo) bool { return info.Source != nil }, calib.Pairs, pairSettings, pairPerplexity},
	{func(*engine.ModelInfo) bool { return true }, calib.Windows, windowSettings, textPerplexity},
}

func evaluatedKindOf(info *engine.ModelInfo) *evaluatedKind {
	return &evaluatedKinds[slices.IndexFunc(evaluatedKinds, func(k evaluatedKind) bool { return k.is(info) })]
}

func windowSettings(*engine.ModelInfo) engine.Settings {
	return engine.Settings{MaxStepTokens: calib.Window, MaxSequences: 1, MaxRows: 64, MaxContext: calib.Window}
}

// longestPair bounds the tokens of a source, and of a target.
const longestPair = 4096

func pairSettings(info *engine.ModelInfo) engine.Settings {
	longest := min(info.MaxContext, longestPair)
	return engine.Settings{MaxStepTokens: longest, MaxSequences: 1, MaxRows: min(64, longest), MaxContext: longest}
}

func encoderSettings(*engine.ModelInfo) engine.Settings { return engine.Settings{MaxSequences: 16} }

// model returns what to compare with, without a nil in an interface.
func (e *evaluation) model() engine.Model {
	if e.reference == nil {
		return nil
	}
	return e.reference.Model
}

func textPerplexity(ctx context.Context, e *evaluation) (quality, error) {
	tok, err := e.plan.Tokenizer()
	if err != nil {
		return nil, err
	}
	ids, err := tok.Encode(e.text, false)
	if err != nil {
		return nil, err
	}
	if len(ids) > e.most*calib.Window {
		ids = ids[:e.most*calib.Window]
	}
	task := e.progress.Start("windows", int64(min(max(1, len(ids)/calib.Window), calib.Windows)))
	defer task.Done()
	q, err := calib.Evaluate(ctx, e.plan.Model, e.model(), e.plan.Info.Vocab, ids, func(int, int) { task.Add(1) })
	return perplexity{q}, err
}

func pairPerplexity(ctx context.Context, e *evaluation) (quality, error) {
	tok, err := e.plan.Tokenizer()
	if err != nil {
		return nil, err
	}
	var pairs []calib.Pair
	for n, line := range e.lines() {
		source, target, ok := strings.Cut(line, "\t")
		if !ok || strings.Contains(target, "\t") {
			return nil, fmt.Errorf("--text: line %d is not a source, a tab and a target: the plan encodes its prompts, so that is what its perplexity is of", n)
		}
		var p calib.Pair
		for _, side := range []struct {
			text string
			ids  *[]int32
		}{{source, &p.Source}, {target, &p.Target}} {
			if *side.ids, err = tok.Encode(side.text, true); err != nil {
				return nil, fmt.Errorf("--text: line %d: %w", n, err)
			}
		}
		if longest := pairSettings(&e.plan.Info).MaxContext; max(len(p.Source), len(p.Target)) > longest {
			return nil, fmt.Errorf("--text: line %d: %d tokens and %d, at most %d", n, len(p.Source), len(p.Target), longest)
		}
		pairs = append(pairs, p)
	}
	task := e.progress.Start("pairs", int64(len(pairs)))
	defer task.Done()
	q, err := calib.EvaluatePairs(ctx, e.plan.Model, e.model(), e.plan.Info.Vocab, e.plan.Info.Source.Start, pairs, func(int, int) { task.Add(1) })
	return perplexity{q}, err
}

// lines are those of the text that say something, as many as are measured, by their numbers.
func (e *evaluation) lines() func(yield func(number int, line string) bool) {
	return func(yield func(int, string) bool) {
		number, given := 0, 0
		for line := range strings.Lines(e.text) {
			number++
			line = strings.TrimRight(line, "\r\n")
			if strings.TrimSpace(line) == "" {
				continue
			}
			if given++; given > e.most || !yield(number, line) {
				return
			}
		}
	}
}

// closeness compares what an encoder gives for each line with what the unquantized model does.
func closeness(ctx context.Context, e *evaluation) (quality, error) {
	if e.reference == nil {
		return nil, fmt.Errorf("what an encoder gives has no perplexity: --against MODEL compares it with what the unquantized model gives")
	}
	if functions := e.plan.Plan.Functions(); !slices.Contains(functions, engine.TextFunc) && slices.Contains(functions, engine.ImageFunc) {
		return nil, fmt.Errorf("the plan reads images alone, no text: `llmc verify --against` judges its layers")
	}
	task := e.progress.Start("lines", 2*int64(e.count()))
	defer task.Done()
	got, of, err := e.encode(ctx, e.plan, task)
	if err != nil {
		return nil, err
	}
	want, _, err := e.encode(ctx, e.reference, task)
	if err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	c, err := calib.CompareVectors(of.Gives(), of.Width(), got, want)
	return near{c}, err
}

func (e *evaluation) count() (n int) {
	for range e.lines() {
		n++
	}
	return n
}

// encodedTogether is how many lines are given to an encoder at once.
const encodedTogether = 64

// encode returns what a plan gives for each line: of one text, or of two with a tab between.
func (e *evaluation) encode(ctx context.Context, loaded *runtime.Loaded, task *cli.Task) (results [][]float32, of *encode.Encoder, err error) {
	tok, err := loaded.Tokenizer()
	if err != nil {
		return nil, nil, err
	}
	if of, err = encode.New(loaded.Plan, loaded.Model, tok); err != nil {
		return nil, nil, err
	}
	var inputs []encode.Input
	flush := func() error {
		given, err := of.Run(inputs)
		results = append(results, given...)
		task.Add(int64(len(inputs)))
		inputs = inputs[:0]
		if err == nil {
			err = ctx.Err()
		}
		return err
	}
	for n, line := range e.lines() {
		texts := strings.Split(line, "\t")
		if of.Gives() == "embedding" || of.Gives() == "hidden" {
			texts = []string{line}
		}
		in, err := of.Text("", texts...)
		if err != nil {
			return nil, nil, fmt.Errorf("--text: line %d: %w", n, err)
		}
		if inputs = append(inputs, in); len(inputs) == encodedTogether {
			if err := flush(); err != nil {
				return nil, nil, err
			}
		}
	}
	return results, of, flush()
}

// perplexity is of decoders and of what encoder-decoders make of texts.
type perplexity struct{ *calib.Quality }

func (q perplexity) print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "perplexity %.4f over %d tokens\n", q.PPL, q.Tokens)
	if err == nil && q.PPLRef != nil {
		_, err = fmt.Fprintf(w, "unquantized %.4f (%+.2f %%), divergence %.5f nats, same first choice %.2f %%\n", *q.PPLRef, 100*(q.PPL / *q.PPLRef - 1), *q.KL, 100**q.Top1)
	}
	return err
}

// near is of encoders.
type near struct{ *calib.Closeness }

func (c near) print(w io.Writer) error {
	parts := []string{fmt.Sprintf("%s of %d lines, beside the unquantized model", c.Gives, c.Lines)}
	if c.Cosine != nil {
		parts = append(parts, fmt.Sprintf("cosine %.6f, at least %.6f", *c.Cosine, *c.CosineMin))
	}
	if c.Diff != nil {
		parts = append(parts, fmt.Sprintf("apart by %.6f on average, %.6f at most", *c.Diff, *c.DiffMax))
	}
	if c.Top1 != nil {
		what := map[string]string{"embedding": "nearest other line", "logits": "label"}[c.Gives]
		parts = append(parts, fmt.Sprintf("same %s %.2f %%", what, 100**c.Top1))
	}
	_, err := fmt.Fprintln(w, strings.Join(parts, "; "))
	return err
}
