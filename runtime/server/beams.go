package server

import (
	"llmc/runtime"
	"llmc/runtime/beam"
	"llmc/runtime/server/strictjson"
)

// beamFields are what a request says of beam search, in the words of vLLM and of transformers. It finds the n most probable outputs, so what
// chooses tokens at random (temperature, top_p, top_k, min_p, seed) has no part in it.
type beamFields struct {
	wanted        bool
	given         bool // length_penalty or early_stopping, and no default
	lengthPenalty float64
	stopping      beam.Stopping
}

// search is the beam search of a request.
func (r *request) search() runtime.BeamSearch {
	return runtime.BeamSearch{Width: r.choices, LengthPenalty: r.beams.lengthPenalty, Stopping: r.beams.stopping}
}

func readLengthPenalty(r *request, v strictjson.Value) *apiError {
	const most = 100
	f, ok := v.Float()
	if !ok {
		return wrongType(v, "a number")
	}
	if f < -most || f > most {
		return invalid("", "invalid_value", "must be from %d to %d", -most, most)
	}
	r.beams.lengthPenalty = f
	r.beams.given = r.beams.given || f != 1
	return nil
}

// readEarlyStopping accepts the values of transformers' early_stopping.
func readEarlyStopping(r *request, v strictjson.Value) *apiError {
	text, isText := v.Text()
	first, isFlag := v.Bool()
	switch {
	case isText && text == "never":
		r.beams.stopping = beam.Never
	case isFlag && first:
		r.beams.stopping = beam.First
	case isFlag:
		r.beams.stopping = beam.Heuristic
		return nil
	default:
		return invalid("", "invalid_value", `must be true, false or "never"`)
	}
	r.beams.given = true
	return nil
}
