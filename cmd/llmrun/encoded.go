package main

import (
	"fmt"

	"llmc/engine"
	"llmc/internal/cli"
	"llmc/runtime"
	"llmc/runtime/encode"
	"llmc/runtime/pixels"
)

// givenInput is what the command line gives a plan to read.
type givenInput struct {
	tokens, text, pair, prompt, image, decoder string
	texted, paired                             bool // text and pair, which may be empty, are given
}

// check wants one input, or an image and a text to compare it with.
func (in *givenInput) check(given func(flag string) bool) error {
	in.texted, in.paired = given("text"), given("text-pair")
	image := given("image")
	switch {
	case given("tokens") && (in.texted || image), !given("tokens") && !in.texted && !image:
		return cli.Usagef("give either --tokens, --text or --image")
	case given("tokens") && in.tokens == "":
		return cli.Usagef("--tokens: no ids")
	case image && in.image == "":
		return cli.Usagef("--image: no file")
	case (in.paired || in.prompt != "") && !in.texted:
		return cli.Usagef("--text-pair and --prompt-name go with --text")
	case in.paired && image:
		return cli.Usagef("--image goes with one text")
	}
	return nil
}

// planInfo returns what a plan says of its model.
func planInfo(path string) (engine.ModelInfo, error) {
	plan, err := engine.Open(path)
	if err != nil {
		return engine.ModelInfo{}, err
	}
	defer plan.Close()
	return plan.Info(), nil
}

// encodedForms say how what an encoder gives is printed: of one row the numbers, a score alone, or rows.
var encodedForms = map[string]func(row []float32, width int) any{
	"embedding": func(row []float32, _ int) any { return row },
	"score":     func(row []float32, _ int) any { return row[0] },
}

// encoded returns what an encoder gives for what is given, by its name: for an image and a text the logit that compares them.
func (in *givenInput) encoded(loaded *runtime.Loaded) (map[string]any, error) {
	var image, text *encoding
	var err error
	if in.image != "" {
		if image, err = in.run(loaded, encode.OfImages, in.readImage); err != nil {
			return nil, err
		}
	}
	if in.image == "" || in.texted {
		if text, err = in.run(loaded, encode.New, in.readText); err != nil {
			return nil, err
		}
	}
	switch {
	case image == nil:
		return text.form(), nil
	case text == nil:
		return image.form(), nil
	}
	return map[string]any{"logits": [][]float32{{float32(loaded.Info.Encoder.Compare(image.numbers, text.numbers))}}}, nil
}

// encoding is what a function gives.
type encoding struct {
	name    string
	width   int
	numbers []float32
}

func (e *encoding) form() map[string]any {
	form := encodedForms[e.name]
	if form == nil {
		form = rows
	}
	return map[string]any{e.name: form(e.numbers, e.width)}
}

// run computes what an encoder makes of the input that read gives it.
func (in *givenInput) run(loaded *runtime.Loaded, open encode.Opener, read func(e *encode.Encoder, loaded *runtime.Loaded) (encode.Input, error)) (*encoding, error) {
	tok, err := loaded.Tokenizer()
	if err != nil && in.texted {
		return nil, err
	}
	e, err := open(loaded.Plan, loaded.Model, tok)
	if err != nil {
		return nil, err
	}
	input, err := read(e, loaded)
	if err != nil {
		return nil, err
	}
	results, err := e.Run([]encode.Input{input})
	if err != nil {
		return nil, err
	}
	return &encoding{e.Gives(), e.Width(), results[0]}, nil
}

func (in *givenInput) readImage(e *encode.Encoder, _ *runtime.Loaded) (encode.Input, error) {
	data, err := cli.ReadFile(in.image, pixels.MaxBytes)
	if err != nil {
		return encode.Input{}, err
	}
	input, err := e.Image(data)
	if err != nil {
		err = fmt.Errorf("%s: %w", in.image, err)
	}
	return input, err
}

func (in *givenInput) readText(e *encode.Encoder, loaded *runtime.Loaded) (encode.Input, error) {
	switch {
	case in.tokens != "":
		ids, err := parseIDs(in.tokens, loaded.Info.Vocab)
		if err != nil {
			return encode.Input{}, err
		}
		return encode.Input{IDs: ids}, nil
	case in.paired:
		return e.Text(in.prompt, in.text, in.pair)
	}
	return e.Text(in.prompt, in.text)
}

// rows are those of so many numbers.
func rows(numbers []float32, width int) any {
	var list [][]float32
	for at := 0; at < len(numbers); at += width {
		list = append(list, numbers[at:at+width])
	}
	return list
}
