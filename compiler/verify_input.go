package compiler

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"llmc/engine"
	"llmc/ir/interp"
)

// verifyTokens is the length of the sequence that both run: long enough to cross KV pages.
const verifyTokens = 40

// verifyPage is the size of these.
const verifyPage = 16

// VerifySettings are the launch settings that Against needs of the model.
func VerifySettings() engine.Settings {
	return engine.Settings{MaxStepTokens: verifyTokens, MaxSequences: 1, MaxRows: verifyTokens, MaxContext: verifyTokens, PageSize: verifyPage}
}

// verifyInput is the sequence that a program and the reference run: random tokens, or rows of an image instead or among them.
type verifyInput struct {
	tokens, types []int32
	soft          []float32
}

func newVerifyInput(function string, info *engine.ModelInfo) verifyInput {
	random := rand.New(rand.NewPCG(1, 1))
	n := min(verifyTokens, info.MaxContext)
	if s := info.Image; s != nil && function == engine.ImageFunc {
		n = min(n, s.Rows())
		return verifyInput{tokens: make([]int32, n), types: s.Types(n), soft: s.RandomRows(n, random)}
	}
	if info.Encoder != nil {
		n = min(n, info.Encoder.MaxTokens)
	}
	in := verifyInput{tokens: make([]int32, n)}
	for i := range in.tokens {
		in.tokens[i] = random.Int32N(int32(info.Vocab))
	}
	if info.Insert != nil { // every other token has a row brought
		in.types, in.soft = make([]int32, n), make([]float32, n*info.Hidden)
		for i := range in.types {
			in.types[i] = int32(i % 2)
		}
		for i := range in.soft {
			in.soft[i] = float32(random.NormFloat64())
		}
	}
	return in
}

// fill gives the interpreter what there is besides tokens.
func (in *verifyInput) fill(batch *interp.Batch) {
	batch.Types = in.types
	if n := len(in.tokens); in.soft != nil {
		batch.Inputs = map[string]interp.Tensor{"soft": {Rows: n, Cols: len(in.soft) / n, Data: in.soft}}
	}
}

// step is the whole sequence in one step.
func (in *verifyInput) step() *engine.Step {
	s := &engine.Step{}
	s.Reset()
	s.IDs, s.Types, s.Soft = in.tokens, in.types, in.soft
	for p := 0; p*verifyPage < len(in.tokens); p++ {
		s.Pages = append(s.Pages, int32(p))
	}
	s.EndSequence(0, len(in.tokens), verifyPage)
	return s
}

// trace runs the plan's function and returns the values that it shows, by name. Of the function "step" every row is sampled.
func (r *reference) trace(model engine.Tracer, vocab int) (map[string]interp.Tensor, error) {
	shown := map[string]interp.Tensor{}
	visit := func(name string, rows [][]float32) {
		if len(rows) > 0 {
			shown[name] = interp.Tensor{Rows: len(rows), Cols: len(rows[0]), Data: slices.Concat(rows...)}
		}
	}
	s := r.step()
	if r.function != engine.StepFunc {
		tracer, ok := model.(engine.FunctionTracer)
		if !ok {
			return nil, fmt.Errorf("the device shows nothing of function %s", r.function)
		}
		return shown, tracer.TraceFunction(r.function, s, visit)
	}
	if r.encodes() {
		r.encode(s)
	}
	for i := range s.IDs {
		s.Rows = append(s.Rows, engine.Row{Token: int32(i), Position: int32(i) + 1, Logits: make([]float32, vocab)})
	}
	return shown, model.Trace(s, make([]engine.Sampled, len(s.Rows)), visit)
}

// encode gives the step a text of the same tokens, in the pages behind the sequence's.
func (in *verifyInput) encode(s *engine.Step) {
	text := in.step()
	for i := range text.Pages {
		text.Pages[i] += int32(len(s.Pages))
	}
	for i := range text.Slots {
		text.Slots[i] += int32(len(s.Pages)) * verifyPage
	}
	s.Encode = text
	s.Source.Add(text.Pages, len(in.tokens))
}

// with is what both functions' verifications say together; v is nil before the first.
func (v *Verification) with(other *Verification) *Verification {
	if v == nil {
		return other
	}
	both := *v
	both.OK = v.OK && other.OK
	both.MaxErr, both.WorstMean, both.PassesErr = max(v.MaxErr, other.MaxErr), max(v.WorstMean, other.WorstMean), max(v.PassesErr, other.PassesErr)
	both.MeanErr = (v.MeanErr*float64(v.Compared) + other.MeanErr*float64(other.Compared)) / float64(max(v.Compared+other.Compared, 1))
	both.Compared = v.Compared + other.Compared
	both.PassesBad = v.PassesBad || other.PassesBad
	if both.FirstBadWeight == "" {
		both.FirstBadWeight = other.FirstBadWeight
	}
	if at := other.FirstBadLayer; at != nil && (v.FirstBadLayer == nil || *at < *v.FirstBadLayer) {
		both.FirstBadLayer = at
	}
	return &both
}
