package kernel

import (
	"math"
	"math/rand/v2"
	"testing"

	"llmc/engine/layout"
	"llmc/internal/dtype"
	"llmc/internal/quant"
)

// sequence is a random sequence in a paged cache, with all keys and values at hand. Of latent rows the first channels of keys are the values.
type sequence struct {
	Attention
	keys, values [][]float32 // [position] [Heads*Dim]
	pages        []int32
	q            []float32 // [positions, QueryHeads*Dim]
}

func randomSequence(t testing.TB, r *rand.Rand, positions int) *sequence {
	t.Helper()
	kind, page := layout.KVTypes[r.IntN(len(layout.KVTypes))], []int{16, 64, 128, 256}[r.IntN(4)]
	kv, err := layout.NewKV(kind, page, 1+r.IntN(3), []int{16, 24, 5, 64, 80, 128, 33}[r.IntN(7)])
	if r.IntN(3) == 0 {
		row := [][2]int{{16, 24}, {5, 7}, {32, 64}, {64, 96}, {96, 128}, {30, 33}, {128, 192}}[r.IntN(7)]
		kv, err = layout.NewLatent(kind, page, row[0], row[1])
	}
	if err != nil {
		t.Fatal(err)
	}
	return sequenceIn(r, kv, positions)
}

// sequenceIn is a random sequence in a cache of spans of kv, which are one to many pages.
func sequenceIn(r *rand.Rand, kv layout.KV, positions int) *sequence {
	s := &sequence{Attention: Attention{KV: kv, QueryHeads: kv.Heads * (1 + r.IntN(4)), Scale: float32(1 / math.Sqrt(float64(kv.Dim)))}}
	if r.IntN(3) == 0 {
		s.Window = 1 + r.IntN(positions)
	}
	if r.IntN(4) == 0 {
		s.Chunk = 1 + r.IntN(positions)
	}
	if r.IntN(4) == 0 {
		s.Softcap = 0.5 + 2*r.Float32()
	}
	if r.IntN(4) == 0 {
		for range s.QueryHeads {
			s.ALiBi, s.Sinks = append(s.ALiBi, r.Float32()/8), append(s.Sinks, 4*r.Float32()-1)
		}
	}
	if r.IntN(4) == 0 {
		n := 1 + r.IntN(80)
		s.Relative = &Relative{Table: randomRow(r, s.QueryHeads*n), Rows: n, Before: r.IntN(n)}
	}
	s.Offset, s.Stride, s.Page = 64, kv.Bytes()+192, kv.PageSize
	for s.Page%32 == 0 && r.IntN(3) > 0 {
		s.Page /= 2
	}
	spans := (positions+kv.PageSize-1)/kv.PageSize + 3
	s.Pool = make([]byte, spans*s.Stride)
	for _, p := range r.Perm(spans * kv.PageSize / s.Page)[:(positions+s.Page-1)/s.Page] {
		s.pages = append(s.pages, int32(p))
	}
	for range positions {
		s.keys, s.values = append(s.keys, randomRow(r, kv.Heads*kv.Dim)), append(s.values, randomRow(r, kv.Heads*kv.Dim))
	}
	if kv.Rank > 0 {
		s.values = s.keys
	}
	s.q = randomRow(r, positions*s.QueryHeads*kv.Dim)
	s.spoil()
	return s
}

// spoil fills the pool with NaN, of every element type.
func (s *sequence) spoil() {
	for i := range s.Pool {
		s.Pool[i] = 0xff
	}
}

func (s *sequence) store(set *Set, from, to int) {
	sc := NewScratch(s.Dim)
	for p := from; p < to; p++ {
		span, at := s.Span(s.Slot(&Queries{Pages: s.pages}, p))
		set.StoreKV(sc, s.KV, span, at, s.keys[p], s.values[p])
	}
}

// queries returns tokens [from, to) with room for their results.
func (s *sequence) queries(from, to int) *Queries {
	ld := s.QueryHeads * s.Dim
	out := s.outRow()
	return &Queries{Q: s.q[from*ld:], Out: make([]float32, (to-from)*out), LDQ: ld, LDOut: out, Tokens: to - from, First: from, Length: len(s.keys), Pages: s.pages}
}

