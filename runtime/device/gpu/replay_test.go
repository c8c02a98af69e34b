package gpu_test

import (
	"math/rand/v2"
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

// TestReplay wants short steps to be replayed, with the launches that they would have had, and long ones to stay as they are.
func TestReplay(t *testing.T) {
	const longest = 16
	plan := demoPlan(t)
	settings := engine.Settings{MaxStepTokens: 100, MaxSequences: 12, MaxContext: 64}
	load := func(driver gpu.Driver) *gpu.Model {
		model, err := gpu.Load(plan, driver, settings)
		if err != nil {
			t.Fatal(err)
		}
		return model
	}
	padding, plain, full, kept := &blank{}, &blank{}, &recorder{room: 2}, &recorder{room: 1000}
	padded := load(padding)
	padded.PadSteps()
	models := []*gpu.Model{padded, load(plain), load(full), load(kept)}
	models[2].ReplaySteps(longest)
	models[3].ReplaySteps(longest)
	random, short := rand.New(rand.NewPCG(3, 4)), 0
	for range 200 {
		step := randomStep(random, 100, 12)
		padding.launched, plain.launched, full.launched, kept.launched = "", "", "", ""
		for _, m := range models {
			if err := m.Step(step, make([]engine.Sampled, len(step.Rows))); err != nil {
				t.Fatal(err)
			}
		}
		want := plain.launched
		if step.T() <= longest {
			want = padding.launched
			short++
		}
		if kept.launched != want || full.launched != want {
			t.Fatalf("a step of %d tokens has other launches when it may be replayed", step.T())
		}
	}
	if kept.replayed != short || kept.recorded > 6 || full.recorded != 2 {
		t.Errorf("of %d short steps %d were replayed from %d recordings, with room for 2 from %d", short, kept.replayed, kept.recorded, full.recorded)
	}
}
