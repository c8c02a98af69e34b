package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"llmc/engine"
	"llmc/runtime"
	"llmc/runtime/encode"
)

// EncodedRow is the result for one batch of sequences of an encoder, medians over the repeats. The names are those of the command's JSON.
type EncodedRow struct {
	Function string  `json:"function"`
	Gives    string  `json:"gives"`  // of each input: "embedding", "score", "logits" or "hidden"
	Inputs   string  `json:"inputs"` // "texts", "pairs" or "images"
	Batch    int     `json:"batch"`
	Prompt   int     `json:"prompt"`      // tokens of each, special tokens and padding included; rows of an image
	InputsPS float64 `json:"inputs_ps"`   // inputs a second
	TokensTS float64 `json:"prefill_tps"` // their tokens a second
	BatchMS  float64 `json:"batch_ms"`    // from where a batch is given to where all of it is there, in one step or several
	PeakRSS  int64   `json:"peak_rss"`    // bytes
}

// RunEncoder measures each function of a loaded encoder that reads texts or images, on inputs that need no tokenizer and no image file: random ones of each of the
// lengths, or of as many tokens as the function always reads. c.Prompt is not looked at.
func RunEncoder(ctx context.Context, loaded *runtime.Loaded, lengths []int, c Config) ([]EncodedRow, error) {
	encoders, err := encodersOf(loaded, loaded.Model)
	if err != nil {
		return nil, err
	}
	var rows []EncodedRow
	for _, e := range encoders {
		of := lengths
		if fixed := e.Fixed(); fixed > 0 {
			of = []int{fixed}
		}
		for _, length := range of {
			for _, batch := range c.Batches {
				row, err := e.measure(ctx, length, batch, c.Repeat)
				if err != nil {
					return rows, fmt.Errorf("function %s, batch %d: %w", e.function, batch, err)
				}
				rows = append(rows, row)
			}
		}
	}
	return rows, nil
}

// ProfileEncoder times the launches of each function for one batch of the first size, of inputs of Prompt tokens.
func ProfileEncoder(ctx context.Context, loaded *runtime.Loaded, c Config) ([]Phase, error) {
	model, err := newProfiledFunctions(loaded.Model)
	if err != nil {
		return nil, err
	}
	encoders, err := encodersOf(loaded, model)
	if err != nil {
		return nil, err
	}
	var phases []Phase
	for _, e := range encoders {
		for repeat := range 2 { // the first run finds code and memory that nobody has touched
			clear(model.of)
			if _, err := e.run(ctx, c.Prompt, c.Batches[0], uint64(repeat)); err != nil {
				return nil, fmt.Errorf("function %s: %w", e.function, err)
			}
		}
		phases = append(phases, model.function(e.function)...)
	}
	return phases, nil
}

// measured is a function of an encoder.
type measured struct {
	*encode.Encoder
	function string
}

// encodersOf returns an encoder for each function of the plan, on a model of it.
func encodersOf(loaded *runtime.Loaded, model engine.Model) ([]measured, error) {
	var all []measured
	for _, function := range loaded.Plan.Functions() {
		e, err := encode.Of(loaded.Plan, model, nil, function)
		if err != nil {
			return nil, err
		}
		all = append(all, measured{e, function})
	}
	return all, nil
}

// inputs is what the function reads.
func (m *measured) inputs() string {
	switch {
	case m.function == engine.ImageFunc:
		return "images"
	case m.Gives() == "score":
		return "pairs"
	}
	return "texts"
}

// measure runs batches of inputs of so many tokens.
func (m *measured) measure(ctx context.Context, length, batch, repeats int) (EncodedRow, error) {
	var seconds []float64
	for repeat := range repeats {
		took, err := m.run(ctx, length, batch, uint64(repeat))
		if err != nil {
			return EncodedRow{}, err
		}
		seconds = append(seconds, took.Seconds())
	}
	median := Median(seconds)
	return EncodedRow{Function: m.function, Gives: m.Gives(), Inputs: m.inputs(), Batch: batch, Prompt: length, InputsPS: float64(batch) / median,
		TokensTS: float64(batch*length) / median, BatchMS: 1e3 * median, PeakRSS: peakRSS()}, nil
}

// run encodes a batch of random inputs, which are the same for the same seed.
func (m *measured) run(ctx context.Context, n, batch int, seed uint64) (time.Duration, error) {
	random := rand.New(rand.NewPCG(seed, uint64(batch)))
	inputs := make([]encode.Input, batch)
	for i := range inputs {
		in, err := m.Random(n, random)
		if err != nil {
			return 0, err
		}
		inputs[i] = in
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	start := time.Now()
	_, err := m.Run(inputs)
	return time.Since(start), err
}
