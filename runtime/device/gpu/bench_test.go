package gpu_test

import (
	"testing"

	"llmc/engine"
	"llmc/runtime/device/gpu"
)

// idle is a card that does nothing, and keeps nothing of it but how a recording was made.
type idle struct{ blank }

func (*idle) Launch(*gpu.Launch) error                         { return nil }
func (*idle) Record(queue func() error) (gpu.Recording, error) { return 0, queue() }
func (*idle) Replay(gpu.Recording) error                       { return nil }

// BenchmarkDecodeStep is what a decode step costs the host beside the driver's calls, at batch 1.
func BenchmarkDecodeStep(b *testing.B) {
	model, step := decodingModel(b)
	out := make([]engine.Sampled, 1)
	b.ReportAllocs()
	for b.Loop() {
		if err := model.Step(step, out); err != nil {
			b.Fatal(err)
		}
	}
}

// TestDecodeStepsDoNotAllocate wants steps that have been recorded to leave nothing for the collector.
func TestDecodeStepsDoNotAllocate(t *testing.T) {
	model, step := decodingModel(t)
	out := make([]engine.Sampled, 1)
	run := func() {
		if err := model.Step(step, out); err != nil {
			t.Fatal(err)
		}
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func decodingModel(tb testing.TB) (*gpu.Model, *engine.Step) {
	tb.Helper()
	model, err := gpu.Load(demoPlan(tb), &idle{}, engine.Settings{MaxStepTokens: 512, MaxSequences: 64, MaxContext: 64})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { model.Close() })
	return model, &engine.Step{IDs: []int32{1}, Positions: []int32{40}, RopeLen: []int32{41}, Slots: []int32{40}, SeqStart: []int32{0, 1}, Context: []int32{41},
		Pages: []int32{0, 1, 2}, PageStart: []int32{0, 3}, Rows: []engine.Row{{Position: 41, Sampling: &engine.Sampling{Temperature: 0.7, TopP: 0.9, Logprobs: -1}}}}
}