// outRow is the distance between rows of results, behind each of which there is room.
func (s *sequence) outRow() int { return s.QueryHeads*s.Values() + 3 }

func (s *sequence) attend(set *Set, q *Queries) []float32 {
	sc := NewScratch(s.Dim)
	for h := range s.Heads {
		set.Attend(sc, &s.Attention, q, h, 0, s.Rows(q))
	}
	return q.Out
}

// cached returns a head's row as a cache of that type has it; rank is that of latent rows.
func cached(t dtype.Type, row []float32, rank int) []float32 {
	row = append([]float32(nil), row...)
	f, err := quant.KVOf(t)
	if err != nil {
		panic(err)
	}
	if f.Scaled() {
		f.Keep(row, rank)
		return row
	}
	for i, v := range row {
		switch t {
		case dtype.BF16:
			row[i] = dtype.BF16ToF32(dtype.F32ToBF16(v))
		case dtype.F16:
			row[i] = dtype.F16ToF32(dtype.F32ToF16(v))
		}
	}
	return row
}

// expected is attention as the textbook writes it, in float64 on the numbers as cached.
func (s *sequence) expected(position, head int) []float64 {
	at := head / s.group() * s.Dim
	lo := 0
	if s.Window > 0 {
		lo = max(0, position+1-s.Window)
	}
	if s.Chunk > 0 {
		lo = max(lo, position-position%s.Chunk)
	}
	q := append([]float32(nil), s.q[(position*s.QueryHeads+head)*s.Dim:][:s.Dim]...)
	if s.DType == dtype.BF16 {
		q = cached(s.DType, q, 0)
	}
	var sum float64
	if s.Sinks != nil {
		sum = math.Exp(float64(s.Sinks[head]))
	}
	out := make([]float64, s.Values())
	for p := lo; p <= min(position+s.Ahead, len(s.keys)-1); p++ {
		var dot float64
		key, value := cached(s.DType, s.keys[p][at:at+s.Dim], s.Rank), cached(s.DType, s.values[p][at:at+s.Dim], s.Rank)
		for d, v := range q {
			dot += float64(v) * float64(key[d])
		}
		score := dot * float64(s.Scale)
		if limit := float64(s.Softcap); limit > 0 {
			score = limit * math.Tanh(score/limit)
		}
		if s.ALiBi != nil {
			score -= float64(s.ALiBi[head]) * float64(position-p)
		}
		if b := s.Relative; b != nil {
			score += float64(b.Table[head*b.Rows+min(max(p-position+b.Before, 0), b.Rows-1)])
		}
		w := math.Exp(score)
		sum += w
		for d := range out {
			out[d] += w * float64(value[d])
		}
	}
	for d := range out {
		out[d] /= sum
	}
	return out
}

func TestAttentionReferenceIsAttention(t *testing.T) {
	r := rand.New(rand.NewPCG(23, 24))
	for range 24 {
		n := 1 + r.IntN(600)
		s := randomSequence(t, r, n)
		s.store(genericSet(), 0, n)
		from := max(0, n-1-r.IntN(10))
		q := s.queries(from, n)
		out := s.attend(genericSet(), q)
		bound := 1e-5
		switch s.DType {
		case dtype.BF16:
			bound = 0.02 // weights are rounded to 8 bits
		case dtype.I8, dtype.U4:
			bound = 2e-4 // queries and weights have 16 bits, of the largest
		case dtype.I16:
			bound = 2e-4 // they have 10 to 15
		}
		for p := from; p < n; p++ {
			for h := range s.QueryHeads {
				for d, want := range s.expected(p, h) {
					if got := float64(out[(p-from)*q.LDOut+h*s.Values()+d]); math.Abs(got-want) > bound*4 {
						t.Fatalf("%+v position %d head %d: [%d] = %g, want %g", s.KV, p, h, d, got, want)
					}
				}
			}
		}
	}
}

