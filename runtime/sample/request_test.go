package sample

import (
	"math"
	"testing"

	"llmc/engine"
)

// A device's answer counts only if it is about tokens.
func TestAnswer(t *testing.T) {
	const vocab = 10
	cell := func(logit float32, token uint32) uint64 { return uint64(engine.LogitKey(logit))<<32 | uint64(^token) }
	greedy := engine.SampleRow{}
	draws := engine.SampleRow{Flags: engine.SampleDraws | engine.SampleLogprobs}
	edited := engine.SampleRow{Flags: engine.SampleEdited}
	ranked := engine.SampleRow{Flags: engine.SampleLogprobs | engine.SampleAlternatives, Alternatives: 2}
	for _, c := range []struct {
		name         string
		request      engine.SampleRow
		found        map[int]uint64
		alternatives []uint64
		told         bool
		token        int32
	}{
		{"greedy", greedy, map[int]uint64{engine.FoundBest: cell(2, 7)}, nil, true, 7},
		{"no number", greedy, map[int]uint64{engine.FoundBest: engine.NoChoice}, nil, true, -1},
		{"all ruled out", greedy, map[int]uint64{engine.FoundBest: cell(negInf, 0)}, nil, true, -1},
		{"no token", greedy, map[int]uint64{engine.FoundBest: cell(2, vocab)}, nil, false, -1},
		{"nothing", greedy, nil, nil, false, -1},
		{"edited", edited, map[int]uint64{engine.FoundBest: cell(2, 7), engine.FoundEdited: cell(3, 1)}, nil, true, 1},
		{"all ruled out by edits", edited, map[int]uint64{engine.FoundBest: cell(2, 7), engine.FoundEdited: cell(negInf, 1)}, nil, true, -1},
		{"drawn", draws, map[int]uint64{engine.FoundBest: cell(2, 7), engine.FoundToken: 3, engine.FoundRawMass: 1}, nil, true, 3},
		{"drew no token", draws, map[int]uint64{engine.FoundBest: cell(2, 7), engine.FoundToken: vocab}, nil, false, -1},
		{"ranked", ranked, map[int]uint64{engine.FoundBest: cell(2, 7), engine.FoundRawMass: 1, engine.FoundCount: 2}, []uint64{7, 1}, true, 7},
		{"ranked no token", ranked, map[int]uint64{engine.FoundBest: cell(2, 7), engine.FoundRawMass: 1, engine.FoundCount: 1 << 40}, []uint64{7, vocab}, false, -1},
	} {
		found := make([]uint64, engine.FoundCells)
		for i, v := range c.found {
			found[i] = v
		}
		var out engine.Sampled
		if told := Answer(&c.request, found, c.alternatives, vocab, &out); told != c.told || out.Token != c.token {
			t.Errorf("%s: told %v, token %d; want %v, %d", c.name, told, out.Token, c.told, c.token)
		}
	}
}

// Settings that devices do not know are left to the host.
func TestRequest(t *testing.T) {
	for _, c := range []struct {
		sampling *engine.Sampling
		flags    uint32
		ok       bool
	}{
		{nil, 0, true},
		{&engine.Sampling{Logprobs: -1, Temperature: 1e-6, TopK: 5, Seed: 1}, 0, true},
		{&engine.Sampling{Logprobs: -1, Temperature: 1, TopP: 1}, engine.SampleDraws, true},
		{&engine.Sampling{Logprobs: -1, Temperature: 1, TopP: 1e-30}, engine.SampleDraws | engine.SampleRanked, true},
		{&engine.Sampling{Logprobs: -1, Allowed: []uint32{1}, PresencePenalty: 1}, engine.SampleMasked, true},
		{&engine.Sampling{Logprobs: engine.MaxAlternatives}, engine.SampleLogprobs | engine.SampleAlternatives, true},
		{&engine.Sampling{Logprobs: engine.MaxAlternatives + 1}, engine.SampleLogprobs | engine.SampleAlternatives, false},
	} {
		r, ok := Request(&engine.Row{Sampling: c.sampling, Position: 9})
		if r.Flags != c.flags || ok != c.ok || r.Flags&engine.SampleRanked != 0 && r.TopP == 0 && r.TopK == 0 || math.IsNaN(r.Scale) {
			t.Errorf("%+v: %+v, %v; want flags %b, %v", c.sampling, r, ok, c.flags, c.ok)
		}
	}
}

// A mask comes on top of everything else.
func TestAllowed(t *testing.T) {
	logits := []float32{1, 9, 3, 8, 2}
	for _, c := range []struct {
		allowed uint32
		want    int32
	}{{0b11111, 1}, {0b11101, 3}, {0b00101, 2}, {0b00001, 0}, {0b10000, 4}, {0, -1}, {0b01000, -1}} {
		for _, temperature := range []float32{0, 1e-3} {
			row := &engine.Row{Sampling: &engine.Sampling{Temperature: temperature, Allowed: []uint32{c.allowed}, Logprobs: 1}}
			if c.want == -1 {
				row.Sampling.Banned = []int32{3}
			}
			var out engine.Sampled
			err := New(5).Sample(row, logits, &out)
			if out.Token != c.want || (err != nil) != (c.want < 0) || err == nil && out.Top[0].Token != 1 {
				t.Errorf("allowed %b: %+v, %v; want %d", c.allowed, out, err, c.want)
			}
		}
	}
}
