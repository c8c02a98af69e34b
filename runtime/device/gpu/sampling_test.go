package gpu

import (
	"encoding/binary"
	"testing"

	"llmc/engine"
)

// ram is memory of the host in place of a device's.
type ram struct{ bytes []byte }

func (m *ram) Addr() uint64 { return 0 }

func (m *ram) Write(offset int64, data []byte) error {
	copy(m.bytes[offset:], data)
	return nil
}

func (m *ram) Read(offset int64, data []byte) error {
	copy(data, m.bytes[offset:])
	return nil
}

// rams gives memory of the host.
type rams struct{}

func (rams) Alloc(_ string, bytes int64) (Memory, error) { return &ram{make([]byte, bytes)}, nil }

// fetching is a driver that copies.
type fetching struct{ Driver }

func (fetching) Fetch(to []byte, from Memory, offset int64) error { return from.Read(offset, to) }
func (fetching) Clear(m Memory, offset, bytes int64) error {
	clear(m.(*ram).bytes[offset:][:bytes])
	return nil
}

func samplingOf(rows, vocab int) (*sampling, *asked, map[string]Memory, []Memory) {
	s := &sampling{found: &engine.Buffer{Stride: foundBytes}, alternatives: &engine.Buffer{Slot: 1, Stride: listedBytes}}
	s.edits = edits{most: 100, seen: make([]uint32, vocab)}
	if err := s.seats.take(rams{}, rows, vocab); err != nil {
		panic(err)
	}
	memory := map[string]Memory{}
	for _, name := range []string{"edits", "masks"} {
		memory[name] = &ram{make([]byte, 1<<16)}
	}
	a := &asked{found: make([]byte, rows*foundBytes), listed: make([]byte, rows*listedBytes)}
	return s, a, memory, []Memory{&ram{make([]byte, rows*foundBytes)}, &ram{make([]byte, rows*listedBytes)}}
}

// TestSamplingDoesNotAllocate passes a step's wishes to a device that answers nothing.
func TestSamplingDoesNotAllocate(t *testing.T) {
	const vocab = 100
	history := engine.NewTokenHistory([]int32{1, 2, 3})
	step := &engine.Step{IDs: []int32{0}, Rows: []engine.Row{
		{},
		{Sampling: &engine.Sampling{Temperature: 1, TopP: 0.5, PresencePenalty: 1, Logprobs: 5}, History: history},
		{Sampling: &engine.Sampling{Bias: []engine.TokenBias{{Token: 1, Bias: 2}}, Banned: []int32{4}, Allowed: make([]uint32, 4), Logprobs: 2}},
	}}
	out := make([]engine.Sampled, len(step.Rows))
	s, a, memory, slots := samplingOf(len(step.Rows), vocab)
	run := func() {
		if err := s.ask(fetching{}, a, step, step, vocab, memory); err != nil {
			t.Fatal(err)
		}
		for i := range step.Rows { // a logit that is not a number
			binary.LittleEndian.PutUint64(slots[0].(*ram).bytes[i*foundBytes+8*engine.FoundBest:], engine.NoChoice)
		}
		if err := a.fetch(fetching{}, s, len(step.Rows), slots); err != nil {
			t.Fatal(err)
		}
		a.read(len(step.Rows))
		for i := range out {
			if !a.answer(i, vocab, &out[i]) || out[i].Token != -1 {
				t.Fatalf("row %d: %+v of a row that is not a number", i, out[i])
			}
		}
	}
	run()
	if n := testing.AllocsPerRun(20, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if all := uint32(engine.SampleDraws | engine.SampleRanked | engine.SampleEdited | engine.SampleMasked | engine.SampleSeen | engine.SampleLogprobs | engine.SampleAlternatives); a.flags != all {
		t.Errorf("flags of the step are %b, want %b", a.flags, all)
	}
}

// TestPaddedRowsAreLeftOut wants the alternatives of a step whose rows were padded on the device.
func TestPaddedRowsAreLeftOut(t *testing.T) {
	const vocab, padded, wanted = 100, 4, 2
	step := &engine.Step{Rows: []engine.Row{{Sampling: &engine.Sampling{Logprobs: wanted}}}}
	s, a, memory, slots := samplingOf(padded, vocab)
	if err := s.ask(fetching{}, a, step, &engine.Step{Rows: append(step.Rows, make([]engine.Row, padded-1)...)}, vocab, memory); err != nil {
		t.Fatal(err)
	}
	for i := range wanted {
		binary.LittleEndian.PutUint64(slots[1].(*ram).bytes[8*i:], uint64(i+7))
	}
	if err := a.fetch(fetching{}, s, len(step.Rows), slots); err != nil {
		t.Fatal(err)
	}
	a.read(len(step.Rows))
	if got := a.cells[a.next:]; len(got) != wanted || got[0] != 7 || got[1] != 8 {
		t.Errorf("alternatives %v", got)
	}
}

// TestEditsAreChecked refuses tokens that no vocabulary has, and leaves what does not fit to the host.
func TestEditsAreChecked(t *testing.T) {
	const vocab = 50
	bias := func(tokens ...int32) (list []engine.TokenBias) {
		for _, token := range tokens {
			list = append(list, engine.TokenBias{Token: token, Bias: 1})
		}
		return list
	}
	for _, c := range []struct {
		name     string
		sampling engine.Sampling
		host     bool
		refused  bool
	}{
		{"fits", engine.Sampling{Bias: bias(0, 49), Banned: []int32{3, 3}}, false, false},
		{"a bias twice", engine.Sampling{Bias: bias(4, 4)}, true, false},
		{"too many", engine.Sampling{Banned: make([]int32, 101)}, true, false},
		{"no token", engine.Sampling{Bias: bias(50)}, false, true},
		{"a negative token", engine.Sampling{Banned: []int32{-1}}, false, true},
	} {
		s, a, memory, _ := samplingOf(2, vocab)
		step := &engine.Step{Rows: []engine.Row{{Sampling: &engine.Sampling{Banned: []int32{1}}}, {Sampling: &c.sampling}}}
		err := s.ask(fetching{}, a, step, step, vocab, memory)
		if (err != nil) != c.refused {
			t.Fatalf("%s: %v", c.name, err)
		}
		if err == nil && a.host[1] != c.host {
			t.Errorf("%s: left to the host: %v", c.name, a.host[1])
		}
	}
}