// The bits of every set are the references', whether a position is computed alone (later slots hold NaN) or together with later ones
// (whose keys and values are there), over all page sizes, windows and splits.
func TestAttentionIsTheSameAloneAndTogether(t *testing.T) {
	for _, set := range Detect() {
		r := rand.New(rand.NewPCG(25, 26))
		rounds := 12
		if set.Name == Generic {
			rounds = 3
		}
		for range rounds {
			n := 200 + r.IntN(200)
			s := randomSequence(t, r, n)
			first := n - 1 - r.IntN(40)
			s.store(set, 0, first)
			var alone []float32
			ld := s.outRow()
			for p := first; p < n; p++ {
				s.store(set, p, p+1)
				alone = append(alone, s.attend(set, s.queries(p, p+1))...)
			}
			together := s.attend(set, s.queries(first, n))
			want := s.attend(reference(set), s.queries(first, n))
			for i := range alone {
				if i%ld >= ld-3 {
					continue
				}
				if !sameBits(alone[i], together[i]) || !sameBits(together[i], want[i]) || alone[i] != alone[i] {
					t.Fatalf("%s: %+v window %d, positions %d..%d, [%d]: alone %g, together %g, reference %g", set.Name, s.KV, s.Window, first, n-1, i,
						alone[i], together[i], want[i])
				}
			}
		}
	}
}

// A later token whose key or value is not a number spoils no earlier one.
func TestAttentionIgnoresLaterNaN(t *testing.T) {
	for _, set := range Detect() {
		r := rand.New(rand.NewPCG(27, 28))
		for range 6 {
			n := 20 + r.IntN(30)
			s := randomSequence(t, r, n)
			s.store(set, 0, n)
			want := s.attend(set, s.queries(0, n))
			bad := n/2 + r.IntN(n/2)
			s.values[bad][0], s.keys[bad][1] = float32(math.NaN()), float32(math.Inf(1))
			s.store(set, bad, bad+1)
			for p := bad + 1; p < n && p/2 == bad/2; p++ {
				s.store(set, p, p+1)
			}
			got := s.attend(set, s.queries(0, n))
			for i := range bad * s.outRow() {
				if !sameBits(got[i], want[i]) {
					t.Fatalf("%s: %+v: position %d changed position %d", set.Name, s.KV, bad, i/s.outRow())
				}
			}
		}
	}
}

// Workers that share the splits of a sequence get the bits of one.
func TestAttendSplitAndFinish(t *testing.T) {
	for _, set := range Detect() {
		r := rand.New(rand.NewPCG(29, 30))
		for range 3 {
			n := 300 + r.IntN(300)
			s := randomSequence(t, r, n)
			s.store(set, 0, n)
			tokens := 1 + r.IntN(3)
			q := s.queries(n-tokens, n)
			want := append([]float32(nil), s.attend(set, q)...)
			clear(q.Out)
			rows, size := s.Rows(q), s.PartFloats()
			lo, hi := s.Splits(q, 0, rows-1)
			parts := make([]float32, (hi-lo)*rows*size)
			for h := range s.Heads {
				for to := hi; to > lo; {
					from := to - 1 - r.IntN(min(2, to-lo))
					set.AttendSplits(NewScratch(s.Dim), &s.Attention, q, h, from, to, 0, rows, parts[(from-lo)*rows*size:], rows*size)
					to = from
				}
				for i := range rows {
					set.Finish(NewScratch(s.Dim), &s.Attention, q, h, i, lo, parts[i*size:], rows*size)
				}
			}
			for i := range want {
				if !sameBits(q.Out[i], want[i]) {
					t.Fatalf("%s: %+v: [%d] = %g in splits, %g at once", set.Name, s.KV, i, q.Out[i], want[i])
				}
			}
		}
	}
}

