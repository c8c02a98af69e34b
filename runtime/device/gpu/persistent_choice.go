package gpu

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"llmc/engine"
)

// persistentChoice is what steps are run with.
type persistentChoice struct {
	entries []persistent
	memory  []taskMemory // of the program's entries
	now     *persistent  // of the step that is being run; nil: launches
}

// trials is how often a step is timed each way; the least time counts.
const trials = 5

// ChoosePersistent times steps with and without each persistent entry, where the settings leave it to the device, and takes what is faster; launches
// where the entry fails or does not give the same logits. It is for models that no step has been run on: it writes KV pages.
func (m *Model) ChoosePersistent(clock func() time.Time) error {
	if m.limits.Persistent != engine.PersistentAuto {
		return nil
	}
	for i := range m.persist.entries {
		p := &m.persist.entries[i]
		faster, err := m.try(p, clock)
		if errors.Is(err, engine.ErrDeviceLost) {
			return fmt.Errorf("trying %s, which --persistent off leaves out: %w", p.Entry, err)
		}
		p.slower = err != nil || !faster
	}
	return nil
}

// try times steps by launches, then by an entry.
func (m *Model) try(p *persistent, clock func() time.Time) (faster bool, err error) {
	step := m.trialStep(p)
	times, logits := [2]time.Duration{}, [2][]float32{}
	for way := range times {
		p.slower = way == 0
		if times[way], err = m.time(step, clock); err != nil {
			return false, err
		}
		if logits[way], err = m.trialLogits(step); err != nil {
			return false, err
		}
	}
	same := slices.EqualFunc(logits[0], logits[1], func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) })
	return same && times[1] < times[0], nil
}

// trialStep is one token at the beginning of each of as many sequences as the entry serves.
func (m *Model) trialStep(p *persistent) *engine.Step {
	s := &engine.Step{}
	s.Reset()
	for i := range min(int(p.Tokens), m.limits.MaxStepTokens, m.limits.MaxSequences, m.limits.MaxRows, m.limits.Pages) {
		s.IDs, s.Pages = append(s.IDs, int32(i%m.info.Vocab)), append(s.Pages, int32(i))
		s.EndSequence(0, 1, m.limits.PageSize)
		s.Rows = append(s.Rows, s.NextRow())
	}
	return s
}

// time runs a step, first to make what it needs ready, then to measure.
func (m *Model) time(step *engine.Step, clock func() time.Time) (least time.Duration, err error) {
	out := make([]engine.Sampled, len(step.Rows))
	for i := range trials + 1 {
		start := clock()
		if err := m.Step(step, out); err != nil {
			return 0, err
		}
		if took := clock().Sub(start); i == 1 || i > 1 && took < least {
			least = took
		}
	}
	return least, nil
}

// trialLogits runs a step once more for its logits.
func (m *Model) trialLogits(step *engine.Step) ([]float32, error) {
	logits := make([]float32, len(step.Rows)*m.info.Vocab)
	for i := range step.Rows {
		step.Rows[i].Logits = logits[i*m.info.Vocab:][:m.info.Vocab]
		defer func() { step.Rows[i].Logits = nil }()
	}
	return logits, m.Step(step, make([]engine.Sampled, len(step.Rows)))
}

// Persistent lists the entries that steps are run with.
func (m *Model) Persistent() (names []string) {
	for i := range m.persist.entries {
		if p := &m.persist.entries[i]; !p.slower {
			names = append(names, p.Entry)
		}
	}
	return names
}
