package gpu

import (
	"errors"
	"slices"

	"llmc/engine"
	"llmc/internal/sym"
)

// Repeater runs launches of a step again, alone, to time them without what lies between them.
type Repeater struct {
	model *Model
	step  *engine.Step // as it ran: of the size of its bucket where that is so
	env   sym.Env
}

// Repeat runs a step and keeps what it left on the device. The repeater is good until the model's next step.
func (m *Model) Repeat(step *engine.Step, out []engine.Sampled) (*Repeater, error) {
	if _, ok := m.driver.(Timer); !ok {
		return nil, errors.New(m.driver.Card().Name + " has no clock")
	}
	if err := m.Step(step, out); err != nil {
		return nil, err
	}
	run := step
	if m.pads(step) {
		run = &m.padded
	}
	return &Repeater{m, run, sym.Bind(int64(run.T()), int64(run.B()), int64(len(run.Rows)), 0)}, nil
}

// Runs tells whether a launch, by its number among those that Launches returns, has anything to do in the step.
func (r *Repeater) Runs(launch int) bool {
	if launch >= len(r.model.launches) || r.model.launches[launch].flags != 0 {
		return false
	}
	l := &r.model.launches[launch]
	v := &l.variants[slices.IndexFunc(l.variants, func(v variant) bool { return v.code.Limit.Admits(r.env) })]
	empty, err := v.call.setGrid(v.code, r.env)
	return !empty && err == nil
}

// Cost adds what launches move and compute in the step.
func (r *Repeater) Cost(launches []int) (t engine.LaunchTime) {
	for _, i := range launches {
		r.model.cost(i, r.step, &t)
	}
	return t
}

// Seconds runs launches, one behind the other and that rounds times over, once they have run before, and returns what a round took. What a launch reads
// is what the step left: numbers that launches add to themselves may grow, which takes no other time.
func (r *Repeater) Seconds(launches []int, rounds int) (float64, error) {
	m := r.model
	round := func() error {
		for _, i := range launches {
			if err := m.launches[i].queue(m.driver, r.env); err != nil {
				return err
			}
		}
		return nil
	}
	again := round
	if recorder, ok := m.driver.(Recorder); ok {
		if recording, err := recorder.Record(round); err == nil {
			again = func() error { return recorder.Replay(recording) }
		} else if !errors.Is(err, engine.ErrDeviceMemory) {
			return 0, err
		}
	}
	clock := m.driver.(Timer)
	if err := errors.Join(again(), m.driver.Finish(), clock.Stamp(stepBegins)); err != nil {
		return 0, err
	}
	for range rounds {
		if err := again(); err != nil {
			return 0, err
		}
	}
	if err := errors.Join(clock.Stamp(stepEnds), m.driver.Finish()); err != nil {
		return 0, err
	}
	seconds, err := clock.Seconds(stepBegins, stepEnds)
	return seconds / float64(rounds), err
}

// Traffic implements engine.TrafficReporter, without a bandwidth.
func (m *Model) Traffic() (engine.Traffic, error) {
	t := engine.Traffic{KVTokenBytes: m.pool.pageBytes / int64(m.limits.PageSize)}
	for _, l := range m.Launches() {
		t.WeightBytes += l.WeightBytes
	}
	return t, nil
}

var _ engine.TrafficReporter = (*Model)(nil)