func TestAttendDoesNotAllocate(t *testing.T) {
	r := rand.New(rand.NewPCG(31, 32))
	for _, set := range Detect() {
		for _, kind := range layout.KVTypes {
			kv, err := layout.NewKV(kind, 32, 2, 64)
			if err != nil {
				t.Fatal(err)
			}
			s := sequenceIn(r, kv, 40)
			s.store(set, 0, 40)
			sc, q := NewScratch(s.Dim), s.queries(39, 40)
			span, slot := s.Span(s.Slot(q, 39))
			if n := testing.AllocsPerRun(5, func() {
				set.StoreKV(sc, s.KV, span, slot, s.keys[39], s.values[39])
				set.Attend(sc, &s.Attention, q, 0, 0, s.Rows(q))
			}); n != 0 {
				t.Errorf("%s %v: %v allocations", set.Name, s.DType, n)
			}
		}
	}
}

// What a page holds after a store is the same in every set, and nothing beside the position's own places changes.
func TestStoreKVMatchesReference(t *testing.T) {
	for _, set := range Detect() {
		r, sc := rand.New(rand.NewPCG(33, 34)), NewScratch(130)
		ref := reference(set)
		for range 200 {
			kv, err := layout.NewKV(layout.KVTypes[r.IntN(len(layout.KVTypes))], 32, 2, 1+r.IntN(130))
			if err != nil {
				t.Fatal(err)
			}
			got, want := make([]byte, kv.Bytes()), make([]byte, kv.Bytes())
			for i := range got {
				got[i], want[i] = 0x7f, 0x7f
			}
			for range 4 {
				slot := r.IntN(32)
				k, v := wildRow(r, 2*kv.Dim), wildRow(r, 2*kv.Dim)
				set.StoreKV(sc, kv, got, slot, k, v)
				ref.StoreKV(sc, kv, want, slot, k, v)
				for i, x := range k {
					if head, d := i/kv.Dim, i%kv.Dim; kv.DType == dtype.F32 && !sameBits(*atByte[float32](got, kv.K(head, slot, d)), x) {
						t.Fatalf("%s: channel %d of key %d of head %d is not where the layout has it", set.Name, d, slot, head)
					}
				}
			}
			// Infinities and NaN aside, whose payload is not fixed; those of codes are in their scales, which one rounding has made.
			special := map[dtype.Type]uint16{dtype.F32: 0x7f80, dtype.BF16: 0x7f80, dtype.F16: 0x7c00}[kv.DType]
			for i := 0; i < len(want); i += 2 {
				a, b := *atByte[uint16](got, i), *atByte[uint16](want, i)
				if a != b && (special == 0 || a&special != special || b&special != special) {
					t.Fatalf("%s: %+v: byte %d is %#x, want %#x", set.Name, kv, i, a, b)
				}
			}
		}
	}
}

// What is read back from a page is what the format makes of a row.
func TestLoadKVIsWhatTheFormatKeeps(t *testing.T) {
	for _, set := range Detect() {
		r, sc := rand.New(rand.NewPCG(35, 36)), NewScratch(130)
		for range 200 {
			kv, err := layout.NewKV(layout.KVTypes[r.IntN(len(layout.KVTypes))], 16, 2, 1+r.IntN(130))
			if err != nil {
				t.Fatal(err)
			}
			block := make([]byte, kv.Bytes())
			rowK, rowV := wildRow(r, 2*kv.Dim), wildRow(r, 2*kv.Dim)
			head, slot := r.IntN(2), 2*r.IntN(8)
			set.StoreKV(sc, kv, block, slot, rowK, rowV)
			k, v := rowK[head*kv.Dim:][:kv.Dim], rowV[head*kv.Dim:][:kv.Dim]
			gotK, gotV := make([]float32, kv.Dim), make([]float32, kv.Dim)
			LoadKV(kv, block, head, slot, gotK, gotV)
			for row, pair := range [2][2][]float32{{gotK, cached(kv.DType, k, kv.Rank)}, {gotV, cached(kv.DType, v, kv.Rank)}} {
				for i, want := range pair[1] {
					if set.rounding.flush && kv.DType == dtype.BF16 {
						want = flush(want)
					}
					if !sameBits(pair[0][i], want) {
						t.Fatalf("%s: %+v: row %d [%d] of %v is %g, want %g", set.Name, kv, row, i, []float32{k[i], v[i]}[row], pair[0][i], want)
					}
				}
			}
		}
	}
}
