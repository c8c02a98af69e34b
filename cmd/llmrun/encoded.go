package main

import (
	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/encode"
)

// pairFlags are what else encoders read besides a text.
type pairFlags struct {
	text, prompt string
	given        bool // text, which may be empty
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

// encoded returns what an encoder gives for a text or ids, by its name.
func encoded(loaded *runtime.Loaded, tokens, text string, pair *pairFlags) (map[string]any, error) {
	tok, err := loaded.Tokenizer()
	if err != nil && tokens == "" {
		return nil, err
	}
	e, err := encode.New(loaded.Plan, loaded.Model, tok)
	if err != nil {
		return nil, err
	}
	var in encode.Input
	switch texts := []string{text}; {
	case tokens != "":
		in.IDs, err = parseIDs(tokens, loaded.Info.Vocab)
	case pair.given:
		in, err = e.Text(pair.prompt, append(texts, pair.text)...)
	default:
		in, err = e.Text(pair.prompt, texts...)
	}
	if err != nil {
		return nil, err
	}
	results, err := e.Run([]encode.Input{in})
	if err != nil {
		return nil, err
	}
	form := encodedForms[e.Gives()]
	if form == nil {
		form = rows
	}
	return map[string]any{e.Gives(): form(results[0], e.Width())}, nil
}

// rows are those of so many numbers.
func rows(numbers []float32, width int) any {
	var list [][]float32
	for at := 0; at < len(numbers); at += width {
		list = append(list, numbers[at:at+width])
	}
	return list
}
