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
}

// mostRecordings bounds the memory that recordings take: steps of further kinds are launched. There are a few for each bucket.
const mostRecordings = 96

// ReplaySteps makes steps of up to so many tokens as long as their bucket, and runs the launches of each kind of them from a recording where the
// driver is a Recorder. Longer steps, which compute for longer than it takes to launch them, stay as they are.
func (m *Model) ReplaySteps(tokens int) {
	m.padTo = min(tokens, m.limits.MaxStepTokens)
	m.replay.recorder, _ = m.driver.(Recorder)
	m.replay.recordings = map[replayKey]Recording{}
}

// run queues the launches of a step, between two times if steps are timed.
func (m *Model) run(step *engine.Step, flags uint32, padded bool) error {
	if m.clock == nil {
		return m.launch(step, flags, padded)
	}
	if err := m.clock.Stamp(stepBegins); err != nil {
		return err
	}
	if err := m.launch(step, flags, padded); err != nil {
		return err
	}
	return m.clock.Stamp(stepEnds)
}

// launch queues the launches of a step: from a recording if the step is padded and nobody looks at single launches, else one after the other.
func (m *Model) launch(step *engine.Step, flags uint32, padded bool) error {
	r := &m.replay
	env := sym.Bind(int64(step.T()), int64(step.B()), int64(len(step.Rows)), 0)
	if !padded || r.recorder == nil || m.visit != nil {
		return m.queue(env, flags)
	}
	key := replayKey{step.T(), step.B(), len(step.Rows), flags}
	recording, ok := r.recordings[key]
	if !ok {
		if len(r.recordings) == mostRecordings {
			return m.queue(env, flags)
		}
		var err error
		recording, err = r.recorder.Record(func() error { return m.queue(env, flags) })
		if errors.Is(err, engine.ErrDeviceMemory) {
			r.recorder = nil
			return m.queue(env, flags)
		}
		if err != nil {
			return err
		}
		r.recordings[key] = recording
	}
	return r.recorder.Replay(recording)
}
