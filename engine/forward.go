package engine

import "fmt"

// Forward runs one sequence alone through model and calls visit with the logits of every position for which want says so, in order.
// The logits are valid until visit returns. It uses the first KV pages, so nothing else may run on the model meanwhile.
func Forward(model Model, vocab int, tokens []int32, want func(position int) bool, visit func(position int, logits []float32) error) error {
	return ForwardText(model, vocab, nil, tokens, want, visit)
}

// ForwardText is Forward of tokens that attend to a text, which is encoded first; nil: there is none.
func ForwardText(model Model, vocab int, text, tokens []int32, want func(position int) bool, visit func(position int, logits []float32) error) error {
	f := forward{text: text, tokens: tokens, vocab: vocab}
	return f.run(model, want, visit)
}

// ForwardRows is Forward of tokens some of which, those of type 1, have a row of soft in place of theirs: soft is [tokens, width].
func ForwardRows(model Model, vocab int, tokens, types []int32, soft []float32, want func(position int) bool, visit func(position int, logits []float32) error) error {
	f := forward{tokens: tokens, types: types, soft: soft, vocab: vocab}
	return f.run(model, want, visit)
}

func (f *forward) run(model Model, want func(position int) bool, visit func(position int, logits []float32) error) error {
	limits, pages := model.Limits()
	f.rows, f.pageSize = limits.MaxRows, limits.PageSize
	text, tokens := f.text, f.tokens
	need := f.pages(len(text)) + f.pages(len(tokens))
	switch {
	case len(tokens) == 0:
		return fmt.Errorf("no tokens to run")
	case len(tokens) > limits.MaxContext:
		return fmt.Errorf("%d tokens in a context of %d", len(tokens), limits.MaxContext)
	case len(text) > min(limits.MaxContext, limits.MaxStepTokens):
		return fmt.Errorf("%d tokens to encode, at most %d", len(text), min(limits.MaxContext, limits.MaxStepTokens))
	case need > pages:
		return fmt.Errorf("%d tokens take %d KV pages, there are %d", len(text)+len(tokens), need, pages)
	}
	out := make([]Sampled, limits.MaxRows)
	for at := 0; at < len(tokens); {
		end := f.fill(at, min(len(tokens), at+limits.MaxStepTokens), want)
		if err := model.Step(&f.step, out[:len(f.step.Rows)]); err != nil {
			return err
		}
		for i := range f.step.Rows {
			row := &f.step.Rows[i]
			if err := visit(int(row.Position)-1, row.Logits); err != nil {
				return err
			}
		}
		at = end
	}
	return nil
}

// forward builds the steps of Forward.
type forward struct {
	step     Step
	text     []int32 // in the first pages
	tokens   []int32
	types    []int32     // of tokens; nil: none has a row brought
	soft     []float32   // [tokens, width]
	logits   [][]float32 // reused from step to step
	vocab    int
	rows     int
	pageSize int
}

// fill makes the step of positions [at, end) or fewer, where more rows are wanted than a step can sample.
func (f *forward) fill(at, end int, want func(int) bool) int {
	s := &f.step
	s.Reset()
	for i := at; i < end; i++ {
		if want(i) {
			if len(s.Rows) == f.rows {
				end = i
				break
			}
			s.Rows = append(s.Rows, Row{Token: int32(i - at), Position: int32(i + 1), Logits: f.row(len(s.Rows))})
		}
		s.IDs = append(s.IDs, f.tokens[i])
	}
	if f.types != nil {
		width := len(f.soft) / len(f.tokens)
		s.Types, s.Soft = append(s.Types, f.types[at:end]...), append(s.Soft, f.soft[at*width:end*width]...)
	}
	s.Pages = appendPages(s.Pages, f.pages(len(f.text)), f.pages(end))
	s.EndSequence(at, len(f.tokens), f.pageSize)
	if len(f.text) > 0 {
		f.encode(at == 0)
	}
	return end
}

// encode names the pages of the text, which is encoded where it has not been.
func (f *forward) encode(first bool) {
	s := &f.step
	pages := appendPages(nil, 0, f.pages(len(f.text)))
	s.Source.Add(pages, len(f.text))
	if !first {
		return
	}
	s.Encode = &Step{}
	s.Encode.Reset()
	s.Encode.IDs, s.Encode.Pages = append(s.Encode.IDs, f.text...), append(s.Encode.Pages, pages...)
	s.Encode.EndSequence(0, len(f.text), f.pageSize)
}

// pages returns how many pages hold so many positions.
func (f *forward) pages(positions int) int { return (positions + f.pageSize - 1) / f.pageSize }

// appendPages appends count pages from first on.
func appendPages(to []int32, first, count int) []int32 {
	for p := range count {
		to = append(to, int32(first+p))
	}
	return to
}

func (f *forward) row(i int) []float32 {
	if i == len(f.logits) {
		f.logits = append(f.logits, make([]float32, f.vocab))
	}
	return f.logits[i]
}
