package gpu

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"llmc/engine"
)

// tally does what changes say, as the device does.
func (s *seats) tally(counts [][]uint32) {
	for c := s.changes; len(c) > 0; c = c[engine.SeenChangeBytes:] {
		row, token := binary.LittleEndian.Uint32(c), binary.LittleEndian.Uint32(c[4:])
		if row&1 == 1 {
			counts[row>>1][token] |= engine.SeenPrompt
		} else {
			counts[row>>1][token] += engine.SeenOutput
		}
	}
}

// emptying is a driver that empties rows of counts.
type emptying struct {
	Driver
	counts [][]uint32
	vocab  int
}

func (e *emptying) Clear(_ Memory, offset, _ int64) error {
	clear(e.counts[int(offset)/4/e.vocab])
	return nil
}

// TestSeats serves more histories than there are seats, some of whose tokens are counted before their owner knows them, and wants each step's rows to have the
// counts of their histories and of the token to come.
func TestSeats(t *testing.T) {
	const rows, vocab, histories = 3, 11, 7
	random := rand.New(rand.NewPCG(1, 2))
	d := &emptying{vocab: vocab}
	for range rows {
		d.counts = append(d.counts, make([]uint32, vocab))
	}
	var s seats
	if err := s.take(&sketch{}, rows, vocab); err != nil {
		t.Fatal(err)
	}
	all, ahead := make([]*engine.TokenHistory, histories), make([]*int32, histories)
	for i := range all {
		prompt := make([]int32, random.IntN(9))
		for j := range prompt {
			prompt[j] = random.Int32N(vocab)
		}
		all[i] = engine.NewTokenHistory(prompt)
	}
	for range 400 {
		s.begin()
		step := map[int]uint32{}
		for range 1 + random.IntN(rows) {
			i := random.IntN(histories)
			if _, has := step[i]; has {
				continue
			}
			if ahead[i] != nil { // what was to come has come
				all[i].Add(*ahead[i])
				ahead[i] = nil
			} else if random.IntN(3) == 0 { // in a step without penalties
				all[i].Add(random.Int32N(vocab))
			}
			if random.IntN(2) == 0 {
				token := random.Int32N(vocab)
				ahead[i] = &token
			}
			number, err := s.sit(d, all[i], ahead[i])
			if err != nil {
				t.Fatal(err)
			}
			step[i] = number
		}
		s.tally(d.counts)
		for i, number := range step {
			if token, have, want := differs(all[i], ahead[i], d.counts[number]); have != want {
				t.Fatalf("history %d in seat %d: token %d has count %d, want %d", i, number, token, have, want)
			}
		}
	}
	if len(s.of) != rows {
		t.Errorf("%d histories sit in %d seats", len(s.of), rows)
	}
	if _, err := s.sit(d, engine.NewTokenHistory([]int32{vocab}), nil); err == nil {
		t.Error("a token outside the vocabulary was counted")
	}
}

// differs returns the first token whose count is not that of a history and a token to come.
func differs(h *engine.TokenHistory, next *int32, counts []uint32) (token int, have, want uint32) {
	wanted := make([]uint32, len(counts))
	h.Each(func(token, outputs int32, prompt bool) {
		wanted[token] = uint32(outputs) * engine.SeenOutput
		if prompt {
			wanted[token] |= engine.SeenPrompt
		}
	})
	if next != nil {
		wanted[*next] += engine.SeenOutput
	}
	for token := range wanted {
		if wanted[token] != counts[token] {
			return token, counts[token], wanted[token]
		}
	}
	return 0, 0, 0
}
