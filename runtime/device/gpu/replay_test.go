package gpu_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"llmc/engine"
	"llmc/runtime/device/gpu"
)

// recorder is a blank card that keeps launches as recordings, as long as it has room.
type recorder struct {
	blank
	room               int
	recorded, replayed int
}

func (r *recorder) Record(queue func() error) (gpu.Recording, error) {
	if r.recorded == r.room {
		return nil, engine.ErrDeviceMemory
	}
	r.recorded++
	before := r.launched
	r.launched = ""
	err := queue()
	recording := r.launched
	r.launched = before
	return recording, err
}

func (r *recorder) Replay(recording gpu.Recording) error {
	r.replayed++
	r.launched += recording.(string)
	return nil
}

// TestReplay wants short steps to be replayed, with the launches that they would have had, and long ones to stay as they are. What is recorded is
// recorded at load; steps that there was no room for are launched.
func TestReplay(t *testing.T) {
	const sequences = 12
	plan := demoPlan(t)
	load := func(driver gpu.Driver) *gpu.Model {
		model, err := gpu.Load(plan, driver, engine.Settings{MaxStepTokens: 100, MaxSequences: sequences, MaxContext: 64})
		if err != nil {
			t.Fatal(err)
		}
		return model
	}
	padding, plain, full, kept := &blank{}, &blank{}, &recorder{room: 2}, &recorder{room: 1000}
	models := []*gpu.Model{load(padding), load(plain), load(full), load(kept)}
	models[0].PadSteps()
	if full.recorded != 2 || kept.replayed != 5 || kept.recorded != 15 {
		t.Fatalf("at load %d steps were recorded and %d run, with room for 2 %d and %d; there are 5 buckets", kept.recorded, kept.replayed, full.recorded, full.replayed)
	}
	random, short, kinds := rand.New(rand.NewPCG(3, 4)), 0, []*engine.Sampling{nil, {Temperature: 1, Logprobs: -1}, {Temperature: 1, PresencePenalty: 1, Logprobs: 3}}
	for i := range 200 {
		step := randomStep(random, 100, sequences)
		for j := range step.Rows {
			step.Rows[j].Sampling = kinds[i%2]
		}
		padding.launched, plain.launched, full.launched, kept.launched = "", "", "", ""
		for _, m := range models {
			if err := m.Step(step, make([]engine.Sampled, len(step.Rows))); err != nil {
				t.Fatal(err)
			}
		}
		want := plain.launched
		if step.T() <= sequences {
			want = padding.launched
			short++
		}
		if kept.launched != want || full.launched != want {
			t.Fatalf("a step of %d tokens has other launches when it may be replayed", step.T())
		}
	}
	if kept.replayed != 5+short || kept.recorded != 15 {
		t.Errorf("of %d short steps %d were replayed, %d steps were recorded after loading", short, kept.replayed-5, kept.recorded-15)
	}
	step := batchStep(3)
	step.Rows[1].Sampling = kinds[2]
	kept.launched, padding.launched, kept.replayed = "", "", 0
	for _, m := range models {
		if err := m.Step(step, make([]engine.Sampled, 3)); err != nil {
			t.Fatal(err)
		}
	}
	if kept.replayed != 1 || !contains(kept.launched, padding.launched) {
		t.Error("a step that wants much of sampling was replayed without some of its launches")
	}
}

// batchStep is one token of each of n sequences, all sampled.
func batchStep(n int) *engine.Step {
	s := &engine.Step{}
	s.Reset()
	for i := range int32(n) {
		s.IDs, s.Pages = append(s.IDs, 1), append(s.Pages, i)
		s.EndSequence(0, 1, 16)
		s.Rows = append(s.Rows, s.NextRow())
	}
	return s
}

// contains tells whether every line of part comes in all, in its order.
func contains(all, part string) bool {
	lines := strings.SplitAfter(all, "\n")
	for _, want := range strings.SplitAfter(part, "\n") {
		i := slices.Index(lines, want)
		if i < 0 {
			return false
		}
		lines = lines[i+1:]
	}
	return true
}
