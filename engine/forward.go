package engine

import "fmt"

// Forward runs one sequence alone through model and calls visit with the logits of every position for which want says so, in order.
// The logits are valid until visit returns. It uses the first KV pages, so nothing else may run on the model meanwhile.
func Forward(model Model, vocab int, tokens []int32, want func(position int) bool, visit func(position int, logits []float32) error) error {
	limits, pages := model.Limits()
	f := forward{tokens: tokens, vocab: vocab, rows: limits.MaxRows, pageSize: limits.PageSize}
	need := (len(tokens) + limits.PageSize - 1) / limits.PageSize
	switch {
	case len(tokens) == 0:
		return fmt.Errorf("no tokens to run")
	case len(tokens) > limits.MaxContext:
		return fmt.Errorf("%d tokens in a context of %d", len(tokens), limits.MaxContext)
	case need > pages:
		return fmt.Errorf("%d tokens take %d KV pages, there are %d", len(tokens), need, pages)
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
	tokens   []int32
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
	for p := range (end + f.pageSize - 1) / f.pageSize {
		s.Pages = append(s.Pages, int32(p))
	}
	s.EndSequence(at, len(f.tokens), f.pageSize)
	return end
}

func (f *forward) row(i int) []float32 {
	if i == len(f.logits) {
		f.logits = append(f.logits, make([]float32, f.vocab))
	}
	return f.logits[i]
}
