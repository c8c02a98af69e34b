package encode

import (
	"errors"
	"fmt"
	"slices"

	"llmc/engine"
	"llmc/internal/tokenizer"
)

// ErrNoTexts is wrapped where a plan reads images alone.
var ErrNoTexts = errors.New("the plan reads images, no texts")

// Functions are the encoders of a plan: of texts, of images, or both, which give rows of one kind then. Their steps run one after the other.
type Functions struct{ Texts, Images *Encoder }

// Open returns the encoders of a loaded plan.
func Open(plan *engine.Plan, model engine.Model, tok *tokenizer.Tokenizer) (f Functions, err error) {
	runner, ok := model.(engine.Runner)
	if plan.Info().Image == nil || !ok {
		f.Texts, err = New(plan, model, tok)
		return f, err
	}
	if f.Images, err = OfImages(plan, model, tok); err != nil || !slices.Contains(runner.Functions(), engine.TextFunc) {
		return f, err
	}
	if f.Texts, err = New(plan, model, tok); err != nil {
		return f, err
	}
	if t, i := f.Texts, f.Images; t.Gives() != i.Gives() || t.Width() != i.Width() {
		return f, fmt.Errorf("%s: its functions give %s of %d numbers of texts and %s of %d of images; they must be the same", plan.Path(), t.Gives(), t.Width(), i.Gives(), i.Width())
	}
	return f, nil
}

// any is one of them, for what they have in common.
func (f Functions) any() *Encoder {
	if f.Texts != nil {
		return f.Texts
	}
	return f.Images
}

// of is the one that encodes an input; nil: there is none.
func (f Functions) of(in *Input) *Encoder {
	if in.Soft != nil {
		return f.Images
	}
	return f.Texts
}

func (f Functions) lacks(in *Input) error {
	if in.Soft != nil {
		return ErrNoImages
	}
	return ErrNoTexts
}

// MaxTokens is how many tokens a text may have, or rows an image where there are no texts.
func (f Functions) MaxTokens() int { return f.any().MaxTokens() }

// relieve gives back the memory of steps. Pages mean nothing between them.
func (f Functions) relieve() {
	if e := f.any(); e != nil {
		if m, ok := e.model.(engine.Reliever); ok {
			m.RelieveSteps()
			m.RelievePages(0, e.pages, func(int32) bool { return false })
		}
	}
}
