package gpu_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"llmc/engine"
	"llmc/runtime/device/gpu"
)

// paced is a blank card on which launches take as long as they are said to.
type paced struct {
	blank
	cores           int
	together, alone time.Duration
	now             time.Time
	wrong           bool // logits are others where CTAs ran together
	ran             bool // CTAs have run together since the last launch that they did not
	refuses         error
}

// pacedMemory reads as zeros, and as ones where the card is wrong.
type pacedMemory struct {
	blankMemory
	card *paced
}

func (m pacedMemory) Read(_ int64, b []byte) error {
	for i := range b {
		b[i] = 0
		if m.card.wrong && m.card.ran {
			b[i] = 1
		}
	}
	return nil
}

func (p *paced) Alloc(what string, ranges []gpu.Range) ([]gpu.Memory, error) {
	list, err := p.blank.Alloc(what, ranges)
	for i := range list {
		list[i] = pacedMemory{list[i].(blankMemory), p}
	}
	return list, err
}

func (p *paced) Card() gpu.Card {
	card := p.blank.Card()
	card.Cores = p.cores
	return card
}

func (p *paced) Resident(gpu.Kernel, uint32, uint32) (int, error) { return p.cores, nil }

func (p *paced) Launch(l *gpu.Launch) error {
	took := p.alone
	if l.Together {
		if p.refuses != nil {
			return p.refuses
		}
		took = p.together
	}
	p.ran = p.ran && strings.HasPrefix(l.Label, "sampling") || l.Together
	p.now = p.now.Add(took)
	return p.blank.Launch(l)
}

// TestChoosePersistent wants what takes less time, and launches where that is not known to be right.
func TestChoosePersistent(t *testing.T) {
	plan := demoPlan(t)
	for _, c := range []struct {
		name   string
		card   paced
		wanted string
		names  []string
		err    string
	}{
		{name: "faster", card: paced{cores: 3, together: 10, alone: 1}, names: []string{"step_to_8", "step_to_32"}},
		{name: "slower", card: paced{cores: 3, together: 1000, alone: 1}},
		{name: "faster and wrong", card: paced{cores: 3, together: 10, alone: 1, wrong: true}},
		{name: "faster and refused", card: paced{cores: 3, together: 10, alone: 1, refuses: errors.New("too large")}},
		{name: "slower, but wanted", card: paced{cores: 3, together: 1000, alone: 1}, wanted: engine.PersistentOn, names: []string{"step_to_8", "step_to_32"}},
		{name: "faster, but not wanted", card: paced{cores: 3, together: 10, alone: 1}, wanted: engine.PersistentOff},
		{name: "no cores", card: paced{together: 10, alone: 1}},
		{name: "no cores, but wanted", card: paced{together: 10, alone: 1}, wanted: engine.PersistentOn, err: "runs none of target sm90: it can not run enough"},
	} {
		card := &c.card
		model, err := gpu.Load(plan, card, engine.Settings{MaxStepTokens: 100, MaxSequences: 12, MaxContext: 64, Persistent: c.wanted})
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := model.ChoosePersistent(func() time.Time { return card.now }); err != nil {
			t.Fatal(err)
		}
		if names := model.Persistent(); !slices.Equal(names, c.names) {
			t.Errorf("%s: steps are run with %v, want %v", c.name, names, c.names)
		}
		card.launched = ""
		step := oneToken()
		if err := model.Step(step, make([]engine.Sampled, 1)); err != nil {
			t.Fatal(err)
		}
		if used := strings.Contains(card.launched, "step_to_8 [3 1 1]"); used != (len(c.names) > 0) {
			t.Errorf("%s: a step is run by %s", c.name, card.launched)
		}
	}
}

func oneToken() *engine.Step {
	s := &engine.Step{IDs: []int32{1}, Positions: []int32{0}, RopeLen: []int32{1}, Slots: []int32{0}, Context: []int32{1}, Pages: []int32{0}, PageStart: []int32{0, 1}}
	s.SeqStart, s.Rows = []int32{0, 1}, []engine.Row{{Position: 1}}
	return s
}
