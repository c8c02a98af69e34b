package encode

import (
	"errors"
	"fmt"

	"llmc/engine"
	"llmc/internal/tokenizer"
	"llmc/runtime/pixels"
)

// ErrNoImages is wrapped where a plan reads no images.
var ErrNoImages = errors.New("the plan reads no images")

// Opener opens an encoder of a loaded plan.
type Opener func(plan *engine.Plan, model engine.Model, tok *tokenizer.Tokenizer) (*Encoder, error)

// OfImages returns the encoder of images of a loaded plan.
func OfImages(plan *engine.Plan, model engine.Model, _ *tokenizer.Tokenizer) (*Encoder, error) {
	if plan.Info().Image == nil {
		return nil, fmt.Errorf("%s: %w", plan.Path(), ErrNoImages)
	}
	return Of(plan, model, nil, engine.ImageFunc)
}

// Pixels makes the sequence of an image whose numbers are those that ImageSettings make: of each channel the rows from the top, [3, height, width].
func (e *Encoder) Pixels(values []float32) (Input, error) {
	if !e.readsImages() {
		return Input{}, fmt.Errorf("function %s: %w", e.function, ErrNoImages)
	}
	s := e.info.Image
	if want := engine.ImageChannels * s.Height * s.Width; len(values) != want {
		return Input{}, fmt.Errorf("%d numbers; the model reads %d of an image, [%d, %d, %d]", len(values), want, engine.ImageChannels, s.Height, s.Width)
	}
	m := pixels.Image{Width: s.Width, Height: s.Height, Values: values}
	return Input{IDs: make([]int32, s.Rows()), Types: s.Types(s.Rows()), Soft: m.Patches(s)}, nil
}

// readsImages tells whether the function reads rows of images instead of tokens.
func (e *Encoder) readsImages() bool { return e.info.Image != nil && e.function == engine.ImageFunc }

// Image makes the sequence of an image file: a row for each patch, behind the model's own where it has one.
func (e *Encoder) Image(data []byte) (Input, error) {
	if !e.readsImages() {
		return Input{}, fmt.Errorf("function %s: %w", e.function, ErrNoImages)
	}
	s := e.info.Image
	m, err := pixels.Read(data, s)
	if err != nil {
		return Input{}, err
	}
	return Input{IDs: make([]int32, s.Rows()), Types: s.Types(s.Rows()), Soft: m.Patches(s)}, nil
}
