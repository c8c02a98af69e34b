package gpu_test

import (
	"testing"

	"llmc/engine"
	"llmc/runtime/device/gpu"
)

// cardOf is a card with so much free memory.
func cardOf(memory int64) gpu.Card {
	return gpu.Card{Name: "a card", Capability: 90, Driver: 13000, Memory: memory, SharedMemory: 227 << 10}
}

// counting is a blank card that adds up what is taken.
type counting struct {
	blank
	memory, taken int64
}

func (c *counting) Card() gpu.Card { return cardOf(c.memory) }

func (c *counting) Alloc(what string, ranges []gpu.Range) ([]gpu.Memory, error) {
	c.taken += gpu.RangeBytes(ranges)
	return c.blank.Alloc(what, ranges)
}

func (c *counting) Constants(list []gpu.Constant) (gpu.Upload, error) {
	for _, l := range list {
		c.taken += gpu.RangeBytes([]gpu.Range{{Name: l.Name, Bytes: int64(len(l.Data))}})
	}
	return c.blank.Constants(list)
}

// TestModelsShareACard loads plans one after the other: each takes its part of what may be taken, and together they take all of it but for a page each.
func TestModelsShareACard(t *testing.T) {
	plan := demoPlan(t)
	var weights int64
	for _, w := range plan.Weights() {
		weights += w.Bytes
	}
	const free, plans = 200 << 20, 3
	left, smallest, largest, page := int64(free), int64(free), int64(0), int64(0)
	for i := range plans {
		card := &counting{memory: left}
		// What is left untouched is a part of what was free at first.
		part := 1 - 0.1*free/float64(left)
		model, err := gpu.Load(plan, card, engine.Settings{MaxContext: 1 << 14, MaxStepTokens: 64, MemoryUtilization: part, LaterPlans: plans - 1 - i, LaterBytes: weights * int64(plans-1-i)})
		if err != nil {
			t.Fatal(err)
		}
		use := model.Memory()
		if card.taken != use.Total() {
			t.Errorf("plan %d: %d bytes are taken, %d reported", i, card.taken, use.Total())
		}
		_, pages := model.Limits()
		left, page, smallest, largest = left-use.Total(), use.KV/int64(pages), min(smallest, use.KV), max(largest, use.KV)
	}
	if least := int64(free / 10); left < least || left > least+(plans+1)*page || largest-smallest > 2*page {
		t.Errorf("%d of %d bytes are left, KV caches have %d to %d, a page has %d", left, free, smallest, largest, page)
	}
}

// TestPagesAreEnough wants no more pages on a large card than all sequences fill.
func TestPagesAreEnough(t *testing.T) {
	card := &counting{memory: 1 << 40}
	model, err := gpu.Load(demoPlan(t), card, engine.Settings{MaxContext: 100, MaxSequences: 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, pages := model.Limits(); pages != 3*7 {
		t.Errorf("%d pages for 3 sequences of 100 tokens", pages)
	}
}
