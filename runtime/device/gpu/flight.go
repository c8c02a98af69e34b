package gpu

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"llmc/engine"
	"llmc/runtime/device/limits"
	"llmc/runtime/sample"
)

var errClosed = errors.New("the model is closed")

// flight is a step that has been started and not been waited for.
type flight struct {
	step  *engine.Step
	out   []engine.Sampled
	asked asked
	block []byte // pinned: the step's arrays on their way
	mark  Mark
	// bound: rows need logits, which the next step overwrites: it may not be started before this one has been answered.
	bound    bool
	answered bool
	err      error // once answered
}

// takeFlights allocates what steps have of the host's memory.
func (m *Model) takeFlights() error {
	if !m.steps() {
		return nil
	}
	l := &m.limits
	for i := range m.memory {
		f := &m.memory[i]
		for _, p := range []struct {
			name  string
			bytes int64
			to    *[]byte
		}{{"arrays", m.arrays.bytes, &f.block}, {"found", int64(l.MaxRows) * foundBytes, &f.asked.found}, {"alternatives", int64(l.MaxRows) * listedBytes, &f.asked.listed}} {
			var err error
			if *p.to, err = m.driver.Pinned(p.name, p.bytes); err != nil {
				return err
			}
		}
	}
	return nil
}

// Foresees implements engine.Starter.
func (m *Model) Foresees() bool {
	if !m.stage.samples() {
		return true // as the last stage does
	}
	return m.begin != nil && m.sampling.seats.counter != nil
}

// Step implements engine.Model.
func (m *Model) Step(step *engine.Step, out []engine.Sampled) error {
	if err := m.Start(step, out); err != nil {
		return err
	}
	return m.Wait()
}

// Start implements engine.Starter.
func (m *Model) Start(step *engine.Step, out []engine.Sampled) error {
	m.turn.Lock()
	defer m.turn.Unlock()
	var before *flight
	switch {
	case m.closed:
		return errClosed
	case !m.steps():
		return fmt.Errorf("%w, it has %s", noFunction(engine.StepFunc), strings.Join(m.Functions(), ", "))
	case len(m.flights) == len(m.memory) || len(m.flights) > 0 && !m.Foresees():
		return errors.New("a step was started before those in flight were waited for")
	case len(m.flights) > 0:
		before = m.flights[0]
	}
	rows := 0
	if before != nil {
		rows = len(before.step.Rows)
	}
	if err := m.checkStep(step, out, rows); err != nil {
		return err
	}
	if before != nil && before.bound {
		if m.land(before); before.err != nil {
			return before.err
		}
	}
	if err := m.encodeTexts(step); err != nil {
		return err
	}
	f := &m.memory[m.started%len(m.memory)]
	f.step, f.out, f.answered, f.err = step, out, false, nil
	if err := m.begins(f, m.resolve(step, before)); err != nil {
		return err
	}
	m.started++
	m.flights = append(m.flights, f)
	return nil
}

// checkStep refuses a step that can not be, behind one in flight that samples so many rows.
func (m *Model) checkStep(step *engine.Step, out []engine.Sampled, rows int) error {
	if err := m.limits.CheckBehind(step, out, rows); err != nil {
		return err
	}
	if err := m.adapters.check(step); err != nil {
		return err
	}
	return limits.CheckInserted(step, m.program.Func, m.soft)
}

// resolve returns the step as it is run: of the size of its bucket where steps are padded, with the tokens of the step before, or the cells that will have
// them, in place of its rows.
func (m *Model) resolve(step *engine.Step, before *flight) *engine.Step {
	run := step
	if m.pads(step) {
		run, _ = m.Padded(step)
	}
	for i, id := range step.IDs {
		row, ok := engine.RowOf(id)
		if !ok {
			continue
		}
		if run == step {
			run = &m.padded
			run.Copy(step)
		}
		if m.stage.cells != nil { // as the card that answers has it, so that all take the same ways
			run.IDs[i] = m.stage.cells[row]
		} else {
			run.IDs[i] = before.next(row)
		}
	}
	return run
}

