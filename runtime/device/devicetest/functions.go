package devicetest

import (
	"math/rand/v2"
	"slices"
	"testing"

	"llmc/engine"
)

// Functions runs the function "image" of a plan that also generates: it gives the same bits alone and while steps are in flight, whose answers, and those of
// the step behind that goes on with them, are as if it had not run.
func Functions(t *testing.T, device engine.Device, plan *engine.Plan) {
	t.Helper()
	info := plan.Info()
	model, err := device.Load(plan, engine.Settings{MaxStepTokens: 64, MaxSequences: 2, MaxContext: 64, PageSize: 16, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	runner := model.(engine.Runner)
	if got := runner.Functions(); !slices.Equal(got, []string{engine.ImageFunc}) {
		t.Fatalf("functions %v", got)
	}
	image := ImageStep(&info, 4, 16)
	paint := func() []float32 {
		out := make([]float32, image.T()*int(runner.Results(engine.ImageFunc)[0].Cols))
		if err := runner.Run(engine.ImageFunc, image, [][]float32{out}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	want := paint()
	alone := twoSteps(t, model.(engine.Starter), info.Vocab, func() {})
	var got []float32
	beside := twoSteps(t, model.(engine.Starter), info.Vocab, func() { got = paint() })
	if !slices.Equal(got, want) {
		t.Error("a step in flight changes what the function gives")
	}
	if !slices.Equal(alone, beside) {
		t.Errorf("with the function between them two steps give %v, without it %v", beside[:2], alone[:2])
	}
}

// ImageStep is a step of function "image" of made-up pixels, in pages of so many positions from a first one on.
func ImageStep(info *engine.ModelInfo, firstPage, pageSize int) *engine.Step {
	random, rows := rand.New(rand.NewPCG(1, 2)), info.Image.Rows()
	s := &engine.Step{}
	s.Reset()
	s.IDs, s.Types = make([]int32, rows), info.Image.Types(rows)
	for range rows * info.Image.Columns() {
		s.Soft = append(s.Soft, float32(random.NormFloat64()))
	}
	for page := range (rows + pageSize - 1) / pageSize {
		s.Pages = append(s.Pages, int32(firstPage+page))
	}
	s.EndSequence(0, rows, pageSize)
	return s
}

// twoSteps starts a step, calls between, and starts another one that goes on with what the first one samples. It returns the tokens, then the logits of the second.
func twoSteps(t *testing.T, model engine.Starter, vocab int, between func()) []float32 {
	t.Helper()
	if !model.Foresees() {
		t.Fatal("the device takes one step at a time")
	}
	var steps [2]engine.Step
	var out [2][]engine.Sampled
	logits := make([]float32, vocab)
	for i := range steps {
		s := &steps[i]
		s.Reset()
		first := 0
		if i == 0 {
			s.IDs = append(s.IDs, 5, 6, 7)
		} else {
			s.IDs, first = append(s.IDs, engine.FromRow(0)), 3
		}
		s.Pages = append(s.Pages, 0)
		s.EndSequence(first, 3, 16)
		s.Rows = append(s.Rows, s.NextRow())
		out[i] = make([]engine.Sampled, 1)
	}
	steps[1].Rows[0].Logits = logits
	for i := range steps {
		if err := model.Start(&steps[i], out[i]); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			between()
		}
	}
	for range steps {
		if err := model.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	return append([]float32{float32(out[0][0].Token), float32(out[1][0].Token)}, logits...)
}
