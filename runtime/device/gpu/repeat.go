package gpu

import (
	"errors"

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
	return &Repeater{m, run, run.Sizes()}, nil
}

// Runs tells whether a launch, by its number among those that Launches returns, has anything to do in the step.
func (r *Repeater) Runs(launch int) bool {
	if launch >= len(r.model.launches) || r.model.launches[launch].flags != 0 {
		return false
	}
	l := &r.model.launches[launch]
	v := l.variant(r.env)
	empty, err := v.call.setGrid(v.code, r.env)
	return !empty && err == nil
}

// Cost adds what launches move and compute in the step.
func (r *Repeater) Cost(launches []int) (t engine.LaunchTime) {
	for _, i := range launches {
		r.model.cost(r.model.program, i, r.step, &t)
	}
	return t
}

// Round is launches that run one behind the other.
type Round struct {
	model *Model
	queue func() error
}

// Round prepares launches to be run again: from a recording where the driver is a Recorder. What a launch reads is what the step left; numbers that
// launches add to themselves may grow, which takes no other time.
func (r *Repeater) Round(launches []int) (*Round, error) {
	m, env := r.model, r.env
	queue := func() error {
		for _, i := range launches {
			if err := m.launches[i].queue(m.driver, env); err != nil {
				return err
			}
		}
		return nil
	}
	round := &Round{m, queue}
	if recorder, ok := m.driver.(Recorder); ok {
		recording, err := recorder.Record(queue)
		if errors.Is(err, engine.ErrDeviceMemory) {
			return round, nil
		}
		if err != nil {
			return nil, err
		}
		round.queue = func() error { return recorder.Replay(recording) }
	}
	return round, nil
}

// Seconds is what a round takes, of so many behind each other and one before them.
func (r *Round) Seconds(rounds int) (float64, error) {
	driver := r.model.driver
	clock := driver.(Timer) // Repeat has looked
	if err := errors.Join(r.queue(), clock.Stamp(stepBegins)); err != nil {
		return 0, err
	}
	for range rounds {
		if err := r.queue(); err != nil {
			return 0, err
		}
	}
	if err := errors.Join(clock.Stamp(stepEnds), driver.Finish()); err != nil {
		return 0, err
	}
	seconds, err := clock.Seconds(stepBegins, stepEnds)
	return seconds / float64(rounds), err
}

// Traffic implements engine.TrafficReporter, without a bandwidth.
func (m *Model) Traffic() (engine.Traffic, error) {
	var t engine.Traffic
	if !m.program.KeepsState() { // of which a token reads and writes one, however many tokens it has seen
		t.KVTokenBytes = m.pool.pageBytes / int64(m.limits.PageSize)
	}
	for i, l := range m.Launches() {
		t.WeightBytes += l.WeightBytes
		if i == len(m.program.Launches) {
			break // the host
		}
		for _, o := range m.program.Launches[i].Operands {
			if o.Kind != engine.OperandWeight {
				continue
			}
			if w := m.weight(m.program, o); m.program.Launches[i].Chooses(w) {
				t.WeightBytes -= w.Bytes
				t.AddStack(m.program, &m.program.Launches[i], w)
			}
		}
	}
	return t, nil
}

var _ engine.TrafficReporter = (*Model)(nil)
