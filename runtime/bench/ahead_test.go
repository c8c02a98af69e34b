package bench

import (
	"context"
	"testing"
	"time"

	"llmc/engine"
)

// starter is a model whose steps are started before those before them are waited for. The host takes two milliseconds for one.
type starter struct {
	counter
	flying, most int
	foretold     int // tokens that stand for rows of the step before
}

func (*starter) Foresees() bool                  { return true }
func (*starter) TimeSteps(bool) error            { return nil }
func (*starter) DeviceSeconds() (float64, error) { return 20e-3, nil }

func (s *starter) Start(step *engine.Step, out []engine.Sampled) error {
	s.flying++
	s.most = max(s.most, s.flying)
	for i, id := range step.IDs {
		if row, ok := engine.RowOf(id); ok {
			s.foretold++
			if row != i {
				s.t.Errorf("token %d is that of row %d", i, row)
			}
		}
	}
	for i := range out {
		out[i].Token = int32(i)
	}
	return s.counter.Step(step, out)
}

func (s *starter) Wait() error {
	s.flying--
	time.Sleep(time.Millisecond)
	return nil
}

func (s *starter) Step(step *engine.Step, out []engine.Sampled) error {
	if err := s.Start(step, out); err != nil {
		return err
	}
	return s.Wait()
}

// TestRunAhead wants decode steps to be started ahead, never more than two, all to be waited for, and the host's time to be told from the device's.
func TestRunAhead(t *testing.T) {
	s := &starter{counter: counter{t: t, limits: engine.Settings{MaxStepTokens: 20, MaxSequences: 4, MaxRows: 4, MaxContext: 64, PageSize: 16}, cached: map[int32]bool{}}}
	rows, err := Run(context.Background(), s, 100, Config{Prompt: 10, Gen: 4, Batches: []int{3}, Repeat: 2})
	if err != nil {
		t.Fatal(err)
	}
	if s.flying != 0 || s.most != 2 || s.foretold != 2*3*3 || s.decodes != 3*3*4 {
		t.Errorf("%d steps in flight, at most %d, %d tokens foretold, %d decoded", s.flying, s.most, s.foretold, s.decodes)
	}
	if host := rows[0].HostMicros; host < 2000 || host > 1e6 {
		t.Errorf("%v us of the host", host)
	}
}
