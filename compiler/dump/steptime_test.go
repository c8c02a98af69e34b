package dump_test

import (
	"math"
	"testing"

	"llmc/compiler/dump"
	"llmc/engine"
)

// decoding is a step of so many sequences of a context.
func decoding(n, context int32) *engine.Step {
	st := &engine.Step{SeqStart: []int32{0}}
	for i := range n {
		st.IDs, st.SeqStart, st.Context = append(st.IDs, 0), append(st.SeqStart, i+1), append(st.Context, context)
	}
	return st
}

// prompting is one that takes in n tokens of a prompt, the last of context.
func prompting(n, context int32) *engine.Step {
	return &engine.Step{IDs: make([]int32, n), SeqStart: []int32{0, n}, Context: []int32{context}}
}

// stepTimes are those of the program that serves a card best, or two cores.
func stepTimes(t *testing.T, p *engine.Plan, card *engine.Card) (*dump.StepTimes, string) {
	t.Helper()
	target, err := dump.TargetOn(p, card)
	check(t, err)
	program, err := p.Program(p.Main(), target)
	check(t, err)
	times, err := dump.NewStepTimes(t.Context(), p, program, card, 2, 512)
	check(t, err)
	return times, target
}

// TestStepTimes holds what is foretold of steps to predictions of these steps themselves.
func TestStepTimes(t *testing.T) {
	p := gpuPlan(t, "int4-g32", "sm90", "x86-64-v3")
	card, err := engine.FindCard("h100")
	check(t, err)
	times, target := stepTimes(t, p, card)
	steps := []struct {
		name string
		st   *engine.Step
		of   dump.Step
	}{
		{"one sequence", decoding(1, 16), dump.Step{Tokens: 1, Sequences: 1, Context: 16}},
		{"more of them", decoding(48, 16), dump.Step{Tokens: 48, Sequences: 48, Context: 16}},
		{"with long texts", decoding(32, 200), dump.Step{Tokens: 32, Sequences: 32, Context: 200}},
		{"a prompt", prompting(256, 256), dump.Step{Tokens: 256, Sequences: 1, Context: 256}},
		{"between two sizes", prompting(200, 200), dump.Step{Tokens: 200, Sequences: 1, Context: 200}},
		{"a part of one", prompting(64, 200), dump.Step{Tokens: 64, Sequences: 1, Context: 200}},
	}
	settings := dump.CardSettings{Cards: []string{"h100"}}
	for _, s := range steps {
		settings.Steps = append(settings.Steps, s.of)
	}
	report, err := dump.NewPlan(p, 2)
	check(t, err)
	check(t, report.Predict(t.Context(), p, settings))
	for _, program := range report.Programs {
		if program.Target != target {
			continue
		}
		for i := range program.Cards {
			for j, s := range steps {
				if got, want := times.Of(s.st).Seconds(), program.Cards[i].Steps[j].Seconds; math.Abs(got-want) > 0.1*want {
					t.Errorf("%s: %.3g s is foretold, %.3g s predicted", s.name, got, want)
				}
			}
		}
	}

	both := decoding(8, 100)
	both.IDs, both.SeqStart, both.Context = append(both.IDs, make([]int32, 100)...), append(both.SeqStart, 108), append(both.Context, 100)
	if got, apart := times.Of(both), times.Of(decoding(8, 100))+times.Of(prompting(100, 100)); got >= apart || got <= times.Of(prompting(100, 100)) {
		t.Errorf("a step that does both takes %v, the two %v", got, apart)
	}
	cores, target := stepTimes(t, p, nil)
	for _, program := range report.Programs {
		if program.Target != target || program.Function != p.Main() {
			continue
		}
		for i, st := range []*engine.Step{decoding(1, 512), prompting(512, 512)} { // dump.Steps
			if got, want := cores.Of(st).Seconds(), program.Steps[i].Seconds; math.Abs(got-want) > 0.1*want {
				t.Errorf("%s: %.3g s is foretold of step %d, %.3g s predicted", program.Target, got, i, want)
			}
		}
	}
	if _, err := dump.TargetOn(tinyPlan(t), card); err == nil {
		t.Error("a card that has no program")
	}
}
