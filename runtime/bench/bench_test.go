package bench

import (
	"context"
	"testing"
	"time"

	"llmc/engine"
)

// counter is a model that checks what it is given and takes a fixed time for each step.
type counter struct {
	t        *testing.T
	limits   engine.Settings
	cached   map[int32]bool // slots written
	prefills int            // tokens that came with others of their sequence
	decodes  int
}

func (c *counter) Limits() (engine.Settings, int) { return c.limits, 64 }
func (*counter) CopyPage(dst, src int32) error    { return nil }
func (*counter) Close() error                     { return nil }

func (c *counter) Step(s *engine.Step, out []engine.Sampled) error {
	time.Sleep(time.Millisecond)
	if s.T() > c.limits.MaxStepTokens || len(out) != len(s.Rows) {
		c.t.Errorf("step of %d tokens with %d rows and %d answers", s.T(), len(s.Rows), len(out))
	}
	for b := range s.B() {
		first, last := s.SeqStart[b], s.SeqStart[b+1]
		if last-first == 1 {
			c.decodes++
		} else {
			c.prefills += int(last - first)
		}
		for i := first; i < last; i++ {
			page := s.Pages[s.PageStart[b]+s.Positions[i]/int32(c.limits.PageSize)]
			if want := page*int32(c.limits.PageSize) + s.Positions[i]%int32(c.limits.PageSize); s.Slots[i] != want {
				c.t.Errorf("sequence %d position %d in slot %d, its page table says %d", b, s.Positions[i], s.Slots[i], want)
			}
			c.cached[s.Slots[i]] = true
		}
	}
	return nil
}

func TestRunFillsPromptsAndDecodes(t *testing.T) {
	c := &counter{t: t, limits: engine.Settings{MaxStepTokens: 20, MaxSequences: 4, MaxRows: 4, MaxContext: 64, PageSize: 16}, cached: map[int32]bool{}}
	rows, err := Run(context.Background(), c, 100, Config{Prompt: 30, Gen: 5, Batches: []int{3}, Repeat: 2})
	if err != nil {
		t.Fatal(err)
	}
	Compare(rows, engine.Traffic{WeightBytes: 1000, KVTokenBytes: 1, Bandwidth: 1e6})
	if len(rows) != 1 || rows[0].Batch != 3 || rows[0].DecodeTS <= 0 || rows[0].PrefillTS <= 0 || rows[0].BandwidthFrac <= 0 {
		t.Errorf("rows %+v", rows)
	}
	if c.prefills != 2*3*30 || c.decodes != 2*3*5 {
		t.Errorf("%d prompt tokens and %d decoded ones, want %d and %d", c.prefills, c.decodes, 2*3*30, 2*3*5)
	}
	if want := 3 * (30 + 5); len(c.cached) != want {
		t.Errorf("%d slots written, want %d", len(c.cached), want)
	}
}

func TestRunRefusesWhatDoesNotFit(t *testing.T) {
	c := &counter{t: t, limits: engine.Settings{MaxStepTokens: 20, MaxSequences: 4, MaxRows: 4, MaxContext: 64, PageSize: 16}}
	for name, config := range map[string]Config{
		"context": {Prompt: 60, Gen: 5, Batches: []int{1}, Repeat: 1}, "batch": {Prompt: 8, Gen: 1, Batches: []int{5}, Repeat: 1},
		"nothing": {Prompt: 0, Gen: 1, Batches: []int{1}, Repeat: 1},
	} {
		if _, err := Run(context.Background(), c, 100, config); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
