package runtime

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"llmc/engine"
	"llmc/internal/tokenizer"
	"llmc/runtime/device/limits"
)

// ErrOtherVocabulary is wrapped when a draft plan's tokens are not those of the plan that it would guess for.
var ErrOtherVocabulary = errors.New("another vocabulary")

// LoadDraft loads the plan at path to guess tokens for a loaded one. It must have the same vocabulary.
func (l *Loaded) LoadDraft(path, device string, settings engine.Settings) (*Loaded, error) {
	limits, _ := l.Model.Limits()
	settings.MaxContext, settings.MaxSequences, settings.MaxStepTokens = limits.MaxContext, limits.MaxSequences, limits.MaxStepTokens
	settings.MaxRows, settings.Drafts = limits.MaxSequences, 0
	d, err := Load(path, device, settings)
	if err != nil {
		return nil, err
	}
	if l.Info.Source != nil || d.Info.Source != nil {
		_ = d.Close()
		return nil, fmt.Errorf("%s can not draft for %s: one of them encodes its prompts; --draft ngram drafts for such plans", path, l.Plan.Path())
	}
	err = d.canGuess()
	if err == nil {
		err = sameVocabulary(l.Plan, d.Plan)
	}
	if err != nil {
		_ = d.Close()
		return nil, fmt.Errorf("%s can not draft for %s: %w", path, l.Plan.Path(), err)
	}
	return d, nil
}

// canGuess refuses a plan whose states guesses that were wrong would stay in.
func (l *Loaded) canGuess() error {
	limits, _ := l.Model.Limits()
	program, err := l.Plan.Program(engine.StepFunc, limits.Target)
	if err == nil && program.KeepsState() {
		err = engine.ErrNoDrafts
	}
	return err
}

// ShareKV divides memory for KV pages between the plan at path and the one that is to draft for it, so that both hold as many tokens. 0, nothing asked for, stays 0.
func ShareKV(bytes int64, path, draft, device string, settings engine.Settings) (own, drafts int64, err error) {
	if bytes == 0 {
		return 0, 0, nil
	}
	size := cmp.Or(settings.PageSize, limits.DefaultPageSize)
	page, err := pageBytes(path, device, settings.Target, size)
	if err != nil {
		return 0, 0, err
	}
	draftPage, err := pageBytes(draft, device, settings.Target, size)
	if err != nil {
		return 0, 0, err
	}
	pages := bytes / max(page+draftPage, 1)
	if pages == 0 {
		return 0, 0, fmt.Errorf("kv-memory of %d bytes: a page of %s takes %d, one of %s %d", bytes, path, page, draft, draftPage)
	}
	return pages * page, pages * draftPage, nil
}

// pageBytes returns what a KV page of the plan at path takes: of a program for the device or target, where that is said and there is one.
func pageBytes(path, device, target string, size int) (int64, error) {
	plan, err := engine.Open(path)
	if err != nil {
		return 0, err
	}
	defer plan.Close()
	targets := plan.Targets(plan.Main())
	if len(targets) == 0 {
		return 0, fmt.Errorf("%s has no program", path)
	}
	chosen := targets[0]
	for _, name := range targets {
		if t, err := engine.FindTarget(name); name == target || target == "" && err == nil && t.Device == device {
			chosen = name
		}
	}
	program, err := plan.Program(plan.Main(), chosen)
	if err != nil {
		return 0, err
	}
	return program.PageBytes(size)
}

// Drafting has the plan guess, up to so many tokens of a sequence in a step.
func (l *Loaded) Drafting(target *Loaded, tokens int) Drafting {
	size := func(l *Loaded) float64 { return float64(l.Info.Parameters) * l.Info.BitsPerW }
	share := 1.0
	if all := size(target); all > 0 {
		share = min(1, size(l)/all)
	}
	return Drafting{Tokens: tokens, Model: l.Model, Context: l.Info.MaxContext, Share: share}
}

// sameVocabulary compares what the tokens of two plans stand for. Plans without a tokenizer have to have as many tokens.
func sameVocabulary(a, b *engine.Plan) error {
	first, errA := a.Section(engine.KindTokenizer, "")
	second, errB := b.Section(engine.KindTokenizer, "")
	switch lacksA, lacksB := errors.Is(errA, engine.ErrNotFound), errors.Is(errB, engine.ErrNotFound); {
	case lacksA && lacksB:
		if va, vb := a.Info().Vocab, b.Info().Vocab; va != vb {
			return fmt.Errorf("%w: %d tokens, not %d", ErrOtherVocabulary, vb, va)
		}
		return nil
	case lacksA != lacksB:
		return fmt.Errorf("%w: one of the plans has no tokenizer", ErrOtherVocabulary)
	case errA != nil || errB != nil:
		return errors.Join(errA, errB)
	case bytes.Equal(first, second):
		return nil
	}
	ta, err := PlanTokenizer(a)
	if err != nil {
		return err
	}
	tb, err := PlanTokenizer(b)
	if err != nil {
		return err
	}
	return sameTokens(ta, tb, max(a.Info().Vocab, b.Info().Vocab))
}

func sameTokens(a, b *tokenizer.Tokenizer, vocab int) error {
	if a.VocabSize() != b.VocabSize() {
		return fmt.Errorf("%w: %d tokens, not %d; take a plan of a model with the same tokenizer", ErrOtherVocabulary, b.VocabSize(), a.VocabSize())
	}
	for id := range int32(vocab) {
		ta, hasA := a.Token(id)
		if tb, hasB := b.Token(id); ta != tb || hasA != hasB {
			return fmt.Errorf("%w: token %d is %q, not %q; take a plan of a model with the same tokenizer", ErrOtherVocabulary, id, tb, ta)
		}
	}
	return nil
}
