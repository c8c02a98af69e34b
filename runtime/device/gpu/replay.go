package gpu

import (
	"errors"

	"llmc/engine"
	"llmc/internal/sym"
)

// replay holds what has been recorded. Steps with the same key have the same launches.
type replay struct {
	recorder   Recorder // nil: every step is launched
	recordings map[replayKey]Recording
}

type replayKey struct {
	tokens, sequences, rows int
	flags                   uint32 // of what the rows want of sampling
	persistent              bool   // by an entry that stands for the first launches
}

// recordedFlags are the kinds of steps that are recorded, the least first: a step is run as the first that has all it wants. What a recording
// launches beyond that changes nothing, for every kernel of sampling asks the row.
var recordedFlags = []uint32{0, engine.SampleDraws, ^uint32(0)}

// recordSteps records, where the driver is a Recorder, the launches of every bucket of steps in which nobody reads a prompt; such a step is made as
// long as its bucket. Nothing is recorded later: that would take memory while requests run. Longer steps, which compute for longer than it takes to
// launch them, and what there is no room to record, are launched.
func (m *Model) recordSteps() error {
	recorder, ok := m.driver.(Recorder)
	if !ok || !m.steps() {
		return nil
	}
	m.padTo = m.limits.MaxSequences
	m.replay = replay{recorder, map[replayKey]Recording{}}
	for _, flags := range recordedFlags {
		if flags != 0 && m.sampling.found == nil {
			continue
		}
		for _, bucket := range m.recordedBuckets() {
			key := replayKey{bucket, min(bucket, m.limits.MaxSequences), min(bucket, m.limits.MaxRows), flags, false}
			recording, err := recorder.Record(func() error { return m.queue(key.env(), flags) })
			if err == nil {
				m.replay.recordings[key] = recording
				err = m.recordPersistent(recorder, key)
			}
			if errors.Is(err, engine.ErrDeviceMemory) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// recordedBuckets are those that steps are padded to.
func (m *Model) recordedBuckets() []int {
	for i, bucket := range m.buckets {
		if bucket >= m.padTo {
			return m.buckets[:i+1]
		}
	}
	return m.buckets
}

func (k replayKey) env() sym.Env {
	return sym.Bind(int64(k.tokens), int64(k.sequences), int64(k.rows), 0)
}

// warmUp runs every bucket of recorded steps once, on padding alone, so that what a driver puts off until a kernel runs is not put off until a request.
func (m *Model) warmUp() error {
	if m.replay.recorder == nil {
		return nil
	}
	f, step := &m.memory[0], &m.padded
	for _, bucket := range m.recordedBuckets() {
		step.Reset()
		step.Pad(bucket, min(bucket, m.limits.MaxSequences), min(bucket, m.limits.MaxRows))
		if m.sampling.found != nil {
			if err := m.sampling.ask(m.driver, &f.asked, step, step, m.info.Vocab, m.arrays.memory); err != nil {
				return err
			}
		}
		if err := m.arrays.write(m.driver, step, f.block); err != nil {
			return err
		}
		if err := errors.Join(m.run(step, recordedFlags[len(recordedFlags)-1], true), m.driver.Finish()); err != nil {
			return err
		}
	}
	return nil
}

// run queues the launches of a step in which rows want what flags say, between two times if steps are timed, and what other stages give and take.
func (m *Model) run(step *engine.Step, flags uint32, padded bool) error {
	if err := m.stage.begin(step); err != nil {
		return err
	}
	if err := m.timed(func() error { return m.launch(step, flags, padded) }); err != nil {
		return err
	}
	return m.stage.end(step)
}

// timed queues what queue does between two times if steps are timed.
func (m *Model) timed(queue func() error) error {
	if m.clock == nil {
		return queue()
	}
	if err := m.clock.Stamp(stepBegins); err != nil {
		return err
	}
	if err := queue(); err != nil {
		return err
	}
	return m.clock.Stamp(stepEnds)
}

// launch queues them: from a recording if the step is padded, there is one and nobody looks at single launches, else one after the other.
func (m *Model) launch(step *engine.Step, flags uint32, padded bool) error {
	key := replayKey{step.T(), step.B(), len(step.Rows), 0, m.persist.now != nil}
	if padded && m.visit == nil && !m.adapters.now {
		for _, key.flags = range recordedFlags {
			if recording, ok := m.replay.recordings[key]; ok && flags&^key.flags == 0 {
				return m.replay.recorder.Replay(recording)
			}
		}
	}
	return m.queue(key.env(), flags)
}
