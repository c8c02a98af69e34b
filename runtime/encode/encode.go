// Package encode runs plans that make vectors or scores of texts: it turns texts into sequences and sequences into steps, many in each.
package encode

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"llmc/engine"
	"llmc/internal/sym"
	"llmc/internal/tokenizer"
)

// Input is a sequence of tokens.
type Input struct {
	IDs   []int32
	Types []int32 // of tokens; nil: all 0
}

// Encoder runs the plan of an encoder. It is used by one goroutine at a time.
type Encoder struct {
	model    engine.Runner
	info     engine.ModelInfo
	tok      *tokenizer.Tokenizer // nil: the plan has none
	function string
	result   engine.Buffer
	limits   engine.Settings
	pages    int
	step     engine.Step
	out      [1][]float32
}

// ErrGenerates is wrapped where a plan generates text instead of encoding it.
var ErrGenerates = errors.New("the plan generates text; it makes no embeddings and no scores")

// ErrPrompt is wrapped where a plan has no prompt of the name that is asked for.
var ErrPrompt = errors.New("no such prompt")

// New returns an encoder of a loaded plan.
func New(plan *engine.Plan, model engine.Model, tok *tokenizer.Tokenizer) (*Encoder, error) {
	info := plan.Info()
	runner, ok := model.(engine.Runner)
	if info.Encoder == nil || !ok {
		return nil, fmt.Errorf("%s: %w", plan.Path(), ErrGenerates)
	}
	e := &Encoder{model: runner, info: info, tok: tok, function: plan.Main()}
	results := runner.Results(e.function)
	if len(results) != 1 {
		return nil, fmt.Errorf("%s: function %s gives %d results, not one", plan.Path(), e.function, len(results))
	}
	e.result = results[0]
	if e.result.Rows != sym.Of(sym.T) && !e.perSequence() {
		return nil, fmt.Errorf("%s: function %s gives %v rows of %s, not one for each token or sequence", plan.Path(), e.function, e.result.Rows, e.result.Name)
	}
	e.limits, e.pages = model.Limits()
	return e, nil
}

// Gives is the name of what the plan gives: "embedding" or "score" of a sequence, "logits" of its labels, or "hidden", a row for each token.
func (e *Encoder) Gives() string { return e.result.Name }

// Width is how many numbers a row has.
func (e *Encoder) Width() int { return int(e.result.Cols) }

// MaxTokens is how many tokens a sequence may have.
func (e *Encoder) MaxTokens() int {
	return min(e.info.Encoder.MaxTokens, e.limits.MaxContext, e.limits.MaxStepTokens, e.pages*e.limits.PageSize)
}

// Text makes the sequence of a text, or of a pair of texts. prompt is the name of the one that precedes it, "" for the plan's default. What is longer
// than the model takes is cut at its end.
func (e *Encoder) Text(prompt string, texts ...string) (Input, error) {
	if e.tok == nil {
		return Input{}, errors.New("the plan has no tokenizer; give token ids")
	}
	if len(texts) < 1 || len(texts) > 2 {
		return Input{}, fmt.Errorf("%d texts; a sequence is of one or of a pair", len(texts))
	}
	before, err := e.prompt(prompt)
	if err != nil {
		return Input{}, err
	}
	texts = slices.Clone(texts)
	texts[0] = before + texts[0]
	ids, types, err := e.tok.EncodeWithin(e.MaxTokens(), texts...)
	if err == nil && len(ids) == 0 {
		err = errors.New("the text has no tokens")
	}
	return Input{ids, types}, err
}

// prompt returns the text of a prompt.
func (e *Encoder) prompt(name string) (string, error) {
	if name == "" {
		name = e.info.Encoder.Default
	}
	if name == "" {
		return "", nil
	}
	var known []string
	for _, p := range e.info.Encoder.Prompts {
		if p.Name == name {
			return p.Text, nil
		}
		known = append(known, p.Name)
	}
	if known == nil {
		return "", fmt.Errorf("%w: %q; the plan has none", ErrPrompt, name)
	}
	return "", fmt.Errorf("%w: %q; the plan has %s", ErrPrompt, name, strings.Join(known, ", "))
}

// check refuses a sequence that the model can not take.
func (e *Encoder) check(in *Input) error {
	switch most := e.MaxTokens(); {
	case len(in.IDs) == 0:
		return errors.New("no tokens")
	case len(in.IDs) > most:
		return fmt.Errorf("%d tokens, at most %d", len(in.IDs), most)
	case len(in.Types) != 0 && len(in.Types) != len(in.IDs):
		return fmt.Errorf("%d types for %d tokens", len(in.Types), len(in.IDs))
	}
	for _, id := range in.IDs {
		if id < 0 || int(id) >= e.info.Vocab {
			return fmt.Errorf("id %d is outside the vocabulary of %d", id, e.info.Vocab)
		}
	}
	return nil
}

// Run returns what the plan gives for each sequence: a row, or of "hidden" the rows of its tokens one after the other. Sequences share steps; what one
// gives does not depend on the others.
func (e *Encoder) Run(inputs []Input) ([][]float32, error) {
	for i := range inputs {
		if err := e.check(&inputs[i]); err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
	}
	results := make([][]float32, len(inputs))
	for done := 0; done < len(inputs); {
		n := e.fill(len(inputs)-done, func(i int) *Input { return &inputs[done+i] })
		if err := e.runStep(func(i int, row []float32) { results[done+i] = row }); err != nil {
			return nil, err
		}
		done += n
	}
	return results, nil
}

// fill makes a step of the first of n sequences that fit, and returns how many they are.
func (e *Encoder) fill(n int, input func(i int) *Input) int {
	s := &e.step
	s.Reset()
	page, typed, count := 0, false, 0
	for ; count < min(n, e.limits.MaxSequences); count++ {
		in := input(count)
		pages := (len(in.IDs) + e.limits.PageSize - 1) / e.limits.PageSize
		if s.T()+len(in.IDs) > e.limits.MaxStepTokens || page+pages > e.pages {
			break
		}
		s.IDs = append(s.IDs, in.IDs...)
		for range pages {
			s.Pages = append(s.Pages, int32(page))
			page++
		}
		s.EndSequence(0, len(in.IDs), e.limits.PageSize)
		s.Types = append(s.Types, in.Types...)
		for len(s.Types) < s.T() {
			s.Types = append(s.Types, 0)
		}
		typed = typed || slices.ContainsFunc(in.Types, func(t int32) bool { return t != 0 })
	}
	e.dropTypes(typed)
	return count
}

// dropTypes leaves out types that are all 0, which models without types know as well.
func (e *Encoder) dropTypes(typed bool) {
	if !typed {
		e.step.Types = e.step.Types[:0]
	}
}

// runStep computes the step that was filled and gives each of its sequences its rows.
func (e *Encoder) runStep(give func(i int, rows []float32)) error {
	rows, err := e.result.Rows.Eval(e.step.Sizes())
	if err != nil {
		return err
	}
	width := e.Width()
	e.out[0] = slices.Grow(e.out[0][:0], int(rows)*width)[:int(rows)*width]
	if err := e.model.Run(e.function, &e.step, e.out[:]); err != nil {
		return err
	}
	for b := range e.step.B() {
		first, end := b, b+1
		if !e.perSequence() {
			first, end = int(e.step.SeqStart[b]), int(e.step.SeqStart[b+1])
		}
		give(b, slices.Clone(e.out[0][first*width:end*width]))
	}
	return nil
}

// perSequence tells that the result has a row for each sequence; or else it has one for each token.
func (e *Encoder) perSequence() bool { return e.result.Rows == sym.Of(sym.B) }