// next is what an id becomes that stands for what a row samples: the token, or a number below 0 for the cell that will have it.
func (f *flight) next(row int) int32 {
	if f.answered {
		return max(f.out[row].Token, 0) // what has sampled nothing ends: its next token is not looked at
	}
	return -1 - f.asked.cell(row)
}

// successors lists what ids of the next step become, by row of the step in flight, which is answered first where that has to be.
func (m *Model) successors(list []int32) ([]int32, error) {
	m.turn.Lock()
	defer m.turn.Unlock()
	if len(m.flights) == 0 {
		return list, nil
	}
	before := m.flights[0]
	if before.bound {
		if m.land(before); before.err != nil {
			return list, before.err
		}
	}
	for row := range before.step.Rows {
		list = append(list, before.next(row))
	}
	return list, nil
}

// begins queues a step, and the copies of what it finds.
func (m *Model) begins(f *flight, run *engine.Step) error {
	s, rows := &m.sampling, len(f.step.Rows)
	told := s.found != nil
	f.asked.flags, f.asked.host = 0, f.asked.host[:0]
	if told {
		if err := s.ask(m.driver, &f.asked, f.step, run, m.info.Vocab, m.arrays.memory); err != nil {
			return err
		}
	}
	f.bound = m.stage.samples() && (!told || slices.Contains(f.asked.host[:rows], true) || slices.ContainsFunc(f.step.Rows, func(r engine.Row) bool { return r.Logits != nil }))
	m.adapters.begin(run)
	if err := m.arrays.write(m.driver, run, f.block); err != nil {
		return err
	}
	if told && m.begin == nil {
		if err := m.clearFound(len(run.Rows)); err != nil {
			return err
		}
	}
	if err := m.choosePersistent(run); err != nil {
		return err
	}
	if err := m.run(run, f.asked.flags, m.pads(f.step)); err != nil {
		return err
	}
	if told {
		if err := f.asked.fetch(m.driver, s, rows, m.slots); err != nil {
			return err
		}
	}
	var err error
	f.mark, err = m.driver.Mark()
	return err
}

// clearFound empties the rows in which the device answers, for programs that do not do so themselves.
func (m *Model) clearFound(rows int) error {
	found := m.sampling.found
	return m.slots[found.Slot].Write(found.Offset, make([]byte, rows*foundBytes))
}

// Wait implements engine.Starter.
func (m *Model) Wait() error {
	m.turn.Lock()
	defer m.turn.Unlock()
	if len(m.flights) == 0 {
		return errors.New("no step has been started")
	}
	f := m.flights[0]
	m.land(f)
	m.flights = append(m.flights[:0], m.flights[1:]...)
	return f.err
}

// land waits for a step, the oldest, and answers its rows.
func (m *Model) land(f *flight) {
	if f.answered {
		return
	}
	f.answered = true
	if f.err = m.driver.Await(f.mark); f.err == nil {
		f.err = m.answer(f)
	}
}

// answer answers a step's rows with what the device found, and on the host where it found nothing. Logits are copied for rows that ask
// for them or that the host answers.
func (m *Model) answer(f *flight) error {
	if !m.stage.samples() {
		return nil
	}
	step, out, told := f.step, f.out, m.sampling.found != nil
	if told {
		f.asked.read(len(step.Rows))
	}
	for i := range step.Rows {
		row := &step.Rows[i]
		switch answered := told && f.asked.answer(i, m.info.Vocab, &out[i]); {
		case answered && row.Logits == nil:
		case !f.bound: // the code found a token that there is none of, and the logits are those of the step behind by now
			out[i].Token = -1
		default:
			if err := m.readLogits(i); err != nil {
				return fmt.Errorf("logits of row %d: %w", i, err)
			}
			if answered {
				copy(row.Logits, m.logits)
			} else {
				_ = m.sampler.Sample(row, m.logits, &out[i]) // no choice is the token -1, for which the sequence is ended
			}
		}
	}
	if !told || !f.asked.accepted(out[:len(step.Rows)]) {
		sample.Accept(step.Drafts, out)
	}
	return nil
}

var _ engine.Starter = (*Model)(nil)
