package gpu

import (
	"math/rand/v2"
	"testing"

	"llmc/engine"
)

// ragged makes a step of sequences at random positions.
func ragged(r *rand.Rand, sequences int) *engine.Step {
	s := &engine.Step{}
	s.Reset()
	for range sequences {
		tokens, at := 1, r.IntN(1<<r.IntN(14))
		if r.IntN(3) == 0 {
			tokens = 1 + r.IntN(40)
		}
		for i := range tokens {
			s.IDs, s.Positions = append(s.IDs, 0), append(s.Positions, int32(at+i))
		}
		s.SeqStart, s.Context = append(s.SeqStart, int32(len(s.IDs))), append(s.Context, int32(at+tokens+r.IntN(2)*r.IntN(1000)))
	}
	return s
}

// TestWorkList wants every split that a token sees in one item, items in pieces to have parts and counters of their own, and all of it
// inside the memory that the largest step has.
func TestWorkList(t *testing.T) {
	inPieces := 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := workShape{block: int32(1 + r.IntN(16)), group: int32(1 + r.IntN(8)), planes: 1 + r.IntN(8), extra: r.IntN(40), room: int64(r.IntN(2000))}
		if r.IntN(2) == 0 {
			w.reach.Window = int64(1 + r.IntN(3000))
		}
		if r.IntN(3) == 0 {
			w.reach.Chunk = int64(1 + r.IntN(3000))
		}
		if r.IntN(3) == 0 {
			w.reach.Ahead = int64(1 + r.IntN(600))
		}
		w.counters = engine.AttentionCounters(w.extra, w.planes)
		s := ragged(r, 1+r.IntN(8))
		list := w.list(nil, s)
		if want := w.counters + itemWords*w.bound(s.T(), s.B()); len(list) != want {
			t.Fatalf("seed %d: %d words, the grid has %d", seed, len(list), want)
		}
		for i, v := range list[:w.counters] {
			if v != 0 {
				t.Fatalf("seed %d: counter %d is %d", seed, i, v)
			}
		}
		inPieces += w.check(t, s, list[w.counters:])
	}
	if inPieces < 100 {
		t.Errorf("only %d items came in pieces", inPieces)
	}
}

// check returns how many items came in pieces.
func (w *workShape) check(t *testing.T, s *engine.Step, list []int32) (inPieces int) {
	t.Helper()
	next, rows, counter := int32(0), int32(0), int32(0) // token, row of partials, counter
	for len(list) > 0 && list[2] > 0 {
		first, count, from, to, pieces := list[1], list[2], list[3], list[4], max(list[5], 1)
		b := list[0]
		if first != next || count > w.block || first < s.SeqStart[b] || first+count > s.SeqStart[b+1] {
			t.Fatalf("item of tokens %d to %d of sequence %d behind token %d", first, first+count, b, next)
		}
		lo := int32(0)
		if w.reach.Window > 0 {
			lo = max(0, s.Positions[first]-int32(w.reach.Window)+1)
		}
		if n := int32(w.reach.Chunk); n > 0 {
			lo = max(lo, s.Positions[first]-s.Positions[first]%n)
		}
		lo /= engine.AttentionSplit
		last := s.Positions[first+count-1]
		if ahead := int32(w.reach.Ahead); ahead > 0 {
			last = min(last+ahead, s.Context[b]-1)
		}
		hi := last/engine.AttentionSplit + 1
		for p := range pieces {
			i := list[itemWords*p : itemWords*(p+1)]
			if i[0] != b || i[1] != first || i[2] != count || max(i[5], 1) != pieces || i[3] != from || i[4] <= i[3] {
				t.Fatalf("piece %d of %d: %v", p, pieces, i)
			}
			if pieces > 1 && (i[6] != rows || i[7] != counter || int(i[7]) >= w.extra) {
				t.Fatalf("piece %d of %d: %v, want row %d and counter %d", p, pieces, i, rows, counter)
			}
			from, to = i[4], i[4]
		}
		if list[3] != lo || to != hi {
			t.Fatalf("splits %d to %d of tokens that see %d to %d", list[3], to, lo, hi)
		}
		if pieces > 1 {
			rows, counter, inPieces = rows+(hi-lo)*count*w.group, counter+1, inPieces+1
		}
		next, list = first+count, list[itemWords*pieces:]
	}
	if int(next) != s.T() || int64(rows) > w.room {
		t.Fatalf("%d tokens of %d, %d rows of %d", next, s.T(), rows, w.room)
	}
	return inPieces
}

// TestWorkListFills wants a single long sequence to come in as many pieces as fill the card, and many sequences to stay whole.
func TestWorkListFills(t *testing.T) {
	w := workShape{block: 1, group: 4, planes: 8, extra: 33, room: 1 << 20}
	one := &engine.Step{IDs: []int32{0}, Positions: []int32{32767}, SeqStart: []int32{0, 1}, Context: []int32{32768}}
	list := w.list(nil, one)[w.counters:]
	if pieces := list[5]; pieces != 32 {
		t.Errorf("128 splits in %d pieces, want 32 of 4", pieces)
	}
	many := &engine.Step{}
	many.Reset()
	for i := range 40 {
		many.IDs, many.Positions = append(many.IDs, 0), append(many.Positions, 2000)
		many.SeqStart, many.Context = append(many.SeqStart, int32(i+1)), append(many.Context, 2001)
	}
	for list := w.list(nil, many)[w.counters:]; len(list) > 0 && list[2] > 0; list = list[itemWords:] {
		if list[5] != 1 {
			t.Fatalf("%d pieces among 40 equal sequences", list[5])
		}
	}
}
