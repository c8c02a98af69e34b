package gpu_test

import (
	"math"
	"strings"
	"testing"

	"llmc/engine"
	"llmc/runtime/device/gpu"
)

// clocked is a blank card on which every launch takes a second, and a recorder that replays nothing in time.
type clocked struct {
	recorder
	seconds float64
	stamps  map[int]float64
}

func (c *clocked) Launch(l *gpu.Launch) error {
	c.seconds++
	return c.recorder.Launch(l)
}

func (c *clocked) Stamp(n int) error {
	c.stamps[n] = c.seconds
	return nil
}

func (c *clocked) Seconds(from, to int) (float64, error) { return c.stamps[to] - c.stamps[from], nil }

// TestProfile wants each launch of a step that would be replayed to have its own time, its weights once, and what a decoding step multiplies.
func TestProfile(t *testing.T) {
	plan, driver := demoPlan(t), &clocked{recorder: recorder{room: 100}, stamps: map[int]float64{}}
	model, err := gpu.Load(plan, driver, engine.Settings{MaxStepTokens: 100, MaxSequences: 12, MaxContext: 64})
	if err != nil {
		t.Fatal(err)
	}
	replayed := driver.replayed // to warm up
	driver.seconds = 0
	step := decodingStep(40)
	times := model.Launches()
	for range 2 {
		if err := model.Profile(step, make([]engine.Sampled, 1), times); err != nil {
			t.Fatal(err)
		}
	}
	ran, weights, flops := 0.0, int64(0), 0.0
	if begins := times[len(times)-1].Seconds; begins < 2 || begins > 3 { // and what this machine takes beside
		t.Errorf("%v s beside the launches", begins)
	}
	ran += 2
	for i, l := range times[:len(times)-1] {
		if l.Seconds != 0 && l.Seconds != 2 || l.Seconds > 0 && !(l.Traffic > 0) {
			t.Errorf("launch %d, %s: %v s, %v bytes", i, l.Kernel, l.Seconds, l.Traffic)
		}
		ran += l.Seconds
		weights, flops = weights+l.WeightBytes, flops+l.Flops
	}
	if ran != driver.seconds || driver.replayed != replayed || ran == 0 {
		t.Errorf("%v seconds of %v, %d steps replayed", ran, driver.seconds, driver.replayed-replayed)
	}
	total, parameters := int64(0), 0.0
	for i := range plan.Weights() {
		w := &plan.Weights()[i]
		total += w.Bytes
		if w.Layout != "" && !strings.Contains(w.Name, "embed") {
			parameters += float64(w.Shape[0] * w.Shape[1])
		}
	}
	info := plan.Info()
	attended := 4 * 40 * float64(info.Layers*info.Heads*info.HeadDim)
	if off := math.Abs(flops/2 - (2*parameters + attended)); weights > total || weights < total/2 || off > 2*float64(info.Vocab*info.Hidden)+1 {
		t.Errorf("%d of %d bytes of weights, %v operations a step for %v parameters", weights, total, flops/2, parameters)
	}
	if err := model.TimeSteps(true); err != nil {
		t.Fatal(err)
	}
	if err := model.Step(step, make([]engine.Sampled, 1)); err != nil || driver.replayed != replayed+1 {
		t.Errorf("%v, %d steps replayed behind a profile", err, driver.replayed-replayed)
	}
}

// TestProfileNeedsAClock wants a driver without one to be refused.
func TestProfileNeedsAClock(t *testing.T) {
	model, err := gpu.Load(demoPlan(t), &blank{}, engine.Settings{MaxStepTokens: 16, MaxSequences: 2, MaxContext: 64})
	if err != nil {
		t.Fatal(err)
	}
	if err := model.Profile(decodingStep(4), make([]engine.Sampled, 1), model.Launches()); err == nil || !strings.Contains(err.Error(), "has no clock") {
		t.Error(err)
	}
}

// decodingStep is one token of a sequence that has context positions with it, sampled.
func decodingStep(context int32) *engine.Step {
	s := &engine.Step{}
	s.Reset()
	s.IDs = []int32{1}
	for p := range (context + 15) / 16 {
		s.Pages = append(s.Pages, p)
	}
	s.EndSequence(int(context)-1, 0, 16)
	s.Rows = []engine.Row{s.NextRow()}
	return s
}

// TestRepeat wants launches of a step to run again alone, as many rounds as asked for, and what they move once.
func TestRepeat(t *testing.T) {
	driver := &clocked{recorder: recorder{room: 0}, stamps: map[int]float64{}}
	model, err := gpu.Load(demoPlan(t), driver, engine.Settings{MaxStepTokens: 100, MaxSequences: 12, MaxContext: 64})
	if err != nil {
		t.Fatal(err)
	}
	r, err := model.Repeat(decodingStep(40), make([]engine.Sampled, 1))
	if err != nil {
		t.Fatal(err)
	}
	var products []int
	for i, l := range model.Launches() {
		if l.Kernel == "cuda.linear_add" && r.Runs(i) {
			products = append(products, i)
		}
	}
	before := driver.seconds
	round, err := r.Round(products)
	if err != nil {
		t.Fatal(err)
	}
	seconds, err := round.Seconds(5)
	if n := float64(len(products)); err != nil || seconds != n || driver.seconds-before != 6*n || n != 8 {
		t.Errorf("a round of %d launches takes %v s, all take %v: %v", len(products), seconds, driver.seconds-before, err)
	}
	one, all := r.Cost(products[:1]), r.Cost(products)
	if !(one.Flops > 0) || all.Flops <= one.Flops || all.Traffic <= one.Traffic {
		t.Errorf("%+v, %+v", one, all)
	}
}
